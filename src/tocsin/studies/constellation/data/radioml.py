"""RadioML 2018.01A as it is distributed: one HDF5 file, memory-mapped, its label order verified from the samples.

Layout (O'Shea, Roy and Clancy 2018): ``X`` float32 [n, 1024, 2], ``Y`` one-hot [n, 24], ``Z`` SNR in dB [n, 1]; rows
run by class, then by SNR from the lowest, then by frame, the same number of frames in each cell. The list of class
names that is shipped beside the file is in another order than the columns of ``Y``; ``CLASSES`` is the order of the
columns, and a file whose samples contradict it is refused. The data are licensed for non-commercial use and cannot be
redistributed: the file is only read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.studies.study import StudyError

CLASSES: tuple[str, ...] = (
    *("OOK", "4ASK", "8ASK", "BPSK", "QPSK", "8PSK", "16PSK", "32PSK", "16APSK", "32APSK", "64APSK", "128APSK"),
    *("16QAM", "32QAM", "64QAM", "128QAM", "256QAM", "AM-SSB-WC", "AM-SSB-SC", "AM-DSB-WC", "AM-DSB-SC", "FM"),
    *("GMSK", "OQPSK"),
)
SAMPLES = 1024
ON_A_LINE = ("OOK", "4ASK", "8ASK", "BPSK")  # real symbols times one phase
IN_A_CIRCLE = tuple(name for name in CLASSES if name.endswith(("PSK", "QAM")) and name != "BPSK")

_PROBED = 32  # frames of a class whose circularity is looked at
_LINE, _CIRCLE = 0.8, 0.5  # medians: 1 and about 1 / sqrt(128) without fading


class RadioML:
    """The frames of the file by (modulation, SNR, number); rows are read when they are asked for.

    Args:
        path: The HDF5 file.

    Attributes:
        snr_db: Levels in the file, ascending [dB].
        per_cell: Frames of each (modulation, SNR) pair.
        frames: Rows in all.

    Raises:
        StudyError: No such file, not this layout, or labels that the samples contradict.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with _opened(self.path) as file:
            x, y, z = (_dataset(file, name, self.path) for name in "XYZ")
            _expect_shapes(self.path, x, y, z)
            self.snr_db, self.per_cell = _grid(self.path, y, z)
            offset = x.id.get_offset() if x.chunks is None and x.dtype == np.dtype("<f4") else None
            shape = x.shape
            self.frames = int(shape[0])
        self._mapped = None if offset is None else np.memmap(self.path, "<f4", "r", offset, shape)
        self._expect_label_order()

    def rows(self, modulation: str, snr_db: int) -> range:
        """The rows of one cell.

        Raises:
            StudyError: The file has no such modulation or SNR.
        """
        if modulation not in CLASSES or snr_db not in self.snr_db:
            raise StudyError(
                f"{self.path} has no {modulation} at {snr_db} dB: expected one of {', '.join(CLASSES)} at one of "
                f"{', '.join(map(str, self.snr_db))} dB"
            )
        cell = CLASSES.index(modulation) * len(self.snr_db) + self.snr_db.index(snr_db)
        return range(cell * self.per_cell, (cell + 1) * self.per_cell)

    def iq(self, rows: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """Frames of these rows in the order given, float32 [B, 2, 1024]; NaN where the file has it."""
        wanted = np.asarray(rows, dtype=np.int64)
        order = np.argsort(wanted, kind="stable")  # the disk is read forwards
        frames = np.empty((wanted.size, SAMPLES, 2), np.float32)
        frames[order] = self._read(wanted[order])
        return torch.from_numpy(frames).transpose(1, 2).contiguous()

    def _read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows in ascending order; compressed or chunked files go through the library, which wants each row once."""
        if self._mapped is not None:
            return np.asarray(self._mapped[rows])
        once, back = np.unique(rows, return_inverse=True)
        with _opened(self.path) as file:
            return np.asarray(file["X"][once], np.float32)[back]

    def _expect_label_order(self) -> None:
        """|E x^2| / E |x|^2 of each frame is 1 for symbols on a line and near 0 for those spread over a circle."""
        best = self.snr_db[-1]
        if best < 10:  # noise would blur the two
            raise StudyError(f"{self.path}: label order cannot be verified below 10 dB, the file ends at {best} dB")
        for name in (*ON_A_LINE, *IN_A_CIRCLE):
            x = torch.view_as_complex(self.iq(self.rows(name, best)[:_PROBED]).transpose(1, 2).contiguous())
            ratio = float((x.square().mean(1).abs() / x.abs().square().mean(1)).median())
            expected, met = ("at least 0.8", ratio >= _LINE) if name in ON_A_LINE else ("at most 0.5", ratio <= _CIRCLE)
            if not met:
                raise StudyError(
                    f"{self.path}: labels do not fit the samples: |E x^2| / E |x|^2 of {name} at {best} dB is "
                    f"{ratio:.2f}, expected {expected}; the columns of Y must be {', '.join(CLASSES)}"
                )


def _opened(path: Path) -> Any:
    if path.is_dir():
        raise StudyError(f"{path} is a folder; expected the HDF5 file of RadioML 2018.01A")
    try:
        return h5py.File(path, "r")
    except FileNotFoundError as error:
        raise StudyError(f"{path}: no such file; expected the HDF5 file of RadioML 2018.01A") from error
    except OSError as error:
        raise StudyError(f"{path}: cannot be read as HDF5 ({str(error).splitlines()[0][:200]})") from error


def _dataset(file: Any, name: str, path: Path) -> Any:
    """A data set whose numbers lie in this very file: a link elsewhere would read what nobody named."""
    link = file.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        raise StudyError(f"{path}: expected a data set {name}, found {', '.join(list(file)[:8]) or 'nothing'}")
    if file[name].is_virtual or file[name].external:
        raise StudyError(f"{path}: {name} keeps its numbers in other files; expected them in this one")
    return file[name]


def _expect_shapes(path: Path, x: Any, y: Any, z: Any) -> None:
    n = x.shape[0] if x.shape else 0
    wanted = {"X": (n, SAMPLES, 2), "Y": (n, len(CLASSES)), "Z": (n, 1)}
    for name, data in zip(wanted, (x, y, z), strict=True):
        if data.shape != wanted[name] or data.dtype.kind not in "iuf":
            raise StudyError(f"{path}: expected {name} as numbers {wanted[name]}, got {data.dtype} {data.shape}")
    if n == 0:
        raise StudyError(f"{path}: no frames in it")


def _grid(path: Path, y: Any, z: Any) -> tuple[tuple[int, ...], int]:
    """SNR levels and frames a cell, with the labels of each cell's ends verified against their place."""
    snr = np.asarray(z[:, 0])
    levels = np.unique(snr)
    cells = len(CLASSES) * levels.size
    if snr.size % cells or np.any(levels != np.round(levels)):
        raise StudyError(
            f"{path}: {snr.size} rows are no multiple of {len(CLASSES)} classes x {levels.size} SNR levels"
        )
    per_cell = snr.size // cells
    expected = np.tile(np.repeat(levels, per_cell), len(CLASSES))
    ends = np.unique(np.concatenate([np.arange(cells) * per_cell, np.arange(1, cells + 1) * per_cell - 1]))
    classes = np.asarray(y[ends]).argmax(1)
    if not np.array_equal(snr, expected) or not np.array_equal(classes, ends // (per_cell * levels.size)):
        raise StudyError(f"{path}: expected rows by class, then SNR, then frame; the labels are in another order")
    return tuple(int(level) for level in levels), per_cell

"""Recorded frames as a source of the study: RadioML 2018.01A, split by the identity of frames.

An index within a part counts its frames from ``SPLITS[part]`` on; beyond the last one they begin again, so that
every epoch is trained on recorded frames in a new order.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.studies.constellation.config.data import Data
from tocsin.studies.constellation.config.view import View
from tocsin.studies.constellation.data.bin_cache import BinCache
from tocsin.studies.constellation.data.radioml import CLASSES, RadioML
from tocsin.studies.constellation.data.source import SPLITS, Source
from tocsin.studies.constellation.data.splits import Split, split
from tocsin.studies.constellation.view.representation import Seen, see
from tocsin.studies.study import StudyError


class Recorded(Source):
    """Frames of the file that ``Data.radioml`` names.

    Attributes:
        split: Which frames of the file, cell by cell, are in which part.

    Raises:
        StudyError: No such file or not of this layout, a class that it has not, more frames asked for than a part
            has, or a cache of another file or view.
    """

    def __init__(self, data: Data, device: torch.device | str = "cpu", view: View | None = None) -> None:
        super().__init__(data, device, view)
        if data.radioml is None:
            raise ValueError("data.radioml names no file")
        self.file = RadioML(data.radioml)
        pairs = [(name, db) for name in data.modulations for db in data.snr_db]
        self._first = np.array([self.file.rows(*pair).start for pair in pairs])
        # Of the whole file: two runs that use other classes of it have the same parts, and the same hashes of them.
        self.split = split(
            CLASSES, self.file.snr_db, self.file.per_cell, fractions=data.split_fractions, seed=data.split_seed
        )
        _expect_enough(data, self.split)
        self._cache = None
        self.fingerprint = self._fingerprint()
        if data.bin_cache is not None:
            self._cache = BinCache(Path(data.bin_cache), self.file, self.fingerprint, self.view, pairs)

    def iq(self, modulation: Tensor, snr: Tensor, index: Tensor) -> Tensor:
        """Received frames as they are in the file, float32, shape (B, 2, 1024)."""
        cell, number = self._places(modulation, snr, index)
        return self.file.iq(self._first[cell] + number).to(self.device)

    def look(self, modulation: Tensor, snr: Tensor, index: Tensor) -> Seen:
        """What the view shows of a few frames."""
        if self._cache is not None:
            return self._cache.seen(*self._places(modulation, snr, index), self.device)
        return see(self.iq(modulation, snr, index), self.view, self.data.samples_per_symbol)

    def manifest(self) -> dict[str, Any]:
        """The split with a hash of each part, and a fingerprint of the file: its labels and the first frames."""
        data = self.data
        sizes = {f"{part}_per_cell": getattr(data, f"{part}_per_cell") for part in SPLITS}
        used = {"modulations": list(data.modulations), "snr_db": list(data.snr_db), **sizes}
        described = {"source": "RadioML 2018.01A", "dataset": self.fingerprint, **used}
        return {**described, "train_fraction": data.split_fractions[0], "split": self.split.manifest}

    def _places(self, modulation: Tensor, snr: Tensor, index: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cell (of those in use) and number within it of each frame, [B] each."""
        cell = (modulation * len(self.data.snr_db) + snr).cpu().numpy()
        wanted, number = index.cpu().numpy(), np.empty(len(cell), np.int64)
        part = wanted // SPLITS["val"]
        for place, name in enumerate(SPLITS):
            held, those = self.split.frames[name], part == place
            in_file = self._first[cell[those]] // self.file.per_cell
            number[those] = held[in_file, (wanted[those] - SPLITS[name]) % held.shape[1]]
        return cell, number

    def _fingerprint(self) -> str:
        """Of the file's levels, its frames a cell, and the first frame of each class at each level."""
        every = np.arange(self.file.frames) % self.file.per_cell == 0
        digest = hashlib.sha256(f"{self.file.snr_db} {self.file.per_cell}".encode())
        digest.update(self.file.iq(np.flatnonzero(every)).numpy().tobytes())
        return digest.hexdigest()


def _expect_enough(data: Data, made: Split) -> None:
    for name, held in made.frames.items():
        asked, there = getattr(data, f"{name}_per_cell"), held.shape[1]
        if asked > there:
            raise StudyError(
                f"data.{name}_per_cell is {asked}, but that part of the file has {there} frames of each modulation and "
                f"SNR: set it to {there} at most, or change data.split_fractions"
            )

"""In which cell of the image each sample of a recorded frame falls, kept on disk: 2 bytes a sample instead of 8.

One file for each (modulation, SNR), written whole or not at all, so that building goes on where it was stopped. A
manifest beside them says of which recordings and of which view they are; for others the folder is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.studies.constellation.config.view import View
from tocsin.studies.constellation.data.radioml import SAMPLES, RadioML
from tocsin.studies.constellation.view.image import CHUNK, counted, flat_cells, outside
from tocsin.studies.constellation.view.representation import Seen, scaled
from tocsin.studies.study import StudyError

FORMAT = 1
_WIDTH = SAMPLES + 1  # the last number of a row is how many samples were out of range


class BinCache:
    """Frames of some cells as numbers of the image's cells; those that are missing are made first.

    Args:
        folder: Where they are kept.
        file: The recordings.
        fingerprint: Of the recordings.
        view: What of it is kept: bins, extent, and the power that frames are brought to.
        pairs: Modulation and SNR [dB] of each cell, in the order in which cells are numbered.

    Raises:
        StudyError: The folder is of other recordings or another view, or a file in it has another size.
    """

    def __init__(
        self, folder: Path, file: RadioML, fingerprint: str, view: View, pairs: Sequence[tuple[str, int]]
    ) -> None:
        self.view = view
        shown = {"bins": view.bins, "extent": view.extent, "power": view.power}
        _claim(folder, {"format": FORMAT, "file_sha256": fingerprint, **shown})
        self._held = [_slice(folder / f"{name}_{db}dB.u16", file, view, file.rows(name, db)) for name, db in pairs]

    def seen(self, cell: NDArray[np.int64], number: NDArray[np.int64], device: torch.device) -> Seen:
        """The frames ``number`` [B] of the cells [B], as ``see`` shows them."""
        rows = np.stack([self._held[c][k] for c, k in zip(cell, number, strict=True)]).astype(np.int32)
        held = torch.from_numpy(rows).to(device)
        counts = counted(held[:, :SAMPLES].long(), self.view.bins)
        nothing = torch.zeros(len(held), 0, device=device)
        return Seen(counts[:, None], nothing, None, held[:, SAMPLES].long())


def _claim(folder: Path, manifest: dict[str, Any]) -> None:
    """Make the folder, or find that it is of these recordings and this view."""
    kept = folder / "manifest.json"
    if not kept.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from error
        if any(folder.glob("*.u16")):
            raise StudyError(f"{folder} holds bins without a manifest: name another data.bin_cache, or delete them")
        _replace(kept, json.dumps(manifest, indent=1).encode())
        return
    try:
        before = json.loads(kept.read_text())
        differing = [key for key, value in manifest.items() if before.get(key) != value]
    except (OSError, ValueError, AttributeError) as error:
        raise StudyError(f"{kept}: cannot be read as the manifest of a cache ({type(error).__name__})") from error
    if differing:
        shown = "; ".join(f"{key}: {before.get(key)!r} there, {manifest[key]!r} here" for key in differing)
        raise StudyError(f"{folder} is the cache of something else ({shown}): name another folder in data.bin_cache")


def _slice(path: Path, file: RadioML, view: View, rows: range) -> NDArray[np.uint16]:
    """One cell's frames [n, 1025], memory-mapped; made if they are not there."""
    if not path.exists():
        made = [_bins(file.iq(rows[k : k + CHUNK]), view) for k in range(0, len(rows), CHUNK)]
        _replace(path, np.concatenate(made).tobytes())
    expected = len(rows) * _WIDTH * 2
    if path.stat().st_size != expected:
        raise StudyError(f"{path}: expected {expected} bytes, found {path.stat().st_size}: delete it to make it anew")
    return np.memmap(path, "<u2", "r", shape=(len(rows), _WIDTH))


def _bins(iq: Tensor, view: View) -> NDArray[np.uint16]:
    frames = scaled(iq, view)
    flat = flat_cells(frames, view.bins, view.extent)
    return torch.cat([flat, outside(frames, view.extent)[:, None]], 1).numpy().astype("<u2")


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> StudyError:
    return StudyError(
        f"data.bin_cache: {path} cannot be written ({error.strerror}): name a folder that can be, or leave it out"
    )

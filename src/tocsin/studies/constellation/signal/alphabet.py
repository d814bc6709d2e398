"""The symbols of all classes as one table on the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tocsin.studies.constellation.config.data import Data
from tocsin.studies.constellation.signal import random_bits


class Alphabet:
    """Draws symbol numbers of any class, and looks up their points."""

    def __init__(self, data: Data, device: torch.device) -> None:
        points = [data.constellation(name) for name in data.modulations]
        table = np.zeros((len(points), max(p.size for p in points)), dtype=np.complex64)
        for row, symbols in zip(table, points, strict=True):
            row[: symbols.size] = symbols
        self._table = torch.from_numpy(np.stack([table.real, table.imag])).to(device)
        self._order = torch.tensor([p.size for p in points], device=device)

    def numbers(self, modulation: Tensor, words: Tensor) -> Tensor:
        """Symbol numbers int64 [B, N] for random words [B, N] and classes [B]."""
        return random_bits.integers(words, self._order[modulation][:, None])

    def points(self, modulation: Tensor, numbers: Tensor) -> Tensor:
        """Real and imaginary parts of the symbols, float32 [2, B, N]."""
        return self._table.flatten(1)[:, numbers + (modulation * self._table.shape[2])[:, None]]

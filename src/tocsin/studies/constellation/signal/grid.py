"""Where the symbols of a frame lie in time: the symbol grid with its guards, and the instants on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

GUARD = 16  # symbols on either side of a frame: a pulse of roll-off 0.1 is 60 dB down after twice as many


@dataclass(frozen=True)
class Grid:
    """Symbols of one frame and of the guards before and after it.

    Attributes:
        samples: Samples of the frame.
        per_symbol: Samples a symbol.
    """

    samples: int
    per_symbol: int

    @property
    def inside(self) -> int:
        """Symbols whose instants lie in the frame, but for a rate offset at its end."""
        return self.samples // self.per_symbol

    @property
    def symbols(self) -> int:
        """Symbols with both guards: the next number without prime factors above 5, for fast transforms."""
        count = -(-self.samples // self.per_symbol) + 2 * GUARD
        while not _smooth(count):
            count += 1
        return count

    @property
    def length(self) -> int:
        """Samples with both guards; the frame begins at sample ``GUARD * per_symbol``."""
        return self.symbols * self.per_symbol

    def from_middle(self, halves: bool, device: torch.device) -> Tensor:
        """Time [samples] of each symbol (or half symbol) without offsets, from the middle of the frame, float32."""
        step = 2 if halves else 1
        number = torch.arange(self.symbols * step, dtype=torch.float32, device=device)
        return (number / step - GUARD) * self.per_symbol - self.samples / 2

    def instants(self, timing: Tensor, rate: Tensor) -> Tensor:
        """Time [samples from the frame's first] of each symbol inside the frame, float32, shape (B, inside).

        Args:
            timing: Delay of each frame's symbols [samples], shape (B,).
            rate: Relative offset of the symbol period, about the middle of the frame, shape (B,).
        """
        nominal = self.from_middle(False, timing.device)[GUARD : GUARD + self.inside]
        return timing[:, None] + self.samples / 2 + nominal * (1 + rate[:, None])


def _smooth(count: int) -> bool:
    for prime in (2, 3, 5):
        while count % prime == 0:
            count //= prime
    return count == 1

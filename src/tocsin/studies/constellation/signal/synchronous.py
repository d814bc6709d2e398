"""The synchronous scenario: one sample a symbol, no pulse shape, no offset in phase, frequency or time, white noise.

Shapes: B frames, N samples, 2 = (I, Q).
"""

from __future__ import annotations

import torch
from torch import Tensor

from tocsin.studies.constellation.config.data import Data
from tocsin.studies.constellation.signal import random_bits
from tocsin.studies.constellation.signal.alphabet import Alphabet
from tocsin.studies.constellation.signal.channel import noise_power
from tocsin.studies.constellation.signal.truth import Truth

GENERATOR = "synchronous/1"  # raise it whenever a frame of the same seed would change


class Synchronous:
    """Frames of symbols in noise. Words of a key at even positions are symbols, at odd ones noise."""

    def __init__(self, data: Data, device: torch.device) -> None:
        self.data = data
        self.device = device
        self.alphabet = Alphabet(data, device)

    def symbols(self, modulation: Tensor, keys: Tensor) -> Tensor:
        """Symbol numbers, int64, shape (B, N)."""
        return self.alphabet.numbers(modulation, random_bits.words(keys, 2 * self._positions()))

    def noise_words(self, keys: Tensor) -> Tensor:
        """The words that the noise is made from, int64, shape (B, N)."""
        return random_bits.words(keys, 2 * self._positions() + 1)

    def signal(self, modulation: Tensor, keys: Tensor) -> Tensor:
        """Frames without noise, float32, shape (B, 2, N)."""
        return self.alphabet.points(modulation, self.symbols(modulation, keys)).transpose(0, 1)

    def iq(self, modulation: Tensor, keys: Tensor, snr_db: Tensor) -> Tensor:
        """Received frames, float32, shape (B, 2, N)."""
        noise = torch.stack(random_bits.complex_normal(self.noise_words(keys)))
        sigma = 10.0 ** (-snr_db.to(torch.float32) / 20)
        return self.signal(modulation, keys) + (noise * sigma[None, :, None]).transpose(0, 1)

    def truth(self, modulation: Tensor, keys: Tensor, snr_db: Tensor) -> Truth:
        """Symbols of the frames; there are no offsets."""
        numbers = self.symbols(modulation, keys)
        none = torch.zeros(len(keys), device=self.device)
        return Truth(
            numbers=numbers,
            symbols=torch.complex(*self.alphabet.points(modulation, numbers)),
            instants=self._positions().to(torch.float32).expand(numbers.shape),
            **dict.fromkeys(("timing", "phase", "cfo", "rate"), none),
            rolloff=torch.full_like(none, torch.nan),
            noise_power=noise_power(snr_db, "sample", 1),
            gains=None,
        )

    def _positions(self) -> Tensor:
        return torch.arange(self.data.samples, device=self.device)

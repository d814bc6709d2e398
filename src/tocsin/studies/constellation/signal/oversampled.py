"""The oversampled scenario: shaped pulses, several samples a symbol, unknown offsets, fading as an option, white noise.

Shapes: B frames, N samples, K symbols of the grid with its guards, 2 = (I, Q).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tocsin.studies.constellation.config.data import Data
from tocsin.studies.constellation.signal import channel, random_bits
from tocsin.studies.constellation.signal.alphabet import Alphabet
from tocsin.studies.constellation.signal.channel import Offsets
from tocsin.studies.constellation.signal.grid import GUARD, Grid
from tocsin.studies.constellation.signal.truth import Truth
from tocsin.studies.constellation.signal.waveform import Timing, gmsk, linear

GENERATOR = "oversampled/1"  # raise it whenever a frame of the same seed would change
SYMBOLS = 0  # stream of a frame's key; those of the channel follow
CHUNK = 128  # frames at a time: fewer cost more calls, more take more memory and are no faster (measured)


class Oversampled:
    """Frames as a receiver samples them before it has synchronised."""

    def __init__(self, data: Data, device: torch.device) -> None:
        self.data = data
        self.device = device
        self.alphabet = Alphabet(data, device)
        self.grid = Grid(data.samples, data.pulse.samples_per_symbol)
        self._staggered = torch.tensor([name == "OQPSK" for name in data.modulations], device=device)
        self._gmsk = torch.tensor([name == "GMSK" for name in data.modulations], device=device)

    def symbols(self, modulation: Tensor, keys: Tensor) -> Tensor:
        """Symbol numbers, guards included, int64, shape (B, K)."""
        positions = torch.arange(self.grid.symbols, device=self.device)
        words = random_bits.words(random_bits.stream(keys, SYMBOLS), positions)
        return self.alphabet.numbers(modulation, words)

    def noise_words(self, keys: Tensor) -> Tensor:
        """The words that the noise is made from, int64, shape (B, N)."""
        return channel.noise_words(keys, self.data.samples)

    def signal(self, modulation: Tensor, keys: Tensor) -> Tensor:
        """Frames without noise, float32, shape (B, 2, N)."""
        return _real(self._in_chunks(self._signal, modulation, keys))

    def iq(self, modulation: Tensor, keys: Tensor, snr_db: Tensor) -> Tensor:
        """Received frames, float32, shape (B, 2, N)."""
        return _real(self._in_chunks(self._received, modulation, keys, snr_db))

    def truth(self, modulation: Tensor, keys: Tensor, snr_db: Tensor) -> Truth:
        """Symbols and offsets of the frames."""
        offsets = channel.draw(keys, self.data.channel, self.data.pulse)
        inside = slice(GUARD, GUARD + self.grid.inside)
        numbers = self.symbols(modulation, keys)[:, inside]
        return Truth(
            numbers=numbers,
            symbols=torch.complex(*self.alphabet.points(modulation, numbers)),
            instants=self.grid.instants(offsets.timing, offsets.rate),
            timing=offsets.timing,
            phase=offsets.phase,
            cfo=offsets.carrier,
            rate=offsets.rate,
            rolloff=offsets.rolloff.masked_fill(self._gmsk[modulation], torch.nan),
            noise_power=self._noise_power(snr_db),
            gains=channel.paths(keys, self.data.channel),
        )

    def _noise_power(self, snr_db: Tensor) -> Tensor:
        return channel.noise_power(snr_db, self.data.snr_definition, self.grid.per_symbol)

    def _received(self, modulation: Tensor, keys: Tensor, snr_db: Tensor) -> Tensor:
        noise = channel.noise(keys, self.data.samples)
        return self._signal(modulation, keys) + noise * self._noise_power(snr_db).sqrt()[:, None]

    def _signal(self, modulation: Tensor, keys: Tensor) -> Tensor:
        offsets = channel.draw(keys, self.data.channel, self.data.pulse)
        gains = channel.paths(keys, self.data.channel)
        step = channel.spacing(self.data.pulse)
        before = 0 if gains is None else (gains.shape[1] - 1) * step
        sent = self._waveform(modulation, keys, offsets, before)
        return channel.turned(sent if gains is None else channel.faded(sent, gains, step), offsets)

    def _waveform(self, modulation: Tensor, keys: Tensor, offsets: Offsets, before: int) -> Tensor:
        """What is sent, complex64, shape (B, before + N)."""
        symbols = torch.complex(*self.alphabet.points(modulation, self.symbols(modulation, keys)))
        turning = self._gmsk[modulation]
        sent = torch.empty(len(keys), before + self.data.samples, dtype=symbols.dtype, device=self.device)
        pulse, largest = self.data.pulse, channel.FARTHEST * self.data.channel.rate_sd
        if bool((rows := ~turning).any()):
            timing = Timing(offsets.timing[rows], offsets.rate[rows], largest)
            staggered, rolloff = self._staggered[modulation[rows]], offsets.rolloff[rows]
            sent[rows] = linear(
                symbols[rows], staggered, self.grid, timing, rolloff, widest=pulse.rolloff[1], before=before
            )
        if bool((rows := turning).any()):
            timing = Timing(offsets.timing[rows], offsets.rate[rows], largest)
            sent[rows] = gmsk(symbols[rows].real, self.grid, timing, pulse.gmsk_bandwidth_time, before=before)
        return sent

    def _in_chunks(self, make: Callable[..., Tensor], *columns: Tensor) -> Tensor:
        return torch.cat([make(*part) for part in zip(*(torch.split(c, CHUNK) for c in columns), strict=True)])


def _real(frames: Tensor) -> Tensor:
    return torch.view_as_real(frames).transpose(1, 2).contiguous()

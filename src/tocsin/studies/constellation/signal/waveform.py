"""Symbols to oversampled waveforms of unit mean power: linear modulation in the frequency domain, and GMSK.

Shapes: B frames, K symbols of the grid with its guards, N samples. ``before``: samples wanted before the frame, for the
echoes of a channel. NaN in a frame's symbols or offsets makes that frame NaN and no other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tocsin.studies.constellation.signal.grid import GUARD, Grid
from tocsin.studies.constellation.signal.pulse import phase_pulse, root_raised_cosine

REACH = 3  # symbols to either side over which a GMSK phase pulse still moves (to 1e-5 at bandwidth-time product 0.2)


@dataclass(frozen=True)
class Timing:
    """When the symbols come, each of shape (B,).

    Attributes:
        delay: Of the first symbol in the frame [samples], fractions included.
        rate: Relative offset of the symbol period, about the middle of the frame.
        largest_rate: No |rate| is above this; it sets how many terms are summed.
    """

    delay: Tensor
    rate: Tensor
    largest_rate: float


def linear(
    symbols: Tensor, staggered: Tensor, grid: Grid, timing: Timing, rolloff: Tensor, *, widest: float, before: int = 0
) -> Tensor:
    """Symbols through a root raised cosine filter, complex64, shape (B, before + N).

    The guards are part of one periodic stream, so that the transform wraps around there and never into the frame. The
    delay is a linear phase, exact for any fraction. A rate offset e moves symbol k by e * (its time from the middle):
    exp(-2 pi j f e t) is summed as a power series whose remainder is below 1e-4 within the frame.

    Args:
        symbols: Complex symbols of unit mean power, guards included, shape (B, K).
        staggered: Whether the quadrature part comes half a symbol later (OQPSK), shape (B,).
        grid: The symbol grid.
        timing: Delays and rate offsets.
        rolloff: Of each frame, at most ``widest``, shape (B,).
        widest: Largest roll-off: frequencies beyond its band are not computed.
        before: Samples wanted before the frame, at most the guard.
    """
    edge = math.ceil(grid.symbols * (1 + widest) / 2)
    bins = torch.arange(-edge, edge + 1, device=symbols.device)
    frequency = bins / grid.length  # cycles a sample
    band = _moved_spectrum(_on_half_grid(symbols, staggered), frequency, edge, grid, timing)
    shape = root_raised_cosine(frequency * grid.per_symbol, rolloff) * grid.per_symbol
    turn = (-2 * math.pi) * frequency[None, :] * timing.delay[:, None]
    band = band * torch.polar(shape, turn)
    spectrum = torch.zeros(len(symbols), grid.length, dtype=band.dtype, device=band.device)
    spectrum[:, : edge + 1], spectrum[:, -edge:] = band[:, edge:], band[:, :edge]
    start = GUARD * grid.per_symbol - before
    waveform: Tensor = torch.fft.ifft(spectrum)
    return waveform[:, start : start + before + grid.samples]


def _on_half_grid(symbols: Tensor, staggered: Tensor) -> Tensor:
    """Symbols on a grid of half symbols (B, 2K): a staggered quadrature part in the slot after the in-phase part."""
    slots = torch.zeros(*symbols.shape, 2, dtype=symbols.dtype, device=symbols.device)
    late = symbols.imag * staggered[:, None]
    slots[..., 0] = torch.complex(symbols.real, symbols.imag - late)
    slots[..., 1] = torch.complex(torch.zeros_like(late), late)
    return slots.flatten(1)


def _moved_spectrum(slots: Tensor, frequency: Tensor, edge: int, grid: Grid, timing: Timing) -> Tensor:
    """Spectrum (B, F) of impulses in the slots, each moved by rate * (its time from the middle of the frame)."""
    reach = grid.samples / 2
    time = grid.from_middle(True, slots.device) / reach
    angle = 2 * math.pi * reach * timing.rate[:, None] * frequency[None, :]
    factor = torch.complex(torch.zeros_like(angle), -angle)
    total = torch.zeros_like(factor)
    for power in reversed(range(_terms(2 * math.pi * reach * float(edge) / grid.length * timing.largest_rate))):
        transform = torch.fft.fft(slots * time**power)
        total = total * (factor / (power + 1)) + torch.cat([transform[:, -edge:], transform[:, : edge + 1]], 1)
    return total


def _terms(largest: float) -> int:
    """Terms of exp(x) for |x| <= largest whose remainder is below 1e-4."""
    power, remainder = 1, largest
    while remainder > 1e-4:
        power += 1
        remainder *= largest / power
    return power


def gmsk(bits: Tensor, grid: Grid, timing: Timing, bandwidth_time: float, *, before: int = 0) -> Tensor:
    """Gaussian minimum shift keying, complex64 of constant modulus 1, shape (B, before + N).

    Each bit turns the phase by a quarter of a turn, along the phase pulse about its instant: computed in time at each
    sample, so that any delay and rate offset is exact.

    Args:
        bits: -1 or 1, guards included, float32, shape (B, K).
        grid: The symbol grid.
        timing: Delays and rate offsets.
        bandwidth_time: Of the Gaussian filter, at least 0.2.
        before: Samples wanted before the frame, at most the guard less ``REACH`` symbols.
    """
    middle = grid.samples / 2
    sample = torch.arange(-before, grid.samples, dtype=torch.float32, device=bits.device)
    moved = (sample[None, :] - middle - timing.delay[:, None]) / (1 + timing.rate[:, None])
    position = (moved + middle) / grid.per_symbol + GUARD  # on the symbol grid
    whole = position.floor()
    number, fraction = whole.to(torch.int64), position - whole
    settled = torch.cumsum(bits, 1).gather(1, number - REACH)
    for offset in range(1 - REACH, REACH + 1):
        turned = phase_pulse(fraction - offset, bandwidth_time)
        settled = settled + bits.gather(1, number + offset) * turned
    return torch.polar(torch.ones_like(settled), settled * (math.pi / 2))

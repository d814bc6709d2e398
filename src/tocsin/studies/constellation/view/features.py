"""Scalar features of a frame: spectral floor, cumulants of the symbols, and the moments' estimate of the SNR.

They are standardised by constants, never by data: the same frame has the same features in every batch and data set.

Shapes: B frames, N samples, K symbols.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

import torch
from torch import Tensor

Scalar = Literal["spectral_floor", "cumulants", "m2m4"]

BAND_EDGE = 0.8  # [symbol rates]: beyond roll-off 0.4 (0.7) with room for carrier offset and the window's leakage
TAPER = 0.25  # share of the frame under the window's cosine ramps: leakage below the noise of 30 dB, 10 % of it lost
LOWEST_DB, HIGHEST_DB = -25.0, 45.0


def spectral_floor(iq: Tensor, per_symbol: int) -> Tensor:
    """SNR of a sample [dB] from the noise floor outside the signal's band, shape (B,).

    The floor is the mean of the windowed periodogram beyond ``BAND_EDGE`` symbol rates; white noise has as much within
    the band, and what the frame has more is signal. Needs no modulation, timing or phase; wrong where the noise is not
    white over the sampled band.

    Args:
        iq: Frames [B, 2, N], any scale.
        per_symbol: Samples a symbol, at least 2: with fewer there is nothing outside the band.

    Returns:
        Decibels in [-25, 45], the limits standing for less and more; NaN where the frame has one.

    Raises:
        ValueError: Fewer than 2 samples a symbol.
    """
    if per_symbol < 2:
        raise ValueError("the spectral floor lies outside the signal's band: expected at least 2 samples a symbol")
    samples = iq.shape[-1]
    power = iq.square().sum(1).mean(1)
    spectrum = torch.fft.fft(torch.complex(iq[:, 0], iq[:, 1]) * _window(samples).to(iq.device))
    beyond = math.ceil(BAND_EDGE / per_symbol * samples)
    outer = torch.view_as_real(spectrum[:, beyond : samples - beyond + 1])
    noise = outer.square().sum(2).mean(1) / samples
    return _decibels(power - noise, noise)


def m2m4(symbols: Tensor) -> Tensor:
    """SNR of a symbol [dB] from second and fourth moment, shape (B,); exact for constant modulus in white noise.

    S^2 = 2 M2^2 - M4 and noise = M2 - S (Pauluzzi and Beaulieu 2000). Of symbols that have several amplitudes it is too
    low and saturates, e.g. at 4 dB for 16QAM: it says kurtosis in decibels.

    Args:
        symbols: Symbol instants [B, 2, K], any scale; not pulse-shaped samples between them.
    """
    power = symbols.square().sum(1)
    second = power.mean(1)
    signal = (2 * second.square() - power.square().mean(1)).clamp_min(0).sqrt()
    return _decibels(signal, second - signal)


def cumulants(symbols: Tensor) -> Tensor:
    """|C20|, |C40| and C42 of symbols [B, 2, K] with their carrier removed, over powers of C21, shape (B, 3).

    C20 = E z^2, C21 = E|z|^2, C40 = E z^4 - 3 C20^2, C42 = E|z|^4 - |C20|^2 - 2 C21^2 (Swami and Sadler 2000, table
    I), with sample means for E. Noise is part of C21, and shrinks all three; moduli, as the phase is known up to a turn
    only. Frames of zeros give NaN.
    """
    z = torch.complex(symbols[:, 0], symbols[:, 1])
    z = z / z.abs().square().mean(1, keepdim=True).sqrt()
    square = z.square()
    c20 = square.mean(1)
    c40 = square.square().mean(1) - 3 * c20.square()
    c42 = z.abs().pow(4).mean(1) - c20.abs().square() - 2
    return torch.stack([c20.abs(), c40.abs(), c42], 1)


# Centre and half width of what 17 modulations at -20 to 30 dB give.
_DECIBELS, _CUMULANTS = ((15.0, 10.0),), ((0.5, 0.5), (1.0, 1.0), (-1.0, 1.0))
_CONSTANTS: dict[Scalar, tuple[tuple[float, float], ...]] = {
    "spectral_floor": _DECIBELS, "cumulants": _CUMULANTS, "m2m4": _DECIBELS,
}  # fmt: skip


def width(scalars: Sequence[Scalar]) -> int:
    """F: the columns of ``standardised``."""
    return sum(len(_CONSTANTS[name]) for name in scalars)


def standardised(scalars: Sequence[Scalar], iq: Tensor, symbols: Callable[[], Tensor], per_symbol: int) -> Tensor:
    """The features in the order of ``scalars``, about in [-2, 2], float32 [B, F].

    Args:
        scalars: Names of features.
        iq: Frames [B, 2, N].
        symbols: Gives the symbol instants without carrier [B, 2, K]; called only if a feature is made of them.
        per_symbol: Samples a symbol.
    """
    made = [iq.new_zeros(len(iq), 0)]
    for name in scalars:
        values = spectral_floor(iq, per_symbol) if name == "spectral_floor" else _OF_SYMBOLS[name](symbols())
        centre, half = torch.tensor(_CONSTANTS[name], device=iq.device).T
        made.append((values.reshape(len(iq), -1) - centre) / half)
    return torch.cat(made, 1)


_OF_SYMBOLS: dict[Scalar, Callable[[Tensor], Tensor]] = {"cumulants": cumulants, "m2m4": m2m4}


def _decibels(signal: Tensor, noise: Tensor) -> Tensor:
    """10 log10(signal / noise) within the limits; NaN only where one is NaN."""
    low, high = 10 ** (LOWEST_DB / 10), 10 ** (HIGHEST_DB / 10)
    ratio = signal / noise.clamp_min(torch.finfo(noise.dtype).tiny)
    return 10 * torch.log10(ratio.clamp(low, high))


@cache
def _window(samples: int) -> Tensor:
    """Tukey window (cosine ramps at both ends) of unit mean power, shape (N,)."""
    position = (torch.arange(samples, dtype=torch.float64) + 0.5) / samples
    ramp = (torch.minimum(position, 1 - position) * (2 / TAPER)).clamp(0, 1)
    window = (1 - torch.cos(math.pi * ramp)) / 2
    return (window / window.square().mean().sqrt()).to(torch.float32)

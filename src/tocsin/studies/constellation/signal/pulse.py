"""Pulses: the root raised cosine by its spectrum, and the phase pulse of GMSK in closed form.

Shapes: B frames, F frequencies. Every function is elementwise: NaN in, NaN out at the same place.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def root_raised_cosine(frequency: Tensor, rolloff: Tensor) -> Tensor:
    """Spectrum of the root raised cosine, 1 in the pass band, 0 beyond (1 + roll-off) / 2; shape (B, F).

    Its square is the raised cosine (Proakis, Digital Communications, 9.2-26 and following), whose pulse is zero at
    all other symbol instants.

    Args:
        frequency: In cycles a symbol, shape (F,).
        rolloff: Of each frame, in (0, 1], shape (B,).
    """
    above = (frequency.abs()[None, :] - (1 - rolloff[:, None]) / 2) / rolloff[:, None]
    return torch.cos(above.clamp(0, 1) * (math.pi / 2))


def gaussian_deviation(bandwidth_time: float) -> float:
    """Standard deviation [symbols] of the Gaussian filter whose -3 dB bandwidth times the symbol period is this."""
    return math.sqrt(math.log(2)) / (2 * math.pi * bandwidth_time)


def phase_pulse(time: Tensor, bandwidth_time: float) -> Tensor:
    """The integral, from 0 to 1, of a Gaussian-filtered rectangular pulse one symbol long; any shape.

    With B the antiderivative of the error function, it is 1/2 + (B(t + 1/2) - B(t - 1/2)) / 2. A bit turns the carrier
    by this times a quarter of a turn (modulation index 1/2).

    Args:
        time: Time from the middle of the pulse [symbols].
        bandwidth_time: Bandwidth times symbol period of the filter; 0.3 is GSM's.
    """
    width = gaussian_deviation(bandwidth_time) * math.sqrt(2)
    return 0.5 + (_ramp(time + 0.5, width) - _ramp(time - 0.5, width)) / 2


def _ramp(time: Tensor, width: float) -> Tensor:
    """Antiderivative of erf(t / width); goes to |t| far from 0."""
    z = time / width
    return time * torch.erf(z) + (width / math.sqrt(math.pi)) * torch.exp(-z.square())

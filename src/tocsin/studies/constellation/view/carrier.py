"""Carrier offset and phase removed blindly from symbol instants, by M-th powers.

A constellation that looks the same after a turn of 1/M has a line at M times the carrier in its M-th power. The
strongest line of all orders gives the offset; the smallest order that has a line at this offset gives the phase, up to
a turn that the constellation does not show. Where no order has a line that noise would not make, nothing is turned:
128QAM has none in a hundred symbols.

Shapes: B frames, K symbols. Source: Viterbi and Viterbi 1983, with the fourth power of the amplitude as weight: the
corners of QAM and the outer rings of APSK carry the line.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

ORDERS = (2, 4, 8, 12, 16, 20, 32, 48)  # ASK; QAM; 8PSK; 16APSK; 16PSK, 32APSK; 64APSK; 32PSK; 128APSK
RANGE = 3.2e-3  # offsets looked for [cycles a symbol]: four standard deviations of 1e-4 cycles a sample at 8 a symbol
CHANCE = 0.01  # how often noise alone may pass for a line

Lines = list[tuple[int, Tensor]]  # orders M, and complex values [B, K] with a line at M times the carrier


def derotate(symbols: Tensor, squares: Tensor | None = None) -> Tensor:
    """Symbols turned back by their estimated carrier offset and phase.

    Args:
        symbols: Symbol instants [B, 2, K].
        squares: For frames whose symbols have no line of their own, something that has one at twice the carrier,
            complex [B, K]; rows of zeros for all others.

    Returns:
        [B, 2, K]; NaN in a frame makes all of it NaN.
    """
    z = torch.complex(symbols[:, 0], symbols[:, 1])
    lines = _powers(z)
    if squares is not None:
        lines[0] = (2, torch.where((squares != 0).any(1, keepdim=True), squares, lines[0][1]))
    offset = _offset(lines)
    z = z * _turn(-offset, z.shape[1])
    z = z * torch.polar(torch.ones_like(offset), -_phase(lines, offset))
    return torch.stack([z.real, z.imag], 1)


def _offset(lines: Lines) -> Tensor:
    """Carrier offset [cycles a symbol], shape (B, 1); 0 where there is no line."""
    frames, length = lines[0][1].shape
    found = lines[0][1].real.new_zeros(frames, 1)
    best = torch.full_like(found, -math.log(CHANCE))
    for order, values in lines:
        frequency, strength = _line(values, _waves(order, length).to(values.device), length)
        strength = strength - math.log(2 * _steps(order, length) + 1)  # so many lines to choose the strongest from
        found = torch.where(strength > best, frequency / order, found)
        best = torch.maximum(best, strength)
    return found


def _line(values: Tensor, waves: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Frequency [cycles a symbol] of the strongest line near zero, and its strength, both [B, 1]."""
    sums = values @ waves
    at = sums.abs().argmax(1, keepdim=True)
    near, half = values * waves.T[at[:, 0]], length // 2
    late = torch.angle(near[:, half : 2 * half].sum(1) * near[:, :half].sum(1).conj())[:, None]
    frequency = (at - waves.shape[1] // 2) / (2 * length) + late / (2 * math.pi * half)
    return frequency, _strength(torch.gather(sums, 1, at), values)


def _strength(line: Tensor, values: Tensor) -> Tensor:
    """Power of a line over what noise has on average: of noise it is exponentially distributed with mean 1."""
    return line.abs().square() / values.abs().square().sum(1, keepdim=True)


def _phase(lines: Lines, offset: Tensor) -> Tensor:
    """Phase [rad] by the first line at the offset [B, 1] that is one, shape (B, 1); 0 where none is."""
    phase = torch.zeros_like(offset)
    for order, values in reversed(lines):
        line = (values * _turn(-order * offset, values.shape[1])).sum(1, keepdim=True)
        phase = torch.where(_strength(line, values) > -math.log(CHANCE), torch.angle(line) / order, phase)
    return phase


def _powers(z: Tensor) -> Lines:
    """Powers of the phase of each of ``ORDERS``, weighted by the fourth power of the amplitude."""
    amplitude = z.abs()
    doubled = {1: z / amplitude.clamp_min(1e-12)}
    for order in (2, 4, 8, 16, 32):
        doubled[order] = doubled[order // 2].square()
    doubled |= {12: doubled[8] * doubled[4], 20: doubled[16] * doubled[4], 48: doubled[32] * doubled[16]}
    weight = amplitude.square().square()
    return [(order, doubled[order] * weight) for order in ORDERS]


def _turn(frequency: Tensor, length: int) -> Tensor:
    """Unit phasors of the frequencies [B, 1] in cycles a symbol, complex [B, K]."""
    phase = 2 * math.pi * frequency * torch.arange(length, device=frequency.device)
    return torch.polar(torch.ones_like(phase), phase)


def _steps(order: int, length: int) -> int:
    """Half cells of resolution on either side of zero that cover the range of the ``order``-th power."""
    return math.ceil(2 * order * RANGE * length)


@cache
def _waves(order: int, length: int) -> Tensor:
    """The conjugate waves that are looked for, half a cell of resolution apart, complex [K, G]."""
    steps = torch.arange(-_steps(order, length), _steps(order, length) + 1, dtype=torch.float32)[:, None]
    return _turn(-steps / (2 * length), length).T.contiguous()

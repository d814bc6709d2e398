"""Pulse-shaped signals computed in time, in plain numpy and float64: nothing here is shared with the generator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]


def root_raised_cosine_pulse(time: Real, rolloff: float) -> Real:
    """The root raised cosine in time [symbols], energy 1 a symbol period (the textbook's formula with its limits)."""
    safe = np.where(np.abs(np.abs(4 * rolloff * time) - 1) < 1e-9, time + 1e-6, time)
    safe = np.where(np.abs(safe) < 1e-9, 1e-9, safe)
    above = np.sin(np.pi * safe * (1 - rolloff)) + 4 * rolloff * safe * np.cos(np.pi * safe * (1 + rolloff))
    return np.asarray(above / (np.pi * safe * (1 - (4 * rolloff * safe) ** 2)))


def superposed(symbols: Complex, instants: Real, samples: int, per_symbol: int, rolloff: float) -> Complex:
    """A frame [samples]: one pulse for each symbol [K], at its instant [samples]."""
    time = (np.arange(samples)[:, None] - instants[None, :]) / per_symbol
    return np.asarray(root_raised_cosine_pulse(time, rolloff) @ symbols)


def matched_filter(frame: Complex, instants: Real, per_symbol: int, rolloff: float) -> Complex:
    """The output [K] at the instants [K] of the filter matched to the pulse."""
    time = (np.arange(frame.size)[None, :] - instants[:, None]) / per_symbol
    return np.asarray(root_raised_cosine_pulse(time, rolloff) @ frame / per_symbol)


def gmsk_phase(bits: Real, per_symbol: int, bandwidth_time: float, fine: int) -> Real:
    """Phase [rad] on a grid ``fine`` times finer than the samples, from 8 symbols before the first bit's instant on.

    The bits as rectangles of cells, filtered by a sampled Gaussian, and summed up to the left edge of each cell.
    """
    step = per_symbol * fine
    lead = 8 * step - step // 2
    drive = np.concatenate([np.zeros(lead), np.repeat(bits, step), np.zeros(8 * step)])
    deviation = np.sqrt(np.log(2)) / (2 * np.pi * bandwidth_time) * step
    smooth = ndimage.gaussian_filter1d(drive, deviation, truncate=8, mode="constant")
    return np.concatenate([[0.0], np.cumsum(smooth) * np.pi / 2 / step])

"""Pulse-shaped frames in plain numpy, float64: an independent twin of what the study's generator makes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tocsin.studies.constellation.signal.modulation import constellation

GUARD = 16  # symbols on either side, so that nothing wraps around into the frame


def root_raised_cosine(frequency: NDArray[np.float64], roll_off: float) -> NDArray[np.float64]:
    """Spectrum at ``frequency`` [cycles a symbol], 1 in the passband."""
    beyond = (np.abs(frequency) - (1 - roll_off) / 2) / roll_off
    return np.cos(np.pi / 2 * np.clip(beyond, 0, 1))


def shaped(
    modulation: str,
    snr_db: float,
    count: int,
    seed: int,
    *,
    symbols: int = 128,
    per_symbol: int = 8,
    roll_off: float | None = None,
    timing: float | None = None,
    carrier: float | None = None,
    phase: float | None = None,
) -> NDArray[np.complex128]:
    """Frames [count, symbols * per_symbol] of unit mean signal power, SNR that of a sample.

    What is None is drawn by frame: roll-off in [.1, .4], timing in [0, 1) symbol, carrier offset of standard deviation
    1e-4 cycles a sample, phase in [0, 2 pi). With ``timing=0`` the first symbol instant is the first sample.
    """
    rng = np.random.default_rng(seed)
    points, long = constellation(modulation), (symbols + 2 * GUARD) * per_symbol
    n, f = np.arange(symbols * per_symbol), np.fft.fftfreq(long) * per_symbol
    frames = np.zeros((count, n.size), dtype=np.complex128)
    for k in range(count):
        impulses = np.zeros(long, dtype=np.complex128)
        impulses[::per_symbol] = rng.choice(points, long // per_symbol)
        if modulation == "OQPSK":
            impulses = impulses.real + 1j * np.roll(impulses.imag, per_symbol // 2)
        alpha = rng.uniform(0.1, 0.4) if roll_off is None else roll_off
        delay = rng.uniform() if timing is None else timing
        spectrum = root_raised_cosine(f, alpha) * np.exp(-2j * np.pi * f * delay) * per_symbol
        signal = np.fft.ifft(np.fft.fft(impulses) * spectrum)[GUARD * per_symbol :][: n.size]
        offset = 1e-4 * rng.standard_normal() if carrier is None else carrier
        start = rng.uniform(0, 2 * np.pi) if phase is None else phase
        frames[k] = signal * np.exp(1j * (2 * np.pi * offset * n + start))
    noise = rng.standard_normal((2, *frames.shape)) * np.sqrt(10 ** (-snr_db / 10) / 2)
    return frames + noise[0] + 1j * noise[1]

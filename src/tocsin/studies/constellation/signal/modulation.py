"""The 17 digital modulations, OOK and GMSK, as exact constellations of unit mean power.

The APSK sets are those of DVB-S2 and DVB-S2X by code rate (``apsk.py``). ASK is bipolar (mean zero) or, as an option,
unipolar: levels 0, 1, ..., M-1, so that OOK is its two-level case. GMSK has no constellation of its own: its symbols
are the bits, -1 and 1, that drive the phase.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tocsin.studies.constellation.signal import apsk

Points = NDArray[np.complex128]


def psk(order: int, offset: float = 0.0) -> Points:
    """``order`` points on one circle, the first at ``offset`` [rad], shape (order,)."""
    return np.asarray(np.exp(1j * (offset + 2 * np.pi * np.arange(order) / order)))


def ask(order: int, *, unipolar: bool = False) -> Points:
    """Amplitude levels -(M-1), ..., M-1 on the real axis, or 0, 1, ..., M-1 if ``unipolar``; shape (order,)."""
    if unipolar:
        return np.arange(order).astype(np.complex128)
    return (2.0 * np.arange(order) - (order - 1)).astype(np.complex128)


def square_qam(order: int) -> Points:
    """A square grid of odd levels, shape (order,)."""
    levels = ask(round(order**0.5))
    return (levels[:, None] + 1j * levels[None, :]).reshape(-1)


def cross_qam(side: int, corner: int) -> Points:
    """A ``side`` x ``side`` grid without its four ``corner`` x ``corner`` corners, shape (side^2 - 4 corner^2,)."""
    points = square_qam(side * side)
    edge = side - 1 - 2 * corner
    outside = (np.abs(points.real) > edge + 0.5) & (np.abs(points.imag) > edge + 0.5)
    return points[~outside]


_PI = np.pi
_RAW: dict[str, Callable[[], Points]] = {
    "BPSK": lambda: psk(2),
    "QPSK": lambda: psk(4, _PI / 4),
    "OQPSK": lambda: psk(4, _PI / 4),
    "8PSK": lambda: psk(8),
    "16PSK": lambda: psk(16),
    "32PSK": lambda: psk(32),
    "16QAM": lambda: square_qam(16),
    "32QAM": lambda: cross_qam(6, 1),
    "64QAM": lambda: square_qam(64),
    "128QAM": lambda: cross_qam(12, 2),
    "256QAM": lambda: square_qam(256),
    "OOK": lambda: ask(2, unipolar=True),
    "GMSK": lambda: ask(2),
}

# Class numbers are part of every frame's seed: names may be added at the end of this tuple, never moved.
NAMES: tuple[str, ...] = (
    "4ASK", "8ASK", "BPSK", "QPSK", "OQPSK", "8PSK", "16PSK", "32PSK", "16APSK", "32APSK", "64APSK", "128APSK",
    "16QAM", "32QAM", "64QAM", "128QAM", "256QAM", "OOK", "GMSK",
)  # fmt: skip

DIGITAL = tuple(name for name in NAMES if name not in ("OOK", "GMSK"))  # the usual 17; the other two are options

# At one sample a symbol the half-symbol delay that makes OQPSK differ from QPSK cannot be seen: the two classes would
# be one, and the ceiling 16/17. GMSK is a phase that moves between the symbols.
ONLY_OVERSAMPLED = ("OQPSK", "GMSK")
SYNCHRONOUS: tuple[str, ...] = tuple(name for name in DIGITAL if name not in ONLY_OVERSAMPLED)


def constellation(name: str, *, rate: str | None = None, unipolar: bool = False) -> Points:
    """The symbols of modulation ``name``, complex128, shape (order,), mean power exactly 1.

    Args:
        name: One of ``NAMES``.
        rate: Code rate of an APSK set, None for its default; other modulations have none.
        unipolar: Whether 4ASK and 8ASK start at zero; other modulations are what they are.

    Raises:
        ValueError: No such modulation, or no such code rate.
    """
    if name not in NAMES:
        raise ValueError(f"unknown modulation {name!r}; choose from {', '.join(NAMES)}")
    points = _raw(name, rate, unipolar)
    return np.asarray(points / np.sqrt(np.mean(np.abs(points) ** 2)))


def _raw(name: str, rate: str | None, unipolar: bool) -> Points:
    if name in apsk.RADII:
        return apsk.apsk(name, rate)
    if name in ("4ASK", "8ASK"):
        return ask(int(name[0]), unipolar=unipolar)
    return _RAW[name]()

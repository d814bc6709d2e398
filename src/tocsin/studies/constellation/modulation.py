"""The 17 digital modulations as exact constellations of unit mean power.

Ring radii and angles of the APSK sets are those of DVB-S2 (ETSI EN 302 307-1, tables 9 and 10) and DVB-S2X
(EN 302 307-2): 16APSK and 32APSK at code rate 3/4, 64APSK = 8+16+20+20 at 7/9, 128APSK at 3/4. ASK is bipolar (its mean
is zero); another polarity would be another data set.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.complex128]


def psk(order: int, offset: float = 0.0) -> Points:
    """``order`` points on one circle, the first at ``offset`` [rad], shape (order,)."""
    return np.asarray(np.exp(1j * (offset + 2 * np.pi * np.arange(order) / order)))


def ask(order: int) -> Points:
    """Bipolar amplitude levels -(M-1), ..., M-1 on the real axis, shape (order,)."""
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


def apsk(*rings: tuple[int, float, float]) -> Points:
    """Concentric circles, each (points, radius, offset [rad])."""
    return np.concatenate([radius * psk(count, offset) for count, radius, offset in rings])


# First quadrant of the standard's 128APSK: radius over the innermost one, and angles in units of pi. The angles are
# irregular, so uniform rings would be another constellation.
_APSK_128 = (
    (1.0, "83/1260 103/560 177/560 243/560"),
    (1.715, "121/2520 113/560 167/560 1139/2520"),
    (2.118, "23/280 169/1008 239/720 117/280"),
    (2.681, "61/720 139/840 281/840 349/840"),
    (2.75, "19/720 563/2520 199/720 341/720"),
    (3.819, "37/1680 11/168 11/105 61/420 929/5040 383/1680 49/180 53/168 1789/5040 1993/5040 73/168 43/90"),
)


def apsk_128() -> Points:
    """The standard's six irregular rings of 16, 16, 16, 16, 16 and 48 points, mirrored into the four quadrants."""
    quadrant = np.concatenate(
        [
            radius * np.exp(1j * np.pi * np.array([float(Fraction(a)) for a in angles.split()]))
            for radius, angles in _APSK_128
        ]
    )
    return np.concatenate([quadrant, -quadrant.conj(), -quadrant, quadrant.conj()])


_PI = np.pi
_RAW: dict[str, Callable[[], Points]] = {
    "4ASK": lambda: ask(4),
    "8ASK": lambda: ask(8),
    "BPSK": lambda: psk(2),
    "QPSK": lambda: psk(4, _PI / 4),
    "OQPSK": lambda: psk(4, _PI / 4),
    "8PSK": lambda: psk(8),
    "16PSK": lambda: psk(16),
    "32PSK": lambda: psk(32),
    "16APSK": lambda: apsk((4, 1.0, _PI / 4), (12, 2.85, _PI / 12)),
    "32APSK": lambda: apsk((4, 1.0, _PI / 4), (12, 2.84, _PI / 12), (16, 5.27, 0.0)),
    "64APSK": lambda: apsk((8, 1.0, _PI / 8), (16, 2.2, _PI / 16), (20, 3.6, _PI / 20), (20, 5.2, _PI / 20)),
    "128APSK": apsk_128,
    "16QAM": lambda: square_qam(16),
    "32QAM": lambda: cross_qam(6, 1),
    "64QAM": lambda: square_qam(64),
    "128QAM": lambda: cross_qam(12, 2),
    "256QAM": lambda: square_qam(256),
}

DIGITAL: tuple[str, ...] = tuple(_RAW)

# At one sample a symbol the half-symbol delay that makes OQPSK differ from QPSK cannot be seen: the two classes would
# be one, and the ceiling 16/17.
SYNCHRONOUS: tuple[str, ...] = tuple(name for name in DIGITAL if name != "OQPSK")


def constellation(name: str) -> Points:
    """The symbols of modulation ``name``, complex128, shape (order,), mean power exactly 1.

    Raises:
        ValueError: No such modulation.
    """
    if name not in _RAW:
        raise ValueError(f"unknown modulation {name!r}; choose from {', '.join(DIGITAL)}")
    points = _RAW[name]()
    return np.asarray(points / np.sqrt(np.mean(np.abs(points) ** 2)))

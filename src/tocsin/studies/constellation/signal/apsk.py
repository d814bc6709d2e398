"""The amplitude and phase shift keying sets of DVB-S2 and DVB-S2X, whose ring radii depend on the code rate.

Radii and angles: ETSI EN 302 307-1 (DVB-S2), tables 9 and 10, for 16APSK and 32APSK; ETSI EN 302 307-2 (DVB-S2X) for
64APSK, 128APSK and the further rates of 16APSK. Rates are in lowest terms: 140/180 of the standard is 7/9 here. Sets of
other ring structures under the same name (16APSK as 8+8, 64APSK as 16+16+16+16 or 4+12+20+28) are not offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.complex128]

# Radii of the second ring onwards, over the innermost one's.
RADII: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "16APSK": {
        "26/45": (3.70,), "3/5": (3.70,), "28/45": (3.50,), "23/36": (3.10,), "2/3": (3.15,), "25/36": (3.10,),
        "13/18": (2.85,), "3/4": (2.85,), "7/9": (3.60,), "4/5": (2.75,), "5/6": (2.70,), "77/90": (3.20,),
        "8/9": (2.60,), "9/10": (2.57,),
    },
    "32APSK": {
        "3/4": (2.84, 5.27), "4/5": (2.72, 4.87), "5/6": (2.64, 4.64), "8/9": (2.54, 4.33), "9/10": (2.53, 4.30),
    },
    "64APSK": {"7/9": (2.2, 3.6, 5.2), "4/5": (2.2, 3.6, 5.2), "5/6": (2.2, 3.5, 5.0)},
    "128APSK": {"3/4": (1.715, 2.118, 2.681, 2.75, 3.819), "7/9": (1.715, 2.118, 2.681, 2.75, 3.733)},
}  # fmt: skip

DEFAULT_RATE = {"16APSK": "3/4", "32APSK": "3/4", "64APSK": "7/9", "128APSK": "3/4"}

# Points of each ring, and the angle of its first in units of pi.
_UNIFORM = {
    "16APSK": ((4, 1 / 4), (12, 1 / 12)),
    "32APSK": ((4, 1 / 4), (12, 1 / 12), (16, 0.0)),
    "64APSK": ((8, 1 / 8), (16, 1 / 16), (20, 1 / 20), (20, 1 / 20)),
}

# First quadrant of the standard's 128APSK, ring by ring, angles in units of pi. They are irregular, so uniform rings
# would be another constellation.
_IRREGULAR = (
    "83/1260 103/560 177/560 243/560",
    "121/2520 113/560 167/560 1139/2520",
    "23/280 169/1008 239/720 117/280",
    "61/720 139/840 281/840 349/840",
    "19/720 563/2520 199/720 341/720",
    "37/1680 11/168 11/105 61/420 929/5040 383/1680 49/180 53/168 1789/5040 1993/5040 73/168 43/90",
)


def apsk(name: str, rate: str | None = None) -> Points:
    """The points of an APSK set, complex128, shape (order,), innermost radius 1.

    Args:
        name: ``16APSK``, ``32APSK``, ``64APSK`` (8+16+20+20) or ``128APSK``.
        rate: Code rate, such as ``3/4``; None is the set's own default.

    Raises:
        ValueError: The standard has no such set at this rate.
    """
    chosen = rate or DEFAULT_RATE[name]
    if chosen not in RADII[name]:
        raise ValueError(f"{name} has no code rate {chosen!r}; choose from {', '.join(RADII[name])}")
    radii = (1.0, *RADII[name][chosen])
    if name == "128APSK":
        return _mirrored(radii)
    rings = zip(radii, _UNIFORM[name], strict=True)
    return np.concatenate([radius * _circle(count, np.pi * first) for radius, (count, first) in rings])


def _circle(count: int, offset: float) -> Points:
    return np.asarray(np.exp(1j * (offset + 2 * np.pi * np.arange(count) / count)))


def _mirrored(radii: tuple[float, ...]) -> Points:
    """Six rings of 16, 16, 16, 16, 16 and 48 points, mirrored into the four quadrants."""
    angles = [np.array([float(Fraction(a)) for a in ring.split()]) for ring in _IRREGULAR]
    quadrant = np.concatenate([r * np.exp(1j * np.pi * a) for r, a in zip(radii, angles, strict=True)])
    return np.concatenate([quadrant, -quadrant.conj(), -quadrant, quadrant.conj()])

"""A curve in one row of block characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
GAP = "x"


def sparkline(values: Sequence[float], width: int = 32) -> str:
    """The curve of ``values`` from their lowest to their highest, at most ``width`` characters.

    More points than ``width`` are averaged in equal blocks. A block without a finite value is shown as ``x``; a
    constant stays in the middle.
    """
    levels = [_mean(part) for part in _parts(values, width)]
    finite = [level for level in levels if math.isfinite(level)]
    if not finite:
        return GAP * len(levels)
    low, high = min(finite), max(finite)
    return "".join(_block(level, low, high) for level in levels)


def _parts(values: Sequence[float], width: int) -> list[Sequence[float]]:
    n = min(len(values), max(1, width))
    return [values[i * len(values) // n : (i + 1) * len(values) // n] for i in range(n)]


def _mean(part: Sequence[float]) -> float:
    finite = [v for v in part if math.isfinite(v)]
    return math.fsum(v / len(finite) for v in finite) if finite else math.nan


def _block(level: float, low: float, high: float) -> str:
    if not math.isfinite(level):
        return GAP
    span = high / 2 - low / 2  # halves: the full range of floats must not overflow
    if span <= 0:
        return BLOCKS[len(BLOCKS) // 2 - 1]
    return BLOCKS[min(len(BLOCKS) - 1, int((level / 2 - low / 2) / span * len(BLOCKS)))]

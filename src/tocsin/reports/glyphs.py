"""A number, its interval and the limit it was compared with, on one small axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tocsin.findings import Evidence
from tocsin.reports.plain import figure

WIDTH = 168.0
MARGIN = 8.0


@dataclass(frozen=True)
class Glyph:
    """Places on an axis of ``WIDTH`` units; None where there is nothing to draw. ``says`` is the same in words."""

    value: float | None
    limit: float | None
    low: float | None
    high: float | None
    says: str


def glyph(e: Evidence) -> Glyph | None:
    """The glyph of one evidence; None where fewer than two finite numbers are there to compare.

    An interval that does not hold the value is of another quantity (a slope, a difference): it has no place here.
    """
    value = e.value if isinstance(e.value, float | int) and not isinstance(e.value, bool) else None
    low, high = e.interval if e.interval is not None else (None, None)
    if value is not None and low is not None and high is not None and not low <= value <= high:
        low = high = None
    finite = [float(v) for v in (value, e.limit, low, high) if v is not None and math.isfinite(v)]
    if len(finite) < 2:
        return None
    start, end = min(finite), max(finite)

    def place(v: float | None) -> float | None:
        if v is None or math.isnan(v):
            return None
        span = end / 2 - start / 2
        share = (max(start, min(end, v)) / 2 - start / 2) / span if span > 0 else 0.5
        return round(MARGIN + share * (WIDTH - 2 * MARGIN), 1)

    parts = [("observed", value), ("limit", e.limit), ("interval from", low), ("to", high)]
    says = " ".join(f"{word} {figure(v)}" for word, v in parts if v is not None)
    return Glyph(place(value), place(e.limit), place(low), place(high), says)

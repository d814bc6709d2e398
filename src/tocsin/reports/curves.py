"""Curves thinned for drawing: no spike, gap or cited point is lost, and all together stay within a budget."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tocsin.run import Floats, Ints, Series

MOST_POINTS = 48_000
MAIN_SHARE = 0.6
LEAST_A_CURVE = 24
DENSE = 900
SPARE = 240
LARGEST, SMALLEST = 1e30, 1e-30  # what an axis of uPlot can be divided into; beyond 1e33 it never ends


def thin(series: Series, points: int, keep: Iterable[int] = ()) -> Ints:
    """Indices of about ``points`` points that draw like the whole: min-max decimation in equal step intervals.

    Each interval keeps its lowest, its highest and its first non-finite point; the first and the last point and all
    points at the steps ``keep`` stay too. A series of at most ``points`` points is returned whole.

    Args:
        series: Shape (n,).
        points: Aimed number of points, at least 4.
        keep: Steps whose points are always kept.

    Returns:
        Ascending indices into the series, shape (m,); m <= points + len(keep) up to repeated steps.
    """
    n = len(series)
    if n <= points:
        return np.arange(n)
    finite = np.isfinite(series.value)
    buckets = max(1, (points - 2) // (2 if finite.all() else 3))
    bucket = _buckets(series.step, buckets)
    lowest = _extreme(bucket, np.where(finite, series.value, np.inf), np.minimum, finite)
    highest = _extreme(bucket, np.where(finite, series.value, -np.inf), np.maximum, finite)
    gaps = _first_of_each(bucket, np.flatnonzero(~finite))
    cited = np.flatnonzero(np.isin(series.step, np.asarray(list(keep), np.int64)))
    chosen: Ints = np.unique(np.concatenate([lowest, highest, gaps, cited, [0, n - 1]])).astype(np.int64)
    return chosen


def _buckets(step: Ints, buckets: int) -> Ints:
    """Bucket of each point; equal steps (a hostile or foreign log) fall back to equal counts."""
    span = float(step[-1]) - float(step[0])
    place = (step - step[0]) / span if span > 0 else np.linspace(0, 1, step.size)
    return np.minimum((place * buckets).astype(np.int64), buckets - 1)


def _extreme(bucket: Ints, value: Floats, ufunc: np.ufunc, finite: Any) -> Ints:
    """Index of the first finite point of each bucket that holds its extreme value."""
    starts = np.flatnonzero(np.diff(bucket, prepend=-1))
    best = np.repeat(ufunc.reduceat(value, starts), np.diff(starts, append=bucket.size))
    return _first_of_each(bucket, np.flatnonzero(finite & (value == best)))


def _first_of_each(bucket: Ints, at: Ints) -> Ints:
    """Of the ascending indices ``at``, the first in each bucket."""
    first: Ints = at[np.diff(bucket[at], prepend=-1) != 0]
    return first


def drawable(series: Series, at: Ints) -> dict[str, Any]:
    """The chosen points as JSON data: ``x``, ``y`` with five digits, and ``bad`` = [first step, last step, what].

    What is not finite or beyond 1e30 is null in ``y`` and named in ``bad``; below 1e-30 is drawn as 0.
    """
    step, value = series.step[at], series.value[at]
    fits = np.abs(value) <= LARGEST
    return {
        "x": step.tolist(),
        "y": [_rounded(v) if ok else None for v, ok in zip(value.tolist(), fits.tolist(), strict=True)],
        "bad": list(_bad_runs(step, value, np.flatnonzero(~fits))),
    }


def _rounded(value: float) -> float:
    return float(f"{value:.5g}") if abs(value) >= SMALLEST else 0.0


def _bad_runs(step: Ints, value: Floats, bad: Ints) -> Iterator[list[Any]]:
    for run in np.split(bad, np.flatnonzero(np.diff(bad) > 1) + 1):
        if run.size:
            kinds = {_kind(v) for v in value[run].tolist()}
            yield [int(step[run[0]]), int(step[run[-1]]), ", ".join(sorted(kinds))]


def _kind(value: float) -> str:
    return "NaN" if math.isnan(value) else f"{value:+.0g}" if math.isinf(value) else "beyond 1e30"


def medians(series: Series, blocks: int = 150) -> Series | None:
    """Medians of equal blocks of the finite points, for a curve through noise; None below 3 points a block."""
    finite = series.finite
    size = len(finite) // blocks
    if size < 3:
        return None
    n = size * (len(finite) // size)
    value = np.median(finite.value[:n].reshape(-1, size), axis=1)
    return Series.of(f"median of {size} points", value, finite.step[size // 2 : n : size])


@dataclass
class Curves:
    """Collects the series that a page draws, each once, and thins them together.

    ``want`` may be called several times for one series; once a main curve it stays one, and all cited steps are kept.
    """

    series: list[Series] = field(default_factory=list)
    main: list[bool] = field(default_factory=list)
    keep: list[set[int]] = field(default_factory=list)
    place: dict[int, int] = field(default_factory=dict)

    def want(self, series: Series, *, main: bool = True, keep: Iterable[int] = ()) -> int:
        """Ask for a series, in full detail where ``main``; returns its place in ``drawn``."""
        at = self.place.setdefault(id(series), len(self.series))
        if at == len(self.series):
            self.series.append(series)
            self.main.append(main)
            self.keep.append(set())
        self.main[at] |= main
        self.keep[at] |= set(keep)
        return at

    def drawn(self, most: int = MOST_POINTS) -> list[dict[str, Any]]:
        """All curves as JSON data, about ``most`` points together (never fewer than 24 a curve).

        The main curves are served first, with up to 60 % of the points; the others share what is left.
        """
        main_points, taken = self._each(DENSE, most * MAIN_SHARE, main=True)
        spare_points, _ = self._each(SPARE, most - taken, main=False)
        return [
            drawable(s, thin(s, main_points if main else spare_points, sorted(keep)))
            for s, main, keep in zip(self.series, self.main, self.keep, strict=True)
        ]

    def _each(self, wish: int, budget: float, *, main: bool) -> tuple[int, int]:
        """Points for each of the main (or other) curves inside a budget, and how many that takes in all."""
        sizes = [len(s) for s, is_main in zip(self.series, self.main, strict=True) if is_main == main]
        asked = sum(min(n, wish) for n in sizes)
        each = max(LEAST_A_CURVE, int(wish * min(1.0, budget / asked))) if asked else wish
        return each, sum(min(n, each) for n in sizes)

"""The rise of an evaluation loss after its minimum: where it stands, and what else moved since."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tocsin import learning, names, stats
from tocsin.run import Run, Series

# Tail lengths at which the rise is judged: about four in each doubling, so that few looks spend the level.
_LENGTHS = [5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28] + [round(32 * 2 ** (k / 4)) for k in range(30)]
FEW = 5  # evaluations from which noise can be measured
LONG = 10  # from here on one side of the interval is enough: the other is no fault
_BEYOND = 3  # standard errors of a median: 2 for the lowest of many, which is low by selection, 2 for the level now
SHORT_RISE = 3  # a shorter tail has to rise by this many times as much: its autocorrelation cannot be measured
_BENT = 0.1  # fall of the training loss from its first quarter to its last, where a bend hides its trend
_MOVED = 0.01  # relative change of a metric over 2 to 4 evaluations that says which way it goes


@dataclass(frozen=True)
class Rise:
    """The evaluation losses after their minimum, and the first stretch of them that is a rise beyond noise.

    Attributes:
        loss: The evaluation loss.
        end: The last evaluation of the first window whose median comes near the lowest.
        lowest: The lowest evaluation of the window whose median is lowest.
        minimum: That median.
        length: Evaluations after the window up to which the rise is proven, ``low`` to ``high`` its interval.
    """

    loss: Series
    end: int
    lowest: int
    minimum: float
    length: int
    low: float
    high: float

    @property
    def step(self) -> int:
        return int(self.loss.step[self.lowest])

    @property
    def last(self) -> int:
        """How many evaluations the level now is the median of: as many as the minimum is, and at least 3."""
        return max(3, 2 * (len(self.loss) // 20) + 1)

    @property
    def now(self) -> float:
        return float(np.median(self.loss.value[-self.last :]))

    @property
    def proven_at(self) -> int:
        return int(self.loss.step[self.end + self.length])


def find(run: Run, loss: Series, train: Series, rise: float, confidence: float) -> Rise | None:
    """The rise after the minimum, where it is beyond noise and the training loss fell meanwhile; else None."""
    half = len(loss) // 20
    levels = stats.running_medians(loss.value, half)[half : len(loss) - half]
    middle, minimum = int(np.argmin(levels)) + half, float(levels.min())
    limit = minimum + rise * max(abs(minimum), 0.1 * (float(loss.value[0]) - minimum))
    error = _error_of_median(loss, 2 * half + 1)
    near, limit = max(limit, minimum + 2 * error), max(limit, minimum + _BEYOND * error)
    first = int(np.flatnonzero(levels <= near)[0]) + 2 * half
    lowest = middle - half + int(np.argmin(loss.value[middle - half : middle + half + 1]))
    whole = len(loss) - 1 - middle - half
    tries = [(first, k, confidence if k < LONG else 2 * confidence - 1) for k in _lengths(run, len(loss) - 1 - first)]
    if run.exit != "running" and whole >= LONG:
        tries.append((middle + half, whole, 1 - (1 - confidence) / 5))
    for end, length, level in tries:
        risen = Rise(loss, end, lowest, minimum, length, 0.0, 0.0)
        slope = _rising(risen, train, limit, level) if risen.now > limit and fallen(train, risen, rise) else None
        if slope is not None:
            return replace(risen, low=slope[0], high=slope[1])
    return None


def _rising(risen: Rise, train: Series, limit: float, confidence: float) -> tuple[float, float] | None:
    """Interval of the rise over the evaluations after the window, where it is one and training fell."""
    part = risen.loss[risen.end + 1 : risen.end + 1 + risen.length]
    slope = stats.trend(part.step, part.value, confidence)
    least = risen.minimum + (limit - risen.minimum) * (1 if risen.length >= LONG else SHORT_RISE)
    if not slope.rising or not np.median(part.value[-risen.last :]) > least:
        return None
    seen = train[int(np.searchsorted(train.step, risen.loss.step[risen.end])) :].until(int(part.step[-1]))
    span = float(part.step[-1] - part.step[0])
    return (slope.low * span, slope.high * span) if _falls(seen) else None


def _falls(train: Series) -> bool:
    """Whether a stretch of the training loss falls: by its trend, or, where that bends, from quarter to quarter."""
    if stats.trend(train.step, train.value).falling:
        return True
    first, last = learning.ends(train, 0.25)
    drop = first.value - last.value
    return len(train) >= 8 and drop > max(_BENT * abs(first.value), 3 * learning.scatter(train.value))


def _lengths(run: Run, tail: int) -> list[int]:
    """Tail lengths to try; when the run is over the whole tail is one of them."""
    tried = [k for k in (_LENGTHS[1:] if run.exit == "running" else _LENGTHS) if k <= tail]
    return tried if run.exit == "running" or tail < _LENGTHS[0] or tail in tried else [*tried, tail]


def fallen(train: Series, risen: Rise, rise: float) -> bool:
    """Whether the training loss fell, from the minimum to now, by twice what the evaluation loss has to rise."""
    before, after = around(train, risen)
    return before - after > 2 * rise * max(abs(before), 0.1 * (float(train.value[0]) - before)) if len(train) else False


def around(train: Series, risen: Rise) -> tuple[float, float]:
    """The training loss at the minimum and now: medians of as many values as an evaluation has, at most 32."""
    per = min(32, max(1, round(len(train) / max(1, len(risen.loss)))))
    parts = [train.until(step).value[-per:] for step in (risen.step, int(risen.loss.step[-1]))]
    before, after = (float(np.median(part if part.size else train.value[:per])) for part in parts)
    return before, after


def _error_of_median(loss: Series, window: int) -> float:
    """Standard error of a running median of the evaluations; second differences are free of slope and turn."""
    if window < 3:
        return 0.0
    return 1.2533 * stats.robust_level(np.diff(loss.value, 2))[1] / math.sqrt(6 * window)


def _goes(values: Series, sign: int) -> bool:
    """Whether few values go one way: in an order that chance seldom makes, and by enough."""
    y = sign * values.value
    return bool(y[-1] - y[0] > _MOVED * abs(y[0]) and stats.order_p(y) < 0.05)


def metrics_since(run: Run, risen: Rise) -> tuple[list[str], list[str]]:
    """The split's metrics that improve and that get worse over the evaluations since the minimum."""
    better: list[str] = []
    worse: list[str] = []
    split = names.split_of(risen.loss.name) or risen.loss.name.partition("/")[0]
    for name, series in run.series.items():
        sign = names.direction(name)
        if not sign or not name.startswith(f"{split}/") or name.startswith(f"{split}/loss") or name == risen.loss.name:
            continue
        since = series.finite[int(np.searchsorted(series.finite.step, risen.step)) :]
        if len(since) < FEW:
            moved = learning.improves(since, sign, _MOVED) - learning.improves(since, -sign, _MOVED)
        elif len(since) < LONG:
            moved = _goes(since, sign) - _goes(since, -sign)
        else:
            slope = stats.trend(since.step, sign * since.value)
            moved = slope.rising - slope.falling
        (better if moved > 0 else worse if moved < 0 else []).append(name)
    return better, worse

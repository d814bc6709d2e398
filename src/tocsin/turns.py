"""Where a training loss turns upwards for good, bursts or spikes, and what else of the run moved since."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import learning, movement, names, stats
from tocsin.run import Floats, Ints, Run, Series

_RETURNS = 0.1  # of the rise, over the last third: the loss is coming back
_ACCURACY = frozenset(("acc", "accuracy", "accu", "top1", "acc1"))
_GUESSES = (0.05, 0.6)  # accuracies that a guess among 2 to 20 classes reaches
_WANDERS = 0.1  # accuracy of a guess, by the sampling of a few hundred cases and the class it changes to
_GOOD = 0.9
_BURST = 1e3  # times a loss's own level: no value of 262 public healthy logs reaches 100
_FIRST = 20  # values in which a loss leaps: the first steps
_THROW, _WITHIN = 5.0, 32  # times their first norm; optimizer steps
_DOUBLED = 2.0


@dataclass(frozen=True)
class Leap:
    """A loss that grew by orders within its first values.

    Attributes:
        start, top: The first value and the largest one, possibly inf; ``step`` is that of the top.
        gone: The loss is no number since.
    """

    start: float
    top: float
    step: int
    gone: bool


@dataclass(frozen=True)
class Throw:
    """Parameters that the first steps threw far from where they began, and the loss with them.

    Attributes:
        first, then: Norm of the parameters at the first sample and the largest one within 32 optimizer steps of it.
        begin, step: Steps of these.
        name: The loss that rose: the total, or a term of it.
        start, top: Its first value (median of 3), the largest one since.
        at: Step of the largest value.
        kept, end: The loss, total or term, that made up for it least, and its last tenth (median).
        share: That end as a share of its start.
    """

    first: float
    then: float
    begin: int
    step: int
    name: str
    start: float
    top: float
    at: int
    kept: str
    end: float
    share: float


@dataclass(frozen=True)
class Course:
    """The training loss as medians of up to 40 equal parts, and where it turned.

    Attributes:
        parts: The levels.
        low: Index of the lowest level.
        noise: Scatter of the levels about a slow trend.
    """

    parts: Series
    low: int
    noise: float

    @property
    def start(self) -> float:
        return float(self.parts.value[0])

    @property
    def bottom(self) -> float:
        return float(self.parts.value[self.low])

    @property
    def last(self) -> Floats:
        """The levels of the last fifth, at least 3."""
        return self.parts.value[-max(3, len(self.parts) // 5) :]

    @property
    def end(self) -> float:
        return float(np.median(self.last))

    @property
    def lost(self) -> float:
        """How much of the fall from the start was lost again; inf where there was no fall."""
        fall = self.start - self.bottom
        return (self.end - self.bottom) / fall if fall > 0 else math.inf


def turned(course: Course, lost: float, rise: float) -> bool:
    """Whether the loss rose for good after its lowest level."""
    parts, n = course.parts, len(course.parts)
    if n - 1 - course.low < max(3, n // 5):
        return False
    needed = max(6 * course.noise, rise * abs(course.bottom), 1e-12)
    floor = course.bottom + max(lost * (course.start - course.bottom), 0.5 * needed)
    tail = parts[-max(5, n // 3) :]
    slope = stats.trend(tail.step, tail.value)
    back = -slope.slope * float(tail.step[-1] - tail.step[0])
    returns = slope.falling and back > _RETURNS * (course.end - course.bottom)
    return bool(course.end - course.bottom > needed and course.last.min() > floor and not returns)


def leap(loss: Series) -> Leap | None:
    """The leap of a loss to 1000 times its first value and more, within its first 20 values; None where there is none.

    The value before or after the top is 10 times the first as well, unless the loss is gone: one odd batch is no leap.

    Args:
        loss: All points, those that are no numbers too.
    """
    size = np.abs(loss.value[:_FIRST])
    if size.size < 2 or not 0 < size[0] < math.inf:
        return None
    known = np.where(np.isnan(size), 0.0, size)
    top = int(np.argmax(known))
    if known[top] < _BURST * size[0]:
        return None
    high = known >= 10 * size[0]
    gone = not np.isfinite(loss.value[-1]) and not np.isfinite(loss.value[max(_FIRST, top + 1) :]).any()
    if not (gone or high[max(1, top - 1) : top + 2].sum() > 1):
        return None
    return Leap(float(size[0]), float(known[top]), int(loss.step[top]), gone)


def throw(run: Run, loss: Series) -> Throw | None:
    """Parameters at 5 times their first norm within 32 steps, and a loss at twice its start in the first fifth.

    The loss also has to rise by 6 times its scatter from value to value in the later half. It may be a term instead,
    if it is a tenth of the total and more: learned weights lower a total whose terms rise.
    """
    norm, counter = run.get("param/norm"), run.get("count/optimizer")
    if norm is None or len(norm.finite) < 2 or len(loss) < _FIRST:
        return None
    known = norm.finite
    done = movement.held(counter, known.step) if counter is not None else known.step
    early = known.value[done <= done[0] + _WITHIN]
    peak = int(np.argmax(early))
    if not 0 < _THROW * known.value[0] <= early[peak]:
        return None
    least = 0.1 * _begin(loss)
    terms = {f"train/loss/{name}": series.finite for name, series in sorted(run.family("train/loss").items())}
    large = {name: series for name, series in terms.items() if len(series) >= _FIRST and _begin(series) >= least > 0}
    losses = {"train/loss": loss, **large}
    risen = next((name for name in losses if _doubled(losses[name])), None)
    if risen is None:
        return None
    last = {name: learning.ends(series)[1].value for name, series in losses.items()}
    kept = max(losses, key=lambda name: last[name] / _begin(losses[name]))
    top = _top(losses[risen])
    return Throw(
        float(known.value[0]), float(early[peak]), int(known.step[0]), int(known.step[peak]),
        risen, _begin(losses[risen]), float(losses[risen].value[top]), int(losses[risen].step[top]),
        kept, last[kept], last[kept] / _begin(losses[kept]),
    )  # fmt: skip


def _begin(loss: Series) -> float:
    return float(np.median(loss.value[:3]))


def _top(loss: Series) -> int:
    """Index of the largest value of the first fifth."""
    return int(np.argmax(loss.value[: max(_FIRST, len(loss) // 5)]))


def _doubled(loss: Series) -> bool:
    """Whether the loss came to twice its start in the first fifth, far beyond its scatter in the later half."""
    start, noise = _begin(loss), learning.scatter(loss.value[len(loss) // 2 :])
    return bool(0 < max(_DOUBLED * start, start + 6 * noise) < loss.value[_top(loss)])


def evaluations_since(run: Run, step: int) -> str:
    """What losses and metrics of evaluations did since a step: "improved", "got worse" or ""."""
    better = worse = 0
    for _, series, sign in learning.eval_series(run):
        at = max(0, int(np.searchsorted(series.step, step, side="right")) - 1)
        if len(series) - at >= 2:
            better += learning.improves(series[at:], sign)
            worse += learning.improves(series[at:], -sign)
    return "improved" if better > worse else "got worse" if worse > better else ""


def fallen_terms(run: Run, step: int) -> list[str]:
    """Terms of the loss that fell by a tenth after a step."""
    found = []
    for term, series in run.family("train/loss").items():
        since = series.finite[int(np.searchsorted(series.finite.step, step)) :]
        if len(since) >= 10 and learning.fallen(since) > 0.1:
            found.append(f"train/loss/{term}")
    return sorted(found)[:3]


def solved(run: Run) -> bool:
    """Whether a metric out of 1 ends at 0.9 and more: the loss then moves within next to nothing."""
    shares = [learning.share(name, series) for name, series, sign in learning.eval_series(run) if sign > 0]
    return any(float(np.median(s.value[-3:])) >= _GOOD for s in shares if s is not None)


def worse_than_first(run: Run) -> Iterator[Series]:
    """Losses and metrics of evaluations that are far worse in each of 4 or more after the first."""
    for name, series, sign in learning.eval_series(run):
        first, later = float(series.value[0]), series.value[1:]
        far = 0.5 if name in names.eval_losses(run.series) else 0.1
        if later.size >= 4 and first > 0 and float(np.max(sign * (later - first))) < -far * first:
            yield series


def guessing(run: Run) -> tuple[str, float, int] | None:
    """An accuracy of an evaluation that stays at a guess: name, best value, step; None where some accuracy does not."""
    found = []
    for name in run.series:
        if not _ACCURACY & set(re.findall(r"[a-z0-9]+", name.rpartition("/")[2].lower())):
            continue
        fraction = learning.share(name, learning.finite(run, name))
        if fraction is None or len(fraction) < 3:
            continue
        best = float(fraction.value.max())
        if not _GUESSES[0] <= best < _GUESSES[1] or best - float(fraction.value.min()) > _WANDERS:
            return None
        if names.split_of(name) != "train":
            found.append((name, best, int(fraction.step[int(np.argmax(fraction.value))])))
    return max(found, key=lambda one: one[1], default=None)


def spike_points(y: Floats, window: int = 50) -> Ints:
    """Indices of the first points of upward spikes against the ``window`` points before."""
    if y.size < 2 * window:
        return np.empty(0, np.int64)
    before = np.lib.stride_tricks.sliding_window_view(y, window)[:-1]
    middle = np.median(before, axis=1)
    spread = 1.4826 * np.median(np.abs(before - middle[:, None]), axis=1)
    high = y[window:] > middle + np.maximum(10 * spread, np.abs(middle))
    first = np.flatnonzero(high[:-1] & high[1:] & ~np.concatenate([[False], high[:-2]]))
    return (first + window).astype(np.int64)


def outbursts(y: Floats) -> tuple[Ints, float]:
    """Indices of values 1000 times and more above the level of a loss, and that level: a loss that comes down again.

    The level is the largest of the first value, the median of the first tenth (at least 3) and that of all, in size,
    so that a loss which falls to next to nothing has none. None where less than half of the last third is within 10
    times the level: such a loss has grown.
    """
    size = np.abs(y)
    level = max(float(size[0]), float(np.median(size[: max(3, size.size // 10)])), float(np.median(size)))
    at = np.flatnonzero(size > _BURST * level) if level > 0 else np.empty(0, np.int64)
    calm = float(np.median(size[-max(2, size.size // 3) :])) <= 10 * level
    return (at if calm else at[:0]).astype(np.int64), level

"""Whether training moved anything: how far the parameters went, how far the loss came, which optimizer drove it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tocsin import learning, stats
from tocsin.run import Floats, Ints, Parameter, Run, Series

FEWEST = 16
_SAMPLES = 8
_CHANGE, _HIDDEN = 0.02, 0.05
_GUESS, _WANDERS = 0.6, 0.1  # accuracies below one, within the other: a guess, by its sampling and its class
_ADAM = ("adam", "adafactor", "lion", "rmsprop", "adagrad", "lamb", "adadelta", "novograd", "sophia", "muon")


@dataclass(frozen=True)
class Standing:
    """How far the training loss went over the whole run, as a share of where it began.

    Attributes:
        change: Theil-Sen slope times the run's length over the level of the first tenth; below 0 it fell.
        low, high: The 95 % interval of it.
        still: It cannot have fallen by more than 5 %, by estimate not by 2 %, neither along a line nor at once, and no
            evaluation improved by 2 % beyond its scatter. A metric out of 1 whose values lie below 0.6 and within 0.1
            of each other does not count: a guess reaches those, and a drift of the outputs changes which.
        fell: How far the last tenth lies below the first, as a share of it.
        step: Step of the last point.
        value: The last point.
    """

    change: float
    low: float
    high: float
    still: bool
    fell: float
    step: int
    value: float

    @property
    def words(self) -> str:
        """For messages."""
        if not self.still:
            return f"the training loss {'fell' if self.fell > 0 else 'rose'} by {abs(self.fell):.0%}"
        return f"the training loss changed by {self.change:+.1%} [{self.low:+.1%}, {self.high:+.1%}]"


def standing(run: Run, after: float = 0.0) -> Standing | None:
    """Where the training loss stands; None below ``FEWEST`` finite points, and for losses that need not fall.

    ``after`` is the share of the first points to leave out: the fall to what knows the priors alone is soon over.
    """
    loss = run.get("train/loss")
    loss = None if loss is None else loss.finite
    loss = loss if loss is None else loss[int(after * len(loss)) :]
    if loss is None or len(loss) < FEWEST or learning.unlike_progress(run):
        return None
    first, last = learning.ends(loss)
    slope = stats.trend(loss.step, loss.value)
    span = float(loss.step[-1] - loss.step[0]) / abs(first.value) if first.value else math.nan
    change, low, high = slope.slope * span, slope.low * span, slope.high * span
    fell = (first.value - last.value) / abs(first.value) if first.value else math.nan
    better = any(_improves(s, sign) and not _guesses(name, s) for name, s, sign in learning.eval_series(run))
    still = bool(change > -_CHANGE and low > -_HIDDEN and fell < _CHANGE) and not better
    return Standing(change, low, high, still, fell, int(loss.step[-1]), float(loss.value[-1]))


def _guesses(name: str, values: Series) -> bool:
    """Whether a metric out of 1 stays where guesses are."""
    fraction = learning.share(name, values)
    return fraction is not None and bool(fraction.value.max() < _GUESS and np.ptp(fraction.value) <= _WANDERS)


def _improves(values: Series, sign: int) -> bool:
    """As ``learning.improves``, but the best of many values that stand still has to be 5 scatters away, not 3."""
    y = sign * values.finite.value
    if y.size < 5:
        return learning.improves(values, sign)
    slope, size = stats.trend(values.finite.step, y), _CHANGE * max(abs(float(y[0])), abs(float(np.median(y))))
    moved = slope.slope * float(values.finite.step[-1] - values.finite.step[0])
    return bool((slope.rising and moved > size) or y.max() - y[0] > max(size, 5 * math.sqrt(2) * learning.scatter(y)))


def held(series: Series, steps: Ints) -> Floats:
    """The latest value at each of ``steps`` of a series that is recorded when it changes; 0 before its first point."""
    at = np.searchsorted(series.step, steps, side="right") - 1
    return np.where(at >= 0, series.value[at.clip(0)], 0.0)


def starved(run: Run, since: int = 0) -> list[Parameter]:
    """Trainable tensors of an optimizer that got no gradient, or exactly 0, in every sample since a step.

    Samples are those of a whole gradient above 0 where it was recorded; at least 8 of them.
    """
    whole = run.get("grad/norm")
    found = []
    for p in run.parameters:
        count, norm = run.get(f"grad/count/{p.name}"), run.get(f"grad/norm/{p.name}")
        known = [s for s in (count, norm) if s is not None]
        if not (known and p.requires_grad and p.in_optimizer):
            continue
        steps = np.unique(np.concatenate([s.step for s in known]))
        if whole is not None:
            steps = np.intersect1d(steps, whole.step[np.isfinite(whole.value) & (whole.value > 0)])
        steps = steps[steps >= since]
        without = np.concatenate([s.step[s.value == 0] for s in known])
        if steps.size >= _SAMPLES and np.isin(steps, without).all():
            found.append(p)
    return found


def completed(run: Run) -> int:
    """Optimizer steps that were completed in this record; 0 where they were not counted."""
    counter = run.get("count/optimizer")
    return int(counter.value[-1]) if counter is not None and np.isfinite(counter.value[-1]) else 0


def path(run: Run, rate: Series) -> float:
    """Sum of a quantity per optimizer step (a learning rate, an update) over all completed steps of the record.

    Each value holds from its point to the next one, the first from the beginning.
    """
    points, counter = rate.finite, run.get("count/optimizer")
    if counter is None or not len(points):
        return math.nan
    until = np.append(points.step[1:] - 1, counter.step[-1])
    done = np.diff(held(counter, until), prepend=0.0)
    return float(points.value @ np.maximum(done, 0.0))


def optimizers(run: Run) -> tuple[str, ...]:
    """Classes of the run's optimizers in lower case, from the watch or else the configuration; empty where unknown."""
    known = run.environment.get("optimizers")
    if isinstance(known, list | tuple) and known:
        return tuple(str(name).lower() for name in known)
    told = [v for k, v in _named(run.config) if k in ("optimizer", "optim", "optimizer_type", "optimizer.name")]
    told += [v for k, v in _named(run.config) if k in ("optimizer.type", "optimizer.class", "optimizer._target_")]
    return tuple(v.lower() for v in told)


def _named(config: Mapping[str, object], head: str = "", depth: int = 0) -> list[tuple[str, str]]:
    """Dotted keys (the last two parts) and texts, at most 4 levels down."""
    found = []
    for key, value in config.items():
        name = ".".join([*head.split(".")[-1:], str(key).lower()]).lstrip(".")
        if isinstance(value, Mapping) and depth < 4:
            found += _named(value, name, depth + 1)
        elif isinstance(value, str):
            found.append((name, value))
    return found


def scale_free(run: Run) -> bool | None:
    """Whether multiplying all gradients by a constant leaves the updates as they are (Adam and its kin).

    None where the optimizer is not known.
    """
    names = optimizers(run)
    if not names:
        return None
    return all(any(word in name for word in _ADAM) for name in names)


def bias_cancels(run: Run, p: Parameter, first: int, last: int) -> bool:
    """Whether a bias gets gradients that add up to 0 between two steps while its module's weight has one.

    The module is part of the graph then, and the loss does not depend on a shift of its output: a ranking loss or a
    critic takes differences of it.
    """
    if not (p.module and p.name.rpartition(".")[2].startswith("bias") and _some(run, "grad/count", p, first, last)):
        return False
    beside = (q for q in run.parameters if q.module == p.module and q.name != p.name and q.requires_grad)
    return any(
        _some(run, "grad/norm", q, first, last) and _some(run, "grad/zero_frac", q, first, last, 1) for q in beside
    )


def _some(run: Run, stem: str, p: Parameter, first: int, last: int, other: float = 0.0) -> bool:
    """Whether a sample of the tensor between two steps is finite and not ``other``."""
    series = run.get(f"{stem}/{p.name}")
    if series is None:
        return False
    here = series.value[(series.step >= first) & (series.step <= last)]
    return bool((np.isfinite(here) & (here != other)).any())

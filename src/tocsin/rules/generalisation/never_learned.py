"""GEN002 never-learned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import learning, names, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run, Series

_GOOD, _POOR, _POOREST = 0.8, 0.6, 0.5
_QUIET = 0.06  # a model at chance gives nearly the same loss for every batch
_FLOOR = 0.01
_CREPT = 0.002  # fall over a whole run, as a share, that is a step too small whatever the task
_FEWEST, _SAME = 5, 0.005
_RECORDS, _RISES, _EVEN = 4, 0.05, 4.0  # records that rise one after another, by how much, in sds of a random walk


@dataclass(frozen=True)
class Flat:
    """A loss without trend: its start, and the interval of its whole change."""

    loss: Series
    start: float
    low: float
    high: float

    @property
    def noise(self) -> float:
        return learning.scatter(self.loss.value) / abs(self.start)


@rule(
    "GEN002",
    needs=(),
    severity="warning",
    when="end",
    explains=("EVL002", "EVL003", "GEN004", "OBJ009", "RUN004"),
)
def never_learned(run: Run, *, change: float = 0.02, confidence: float = 0.95) -> Iterator[Finding | NotChecked]:
    """The loss is where it began: it does not fall from the first record to the last.

    ## What it does
    With `t` the training loss (or a metric that stands for it, as in GEN001), `a` its median over the first
    twentieth, `T` the steps, rings, at the first evaluation, when the Theil-Sen interval of its slope satisfies

    `slope_high >= 0`, `slope * T > -change * a` and `slope_low * T > -5 % of a`

    (or, where the best metric out of 1 is below 0.6, also `slope_high < 0` with `slope_low * T > -change / 2 * a`: a
    fall that is proven and next to nothing; or, as a note, where no such metric is recorded and the fall is less than a
    fifth of a percent),

    the first fiftieth of the values does not lie above the rest by `change * a` and 3 standard errors (it did not fall
    at once and then stand), and no evaluation loss or metric improved by `change`, beyond its scatter.

    It rings as well, from 4 records on, where the training loss and the evaluation loss both rise at each of them, by
    5 % in all and by 4 sd of a random walk with such second differences: noise rises in one of them, and not evenly.

    A warning needs a sign of ignorance besides: a metric out of 1 (accuracy, F1, ...) that never came above 0.6, or,
    where no such metric is recorded, a loss with little noise (scatter below 6 %: a model at chance loses nearly the
    same on every batch) of a run that starts from nothing. Where it says that it starts from a trained model both are
    needed, and a metric below 0.5. Otherwise it is a note. Not checked where the run was
    resumed or its record begins late: its first loss is not that of its start. Silent where a metric is good (0.8 and
    more), where the loss is below 0.01, and in reinforcement learning and adversarial training.

    ## Why is this bad?
    Nothing was learned in all the steps, and more steps of the same will not change it: the gradient does not reach
    the weights, the learning rate is next to nothing, the labels do not belong to the inputs, or the units are dead.

    ## Example
    ```python
    rng = np.random.default_rng(0)
    loss = 2.303 + 0.02 * rng.standard_normal(2000)
    run = Run.of(series={"train/loss": loss})
    ```
    Use instead:
    ```python
    rng = np.random.default_rng(0)
    loss = 0.4 + 1.9 * np.exp(-np.arange(2000) / 400) + 0.02 * rng.standard_normal(2000)
    run = Run.of(series={"train/loss": loss})
    ```

    ## Fix
    - **safe** Overfit one batch first: a model that cannot has a broken gradient path, labels or learning rate.
    - **safe** Compare inputs and labels of a batch by eye, after all preprocessing.
    - **unsafe** Raise the learning rate by 10; normalise the inputs; change the initialisation.

    ## Options
    - `change` = 0.02: fall of the loss, as a share of its start, that counts as learning. A choice: losses of
      classifiers at chance wander by less than 1 %; what falls by less in a whole run has learned class
      frequencies at most.
    - `confidence` = 0.95 of the slope's interval.

    ## Known limits
    Needs 30 values over 300 steps or 5 evaluations, or 8 values over 5 epochs, or 5 epochs where a
    metric is below 0.6 and the loss the same to half a percent. A loss recorded only as a mean over
    long epochs may have fallen inside the first; fine-tuning from a good model and diffusion losses with large noise
    are flat and healthy: notes at most. Where a term of large constant value hides a falling one, see OBJ001.

    ## References
    Sen 1968 (interval of the slope). Hamed & Rao 1998 (autocorrelation).
    """
    loss, held = learning.curves(run)
    if loss is None:
        yield NotChecked(f"needs {names.describe_need('train/loss')}")
        return
    climbs = held is not None and _climbs(loss, held)
    if not climbs and not _enough(run, loss):
        yield NotChecked("needs 30 values of train/loss over 300 steps or 5 evaluations, or 8 values over 5 epochs")
        return
    if other := learning.unlike_progress(run):
        yield NotChecked(f"the loss of {other} need not fall")
        return
    if late := learning.begins_late(run):
        yield NotChecked(f"{late}: its first loss is not that of its start")
        return
    if climbs and held is not None:
        yield _climbing(loss, held)
        return
    flat = _flat(loss, change, confidence)
    if flat is None or _fell_at_once(flat, change) or _improved(run, change):
        return
    best = _best_share(run)
    poor = best is not None and best[1] < _POOR
    crept = flat.high < 0 and best is None and flat.low > -_CREPT * abs(flat.start)
    if (poor or crept) if flat.high < 0 else best is None or best[1] < _GOOD:
        yield _finding(run, flat, best)


def _enough(run: Run, loss: Series) -> bool:
    """Whether there are points, steps or epochs enough, and most of the record is finite."""
    if len(loss) < _FEWEST or 2 * len(loss) < len(run.series[loss.name]):
        return False
    epochs = float(np.ptp(loss.epoch)) + 1 if np.isfinite(loss.epoch).all() else 0.0
    steps = int(loss.step[-1] - loss.step[0])
    by_epoch = steps + 1 == len(loss) and len(loss) < 300 and run.source not in ("tocsin",)
    if len(loss) < 8:
        return (epochs >= _FEWEST or by_epoch) and _at_a_guess(run, loss)
    evaluated = max((len(series) for _, series, _ in learning.eval_series(run)), default=0)
    return (len(loss) >= 30 and (steps >= 299 or evaluated >= 5)) or epochs >= 5 or by_epoch


def _at_a_guess(run: Run, loss: Series) -> bool:
    """Whether a poor metric and a loss that is the same to half a percent make 5 to 7 epochs enough."""
    best = _best_share(run)
    return best is not None and best[1] < _POOR and float(np.ptp(loss.value)) < _SAME * abs(float(loss.value[0]))


def _climbs(loss: Series, held: Series) -> bool:
    """Whether training and evaluation both rise at every record from the first on, in steps that hardly differ."""
    return all(
        len(s) >= _RECORDS
        and bool(np.all(np.diff(s.value) > 0) and s.value[0] > 0)
        and float(s.value[-1] - s.value[0]) > max(_RISES * float(s.value[0]), _EVEN * _unevenness(s))
        for s in (loss, held)
    )


def _unevenness(s: Series) -> float:
    """What a random walk with such second differences moves over the whole series (one sd)."""
    return float(np.sqrt((np.diff(s.value, 2) ** 2).mean() / 2 * (len(s) - 1)))


def _climbing(loss: Series, held: Series) -> Finding:
    return Finding(
        f"{loss.name} and {held.name} rise at each of {len(loss)} and {len(held)} records, from {loss.value[0]:.4g} to "
        f"{loss.value[-1]:.4g} and {held.value[0]:.4g} to {held.value[-1]:.4g}: what is optimised is something else",
        step=max(0, int(min(loss.step[0], held.step[0]))),
        evidence=tuple(Evidence(s.name, float(s.value[i]), int(s.step[i])) for s in (loss, held) for i in (0, -1)),
        remedies=(
            Remedy("Look for a sign, or for class or sample weights that are applied twice", safe=True),
            Remedy("Lower the learning rate by 10"),
        ),
    )


def _flat(loss: Series, change: float, confidence: float) -> Flat | None:
    start = learning.ends(loss, 0.05)[0].value
    if not abs(start) >= _FLOOR:
        return None
    slope, span = stats.trend(loss.step, loss.value, confidence), float(loss.step[-1] - loss.step[0])
    size = abs(start)
    if not slope.slope * span > -change * size or not slope.low * span > -0.05 * size:
        return None
    if slope.falling and not slope.low * span > -change / 2 * size:
        return None
    return Flat(loss, start, slope.low * span, slope.high * span)


def _fell_at_once(flat: Flat, change: float) -> bool:
    """Whether the loss fell over its first values and then stood."""
    k = max(1, len(flat.loss) // 50)
    head, rest = flat.loss.value[:k], flat.loss.value[k:]
    error = 3 * learning.scatter(flat.loss.value) / np.sqrt(k)
    lowest = float(np.median(rest))
    return bool(
        np.median(head) - lowest > max(change * abs(flat.start), error)
        or head[0] - lowest > max(5 * np.sqrt(k) / 3 * error, _CREPT * abs(flat.start))
    )


def _improved(run: Run, change: float) -> bool:
    return any(learning.improves(series, sign, change) for _, series, sign in learning.eval_series(run))


def _best_share(run: Run) -> tuple[str, float, int] | None:
    """The best value of all metrics out of 1, with name and step."""
    found = []
    for name, series, sign in learning.eval_series(run):
        fraction = learning.share(name, series) if sign > 0 else None
        if fraction is not None:
            top = int(np.argmax(fraction.value))
            found.append((name, float(fraction.value[top]), int(fraction.step[top])))
    return max(found, key=lambda one: one[1], default=None)


def _known_since(run: Run, loss: Series) -> int:
    """The first evaluation from the first loss on: until then nothing told whether it learns; else the first loss."""
    begin = max(0, int(loss.step[0]))
    after = [s.step[s.step >= begin] for _, s, _ in learning.eval_series(run)]
    return min((int(steps[0]) for steps in after if steps.size), default=begin)


def _finding(run: Run, flat: Flat, best: tuple[str, float, int] | None) -> Finding:
    loss, tuned = flat.loss, learning.fine_tuned(run)
    ignorant = best[1] < _POOR if best is not None else flat.noise < _QUIET
    message = (
        f"{loss.name} stays at {flat.start:.4g} from step {loss.step[0]} to {loss.step[-1]}: its change over all of it "
        f"is between {flat.low:+.2g} and {flat.high:+.2g}"
    )
    message += f"; the best {best[0]} is {best[1]:.3g}" if best is not None else ""
    if tuned:
        ignorant = best is not None and best[1] < _POOREST and flat.noise < _QUIET
        message += "" if ignorant else "; it starts from a trained model, which may have nothing left to learn here"
    if best is None and flat.high < 0:
        ignorant = False
        message += ": it falls, by next to nothing; steps that small arrive nowhere, or there is nothing to learn"
    points = [
        Evidence(loss.name, float(loss.value[0]), int(loss.step[0]), text="the first loss"),
        Evidence(
            loss.name,
            float(loss.value[-1]),
            int(loss.step[-1]),
            interval=(flat.low, flat.high),
            text="the last loss [change over the run]",
        ),
    ]
    return Finding(
        message,
        step=_known_since(run, loss),
        severity=None if ignorant else "note",
        evidence=tuple(points),
        remedies=(
            Remedy("Overfit one batch first; compare its inputs and labels by eye", safe=True),
            Remedy("Raise the learning rate by 10, or normalise the inputs"),
        ),
    )

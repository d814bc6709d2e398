"""OBJ006 train-eval-loss-scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import names, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Floats, Run, Series

_PART = 0.25
_NEAR = 0.1
_REGULARISED = 3.0
_LENGTHS = [5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28] + [round(32 * 2 ** (k / 4)) for k in range(30)]


@dataclass(frozen=True)
class Pairs:
    """The evaluation losses and the training losses just before and just after each, all positive, shape (n,)."""

    step: Floats
    evaluated: Floats
    before: Floats
    after: Floats

    def first(self, n: int) -> Pairs:
        return Pairs(self.step[:n], self.evaluated[:n], self.before[:n], self.after[:n])


@dataclass(frozen=True)
class Factor:
    """Evaluation loss over training loss: its mean, range and coefficient of variation, and the log-log slope."""

    ratio: float
    low: float
    high: float
    cv: float
    slope: stats.Trend
    n: int


@rule("OBJ006", needs=("train/loss",), severity="warning", explains=("GEN006",))
def train_eval_loss_scale(
    run: Run, *, factor: float = 1.5, scatter: float = 0.05, confidence: float = 0.95
) -> Iterator[Finding | NotChecked]:
    """The training and the evaluation loss differ by a constant factor from the first evaluation on.

    ## What it does
    With `e_k` the main evaluation loss, `t_k` the mean training loss of the last quarter before that evaluation and
    `r_k = e_k / t_k`, rings when for the first `n >= 5` evaluations

    `sd(r) / mean(r) < scatter`, and all `r > factor` or all `r < 1 / factor` (the range of n values is an interval of
    their median at the level 1 - 2^(1-n)), and the slope of `ln e` on `ln t` has an interval that reaches 1 within 0.1
    (noise in `t` flattens a slope) but not the slope of a constant *difference*, `mean(t) / mean(e)`, and both curves
    move (each trend's interval excludes 0).

    The same factor must hold against the training loss just *after* each evaluation: a training loss that falls fast
    within an epoch would otherwise look like a factor. `n` is tried at about four lengths in each doubling; once it
    holds it stays. A note where it is the training loss that is larger, by less than 3: strong augmentation and dropout
    can do that, seldom more.

    ## Why is this bad?
    The two numbers are not the same function: another reduction (sum, mean over batches of unequal size), a division
    by the accumulation steps or by the number of batches, terms that only one of them contains, or a loss taken
    outside the batch loop. The gap is then read as overfitting, and real overfitting cannot be seen. Overfitting
    starts at a ratio of 1 and grows; a factor that is there at the first evaluation and never changes is code.

    ## Example
    ```python
    epoch = np.arange(1, 15)
    val = 1.2 + np.exp(-epoch / 5)
    run = Run.of(series={"val/loss": val, "train/loss": val / 8})  # divided by the number of batches
    ```
    Use instead:
    ```python
    epoch = np.arange(1, 15)
    val = 1.2 + np.exp(-epoch / 5)
    run = Run.of(series={"val/loss": val, "train/loss": val - 0.02 * epoch})
    ```

    ## Fix
    - **safe** Evaluate some training batches with the evaluation function: both losses must then agree at one step.
    - **safe** Log the mean over samples in both places, before any division for accumulation.
    - **unsafe** Move the loss, backward and step inside the batch loop, if that is what the factor shows.

    ## Options
    - `factor` = 1.5: smallest factor that rings. A choice: the least that code makes is 2 (two accumulation steps, a
      mean of two).
    - `scatter` = 0.05: largest coefficient of variation of the ratio. A real run whose training loss was divided by its
      8 batches shows 0.019 over 14 epochs (References).
    - `confidence` = 0.95 of each interval: they all must hold together.

    ## Known limits
    Silent on losses that are not positive, on curves that do not move, and on a factor that sets in later. Wrong where
    the evaluation set is harder by a constant factor at every level of the loss. Measured: 0 warnings in 1800 synthetic
    runs (growing gaps, constant differences of either sign, dropout factors below 1.5, flat curves, equal losses), per
    step or as epoch means; of 300 whose training loss was 1.4-3.3 times larger in near proportion, 35 notes, 1 warning.

    ## References
    Sen 1968 (interval of the slope). A public report on a direction-finding network: 0.217 in training, 1.954 in
    validation at epoch 1, read as "expected, overfit test"; its loss stood outside the batch loop.
    """
    main = next(iter(names.eval_losses(run.series)), None)
    if main is None:
        yield NotChecked(f"needs {names.describe_need('val/loss')}")
        return
    pairs = _pairs(run.series["train/loss"].finite, run.series[main].finite)
    if pairs.step.size < _LENGTHS[0]:
        yield NotChecked(f"needs {_LENGTHS[0]} evaluations with a positive {main}, and training before each")
    for n in (k for k in _LENGTHS if k <= pairs.step.size):
        found = _factor(pairs.first(n), factor, scatter, confidence)
        if found is not None:
            yield _finding(run, main, pairs, found, factor)
            return


def _pairs(train: Series, loss: Series) -> Pairs:
    """Each evaluation after some training with the training losses beside it; none where a loss is not positive."""
    last = np.flatnonzero(np.diff(loss.step, append=np.iinfo(np.int64).max))  # of evaluations at one step the last
    step, evaluated = loss.step[last].astype(np.float64), loss.value[last]
    step, evaluated = step[step > 0], evaluated[step > 0]
    start = np.concatenate([[0.0], step])[: step.size]
    end = np.concatenate([step, [math.inf]])[1:]
    before = [_mean(train, b - _PART * (b - a), b, a, b) for a, b in zip(start, step, strict=True)]
    after = [_mean(train, b, b + _PART * (c - b), b, c) for b, c in zip(step, end, strict=True)]
    made = Pairs(step, evaluated, np.array(before), np.array(after))
    whole = np.isfinite(made.before) & (made.before > 0) & (evaluated > 0)
    return made.first(int(np.argmin(whole)) if not whole.all() else whole.size)


def _mean(train: Series, low: float, high: float, lowest: float, highest: float) -> float:
    """Mean of the training loss at steps in (low, high], or in (lowest, highest] where none was logged there."""
    for left, right in ((low, high), (lowest, highest)):
        part = train.value[np.searchsorted(train.step, left, "right") : np.searchsorted(train.step, right, "right")]
        if part.size:
            return float(part.mean())
    return math.nan


def _factor(pairs: Pairs, factor: float, scatter: float, confidence: float) -> Factor | None:
    ratio = pairs.evaluated / pairs.before
    cv = float(ratio.std(ddof=1) / ratio.mean())
    if not cv < scatter:
        return None
    low, high = float(ratio.min()), float(ratio.max())
    with np.errstate(divide="ignore", invalid="ignore"):
        later = float(np.nanmean(np.log(pairs.evaluated / pairs.after)))
    edge = math.log(factor)
    beyond = (low > factor and later > edge) or (high < 1 / factor and later < -edge)
    if not beyond:
        return None
    order = np.arange(ratio.size, dtype=np.float64)
    moves = [stats.trend(order, np.log(y), confidence) for y in (pairs.before, pairs.evaluated)]
    slope = stats.trend(np.log(pairs.before), np.log(pairs.evaluated), confidence)
    shifted = float(pairs.before.mean() / pairs.evaluated.mean())
    near_one = slope.low <= 1 + _NEAR and slope.high >= 1 - _NEAR
    moving = all(m.falling for m in moves) or all(m.rising for m in moves)
    if not near_one or slope.low <= shifted <= slope.high or not moving:
        return None
    return Factor(float(np.exp(np.log(ratio).mean())), low, high, cv, slope, ratio.size)


def _finding(run: Run, main: str, pairs: Pairs, found: Factor, factor: float) -> Finding:
    times = max(found.ratio, 1 / found.ratio)
    larger, smaller = (main, "train/loss") if found.ratio > 1 else ("train/loss", main)
    step = int(pairs.step[0])
    message = (
        f"{larger} is {times:.3g} times {smaller} from the first evaluation on ({pairs.evaluated[0]:.3g} against "
        f"{pairs.before[0]:.3g} at step {step}), with a scatter of {100 * found.cv:.1f} % over {found.n} evaluations, "
        "and both move in proportion: another reduction, accumulation or other terms"
    )
    regularised = found.ratio < 1 and times < _REGULARISED
    message += ", or strong augmentation or dropout" if regularised else ", not overfitting"
    return Finding(
        message,
        subject=main,
        step=step,
        severity="note" if regularised else None,
        evidence=(
            _cite(run, main, step, factor, (found.low, found.high), "evaluation loss over training loss [range]"),
            _cite(run, "train/loss", step, 1.0, (found.slope.low, found.slope.high), "log-log slope [interval]"),
        ),
        remedies=(
            Remedy("Evaluate some training batches with the evaluation function: both losses must agree", safe=True),
            Remedy("Log the mean over samples in both places, before any division for accumulation", safe=True),
            Remedy("Check that the loss, backward and optimizer step are inside the batch loop"),
        ),
    )


def _cite(run: Run, name: str, step: int, limit: float, interval: stats.Interval, text: str) -> Evidence:
    """The last recorded point of a series at or before a step."""
    series = run.series[name].finite
    at = int(np.searchsorted(series.step, step, "right")) - 1
    return Evidence(name, float(series.value[at]), int(series.step[at]), limit, interval, text)

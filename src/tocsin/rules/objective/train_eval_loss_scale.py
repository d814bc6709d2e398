"""OBJ006 train-eval-loss-scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import learning, names, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Floats, Run, Series

_PART = 0.25
_NEAR = 0.1
_REGULARISED = 3.0
_LENGTHS = [5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28] + [round(32 * 2 ** (k / 4)) for k in range(30)]

_ACCURACY = frozenset(("acc", "accuracy", "top1"))
_TIMES = (
    5.0  # of the training loss, at the same errors; losses of the same errors differ by 2 or so in how sure they are
)
_AS_MANY = 1.2
_SLOPE, _FALL = 0.5, 0.1  # of a network that learns: what memorised data leave to the evaluation loss is far less
_NATS = 20.0  # loss for each wrong answer: to be as sure of it as 1 - 2e-9
_REMEDIES = (
    Remedy("Evaluate some training batches with the evaluation function: both losses must agree", safe=True),
    Remedy("Log the mean over samples in both places, before any division for accumulation", safe=True),
    Remedy("Check that the loss, backward and optimizer step are inside the batch loop"),
)


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
    """Evaluation loss over training loss: its mean, range or interval, coefficient of variation, and log-log slope.

    ``drift`` is that coefficient beyond sampling noise: its estimate and its upper bound.
    """

    ratio: float
    low: float
    high: float
    cv: float
    drift: stats.Interval
    slope: stats.Interval
    n: int


@rule("OBJ006", needs=("train/loss",), severity="warning", explains=("GEN006",))
def train_eval_loss_scale(
    run: Run, *, factor: float = 1.5, scatter: float = 0.05, confidence: float = 0.95
) -> Iterator[Finding | NotChecked]:
    """The training and the evaluation loss differ by a constant factor from the first evaluation on.

    ## What it does
    With `e_k` the main evaluation loss, `t_k` the mean training loss of the last quarter before that evaluation and
    `r_k = e_k / t_k`, rings when for the first `n >= 5` evaluations the ratio is constant, far from 1, and no
    difference in disguise:

    - `sd(r) / mean(r) < scatter`. Evaluations on few samples scatter by more than that, so from 8 evaluations on the
      scatter *beyond sampling noise* may stand in its place. Noise is new at each evaluation and a gap that grows is
      smooth: noise `s^2` is half the mean square of the first differences of `ln r` (von Neumann 1941), and the excess
      is the norm of the projection of `ln r` on its first 2-3 polynomials less what noise puts there. Its estimate must
      lie below `scatter` and its upper bound below a tenth of `abs(mean ln r)`, the way it would have come from 1.
    - All `r > factor` or all `r < 1 / factor` (the range of n values is an interval of their median at the level
      1 - 2^(1-n)); with sampling noise, the interval of the mean of `ln r`. So does the mean of the first quarter, and
      the ratio to the training loss just *after* each evaluation: a training loss that falls fast within an epoch would
      otherwise look like a factor.
    - Both losses move from the first third to the last, beyond the noise from one point to the next, and the quotient
      of the two moves of `ln e` and `ln t` (the log-log slope by Wald's grouping, which noise in `t` does not flatten)
      has an interval that reaches 1 within 0.1 but not half way to the slope of a constant *difference*,
      `mean(t) / mean(e)`.

    Rings as well where accuracies say that it cannot be: at each of the first 5 evaluations the loss is 5 times the
    training loss and more, though its error rate (1 less the accuracy) is at most twice that of training each time,
    at most 1.2 times as the median, and the loss is 20 nats for each error. Overfitting would show in the errors, too.

    And where the samples were new: in the first epoch no batch was trained on before its loss was taken, so there is no
    overfitting yet. Rings when the first evaluation lies in the recorded first epoch (0, 1 or a fraction), is over 5
    times the largest training loss until then, the first 5 ratios are above 5, and, over the first n evaluations, both
    losses fall beyond noise, that of the evaluation by a tenth and more and by a log-log slope of 1/2 and more. (A
    network that knew its training data from before would have little left to learn.)

    `n` is tried at about four lengths in each doubling; once it holds it stays. A note where it is the training loss
    that is larger, by less than 3: strong augmentation and dropout can do that, seldom more.

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
    - `scatter` = 0.05: largest coefficient of variation of the ratio, beyond sampling noise. A real run whose training
      loss was divided by its 8 batches shows 0.019 over 14 epochs (References).
    - `confidence` = 0.95 of each interval: they all must hold together.

    ## Known limits
    Silent on losses that are not positive, on curves that do not move, on a factor that sets in later, and, where
    epochs are not recorded, if overfitting changes the ratio before the fifth evaluation. Wrong where the
    evaluation set is harder by a constant factor at every level of the loss. Measured on synthetic runs of 8-60
    evaluations with 1-30 % sampling noise, per step or as epoch means: 1 warning in 2000 (growing gaps,
    overfitting, constant differences of either sign, dropout factors below 1.5, flat curves, equal losses), 6 in
    300 whose gap of 1.5-7 times saturates within the first evaluations; of 300 whose training loss was 1.4-3.3
    times larger in near proportion, 92 notes, 36 warnings.

    ## References
    von Neumann 1941 (mean square successive difference). Wald 1940 (slope by grouping). A public report on a
    direction-finding network: 0.217 in training, 1.954 in validation at epoch 1, read as "expected, overfit test"; its
    loss stood outside the batch loop.
    """
    main = next(iter(names.eval_losses(run.series)), None)
    if main is None:
        yield NotChecked(f"needs {names.describe_need('val/loss')}")
        return
    pairs = _pairs(run.series["train/loss"].finite, run.series[main].finite)
    if pairs.step.size < _LENGTHS[0]:
        yield NotChecked(f"needs {_LENGTHS[0]} evaluations with a positive {main}, and training before each")
    if (beside := _at_equal_errors(run, main)) is not None:
        yield beside
        return
    for n in (k for k in _LENGTHS if k <= pairs.step.size):
        found = _factor(pairs.first(n), factor, scatter, confidence)
        if found is not None:
            yield _finding(run, main, pairs, found, factor)
            return
        if _in_first_epoch(run, pairs) and _learns(pairs.first(n), confidence):
            yield _fresh(run, main, pairs)
            return


def _in_first_epoch(run: Run, pairs: Pairs) -> bool:
    """Whether the evaluation loss is many times the training loss from the first epoch on, when every sample is new."""
    train = run.series["train/loss"].finite.until(int(pairs.step[0]))
    epochs = np.unique(train.epoch)  # one NaN at most, the last
    if not epochs.size or not epochs[-1] <= 1 or (epochs.size > 1 and not np.any(epochs % 1)):
        return False
    five = pairs.first(_LENGTHS[0])
    return bool(five.evaluated[0] > _TIMES * train.value.max() and (five.evaluated / five.before).min() > _TIMES)


def _learns(pairs: Pairs, confidence: float) -> bool:
    """Whether both losses fall, and that of the evaluation by much."""
    slope = _slope(pairs, confidence)
    fall = 1 - pairs.evaluated[-max(1, pairs.step.size // 3) :].mean() / pairs.evaluated[0]
    return slope is not None and sum(slope) / 2 >= _SLOPE and bool(fall >= _FALL)


def _fresh(run: Run, main: str, pairs: Pairs) -> Finding:
    step, times = int(pairs.step[0]), float(pairs.evaluated[0] / pairs.before[0])
    return Finding(
        f"{main} is {times:.3g} times train/loss in the first epoch ({pairs.evaluated[0]:.3g} against "
        f"{pairs.before[0]:.3g} at step {step}), when every sample was new, and both fall from there: another "
        "reduction, accumulation or other terms, not overfitting",
        subject=main,
        step=step,
        evidence=(
            _cite(run, main, step, None, None, f"{times:.3g} times the training loss"),
            _cite(run, "train/loss", step, None, None, "on samples that were new"),
        ),
        remedies=_REMEDIES,
    )


def _at_equal_errors(run: Run, main: str) -> Finding | None:
    """A loss many times that of training at about the same error rate."""
    split = main.partition("/")[0]
    for name in run.series:
        measure = name.removeprefix("train/")
        held = f"{split}/{measure}"
        if measure == name or measure not in _ACCURACY or held not in run.series:
            continue
        known = [learning.finite(run, n) for n in ("train/loss", main, name, held)]
        if len(known[1]) < _LENGTHS[0] or any(not np.array_equal(s.step, known[1].step) for s in known):
            continue
        known = [s[: _LENGTHS[0]] for s in known]  # what holds there stays, whatever comes after
        wrong = [_error_rate(s) for s in known[2:]]
        loss, evaluated = known[0].value, known[1].value
        if wrong[0] is None or wrong[1] is None or not (loss.min() > 0 and wrong[0].min() > 0):
            continue
        times, errors = evaluated / loss, wrong[1] / wrong[0]
        sure = float(np.median(evaluated / np.maximum(wrong[1], 1e-12)))
        if sure > _NATS and times.min() > _TIMES and errors.max() <= 2 and np.median(errors) <= _AS_MANY:
            return _unlike(run, main, held, float(np.median(times)), wrong)
    return None


def _error_rate(accuracy: Series) -> Floats | None:
    share = learning.share(accuracy.name, accuracy)
    return 1 - share.value if share is not None else None


def _unlike(run: Run, main: str, held: str, times: float, wrong: list[Floats | None]) -> Finding:
    train, loss, score = (learning.finite(run, n) for n in ("train/loss", main, held))
    rates = [100 * float(np.median(rate)) for rate in wrong if rate is not None]
    return Finding(
        f"{main} is {times:.3g} times train/loss ({loss.value[-1]:.3g} against {train.value[-1]:.3g} at step "
        f"{loss.step[-1]}) though its error rate is {rates[1]:.2g} % against {rates[0]:.2g} %: another reduction or "
        "other terms, not overfitting",
        subject=main,
        step=int(loss.step[0]),
        evidence=tuple(Evidence(s.name, float(s.value[-1]), int(s.step[-1])) for s in (loss, train, score)),
        remedies=_REMEDIES,
    )


def _pairs(train: Series, loss: Series) -> Pairs:
    """Each evaluation after some training with the training losses beside it; none where a loss is not positive."""
    last = np.flatnonzero(np.diff(loss.step, append=np.iinfo(np.int64).max))  # of evaluations at one step the last
    step, evaluated = loss.step[last].astype(np.float64), loss.value[last]
    step, evaluated = step[step > 0], evaluated[step > 0]
    start = np.concatenate([[0.0], step])[: step.size]
    end = np.concatenate([step, [math.inf]])[1:]
    before = _means(train, step - _PART * (step - start), step)
    before = np.where(np.isfinite(before), before, _means(train, start, step))
    after = _means(train, step, np.minimum(step + _PART * (end - step), end))
    after = np.where(np.isfinite(after), after, _means(train, step, end))
    made = Pairs(step, evaluated, before, after)
    whole = np.isfinite(made.before) & (made.before > 0) & (evaluated > 0)
    return made.first(int(np.argmin(whole)) if not whole.all() else whole.size)


def _means(train: Series, low: Floats, high: Floats) -> Floats:
    """Mean training loss at steps in (low, high], stretches in order that do not overlap; NaN for an empty one."""
    ends = np.stack([np.searchsorted(train.step, low, "right"), np.searchsorted(train.step, high, "right")], axis=1)
    size = ends[:, 1] - ends[:, 0]
    sums = np.add.reduceat(np.append(train.value, 0.0), ends.ravel())[::2]
    return np.where(size > 0, sums / np.maximum(size, 1), math.nan)


def _factor(pairs: Pairs, factor: float, scatter: float, confidence: float) -> Factor | None:
    ratio = pairs.evaluated / pairs.before
    cv = float(ratio.std(ddof=1) / ratio.mean())
    drift = (cv, cv) if cv < scatter else _drift(np.log(ratio), confidence)
    room = scatter if cv < scatter else _NEAR * abs(float(np.log(ratio).mean()))
    if not (drift[0] < scatter and drift[1] < room):
        return None
    low, high = (float(ratio.min()), float(ratio.max())) if cv < scatter else _middle(ratio, confidence)
    with np.errstate(divide="ignore", invalid="ignore"):
        later = float(np.nanmean(np.log(pairs.evaluated / pairs.after)))
    edge, early = math.log(factor), float(np.log(ratio[: max(3, ratio.size // 4)]).mean())
    beyond = (low > factor and min(early, later) > edge) or (high < 1 / factor and max(early, later) < -edge)
    slope = _slope(pairs, confidence) if beyond else None
    if slope is None:
        return None
    shifted = float(pairs.before.mean() / pairs.evaluated.mean())
    away = (1 + shifted) / 2  # half way to the slope of a constant difference
    if slope[0] > 1 + _NEAR or slope[1] < 1 - _NEAR or slope[0] <= away <= slope[1]:
        return None
    return Factor(float(np.exp(np.log(ratio).mean())), low, high, cv, drift, slope, ratio.size)


def _drift(log_ratio: Floats, confidence: float) -> stats.Interval:
    """The ratio's coefficient of variation beyond sampling noise: its estimate and its upper bound.

    Sampling noise is independent from one evaluation to the next, so half the mean square of the first differences is
    its variance (von Neumann 1941); a gap that grows is smooth, so it shows in the first polynomials.
    """
    n = log_ratio.size
    order = min(3, n // 4)
    if order < 2:
        return stats.NAN
    basis = np.linalg.qr(np.vander(np.linspace(-1, 1, n), order + 1, increasing=True))[0][:, 1:]
    noise = float((np.diff(log_ratio) ** 2).mean() / 2)
    smooth = float(((basis.T @ log_ratio) ** 2).sum())
    beyond = math.sqrt(max(0.0, smooth - order * noise) / n)
    return beyond, (math.sqrt(smooth) + stats.z_of(confidence) * math.sqrt(noise)) / math.sqrt(n)


def _middle(ratio: Floats, confidence: float) -> stats.Interval:
    low, high = stats.mean_interval(np.log(ratio), confidence)
    return math.exp(low), math.exp(high)


def _slope(pairs: Pairs, confidence: float) -> stats.Interval | None:
    """Log-log slope from the first third of the evaluations to the last, which noise in ``t`` does not flatten.

    Wald 1940, with time as the instrument; its interval is that of the move left in ``ln e - slope ln t``. None unless
    both losses move, and the same way.
    """
    moves = [_move(np.log(y), confidence) for y in (pairs.before, pairs.evaluated)]
    if not (all(high < 0 for _, high in moves) or all(low > 0 for low, _ in moves)):
        return None
    fall = sum(moves[0]) / 2
    slope = sum(moves[1]) / 2 / fall
    low, high = _move(np.log(pairs.evaluated) - slope * np.log(pairs.before), confidence)
    half = (high - low) / 2 / abs(fall)
    return slope - half, slope + half


def _move(y: Floats, confidence: float) -> stats.Interval:
    """Interval of the mean of the last third less that of the first; its noise is that from one point to the next.

    A trend's residuals will not do: about a line a falling curve is all autocorrelation.
    """
    third = y.size // 3
    centre = float(y[-third:].mean() - y[:third].mean())
    sd = math.sqrt(float((np.diff(y) ** 2).mean()) / 2)
    half = stats.t_of(confidence, 2 * (y.size - 1) / 3) * sd * math.sqrt(2 / third)
    return centre - half, centre + half


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
            _cite(run, "train/loss", step, 1.0, found.slope, "log-log slope [interval]"),
        ),
        remedies=_REMEDIES,
    )


def _cite(run: Run, name: str, step: int, limit: float | None, interval: stats.Interval | None, text: str) -> Evidence:
    """The last recorded point of a series at or before a step."""
    series = run.series[name].finite
    at = int(np.searchsorted(series.step, step, "right")) - 1
    return Evidence(name, float(series.value[at]), int(series.step[at]), limit, interval, text)

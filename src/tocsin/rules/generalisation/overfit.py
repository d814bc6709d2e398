"""GEN001 overfit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tocsin import learning, names, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.run import Run, Series

# Tail lengths at which the rise is judged: about four in each doubling, so that few looks spend the level.
_LENGTHS = [5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28] + [round(32 * 2 ** (k / 4)) for k in range(30)]


_FEW = 5  # evaluations from which noise can be measured
_LONG = 10  # from here on one side of the interval is enough: the other is no fault
_BEYOND = 3  # standard errors of a median: 2 for the lowest of many, which is low by selection, 2 for the level now
_CLEAR = 0.2  # relative rise that 3 or 4 evaluations have to show for a note
_SHORT_RISE = 3  # a shorter tail has to rise by this many times as much: its autocorrelation cannot be measured
_FAR = 1.5  # factor that no evaluation set worth its name moves by on its own: noise of 15 % is 3 sd of it
_SOLVED = 0.97  # of a metric out of 1: what is left to lose is less than seeds differ by
_BENT = 0.1  # fall of the training loss from its first quarter to its last, where a bend hides its trend
_LEAST_GAP = 0.15  # of a score: the lower end of the interval of a gap that is .3 and more
_MOVED = 0.01  # relative change of a metric over 2 to 4 evaluations that says which way it goes
_SMOOTH = 7  # evaluations from which their second differences say how smooth they are
_WALK, _SHORT_WALK = 2.5, 4.0  # sds of a random walk, from 7 evaluations on and below: 8 % of walks come above them


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


@rule("GEN001", needs=(), severity="warning", explains=("RUN004",))
def overfit(run: Run, *, rise: float = 0.05, confidence: float = 0.99) -> Iterator[Finding | NotChecked]:
    """The evaluation loss rises after its minimum while the training loss goes on falling.

    ## What it does
    With `e_1..e_n` the main evaluation loss (`val/loss`, else the first `<split>/loss`; never a component loss) and
    `t` the training loss, let `M` be the lowest running median of `e` over `1 + 2 [n / 20]` evaluations (one noisy
    evaluation is no minimum), `d` the standard error of such a median (0 for n < 20) and `m` the end of the first
    window whose median comes within `rise` or `2 d` of `M`. Rings at the step of the lowest evaluation in the window
    of `M` when for some `k >= 5` (6 while the run goes on)

    `slope(e_{m+1}..e_{m+k}) > 0` and `slope(t over the same steps) < 0`, each by its Theil-Sen interval (`t` also by
    a tenth from the first quarter to the last, since a bend widens that interval),

    the median of the last evaluations (as many as in the window, at least 3) lies above `M` by `3 d` and by
    `rise * abs(M)` (or `rise * 0.1 * (e_1 - M)` where that is more; three times it where `k < 10`), and the level of
    `t`, the median of as many values as an evaluation has (at most 32), has dropped since the minimum by twice that
    share of its own: a slope's sign alone is no fall.

    The slope starts after the first window near `M`, not after the lowest: the lowest of many noisy values is low by
    selection, and a flat bottom before the rise is no reason to forget it. `k` is tried at about four lengths in each
    doubling, and once the rise is proven it stays so until the loss comes back. When the run is over all that follows
    the lowest window is tried as well, if these are 10 evaluations or more, at a fifth of the level.

    Fewer evaluations after the lowest say less. At the end of a run one of these rings, too:

    - **a smooth rise**: from the third evaluation after the lowest on, where the last two stand higher than a random
      walk of as many evaluations does (`stats.climb` above 2.5; above 4 below 7 evaluations) and `2 rise` above it;
    - **a large one**: by half and more (and by 4 times the scatter, from 5 evaluations on), while `t` halved;
    - **a steady one**: 3 or 4 evaluations that rise one after another, by a fifth in all: a note;
    - **memorised**: a score (accuracy, F1, ...) rose by 0.3 and more in training and by less than a tenth of that in
      the evaluation, the 99 % interval of their gap lies above 0.15, the evaluation loss is past its best by `rise`,
      and `t` halved.

    A smooth rise is a warning from `3 rise` and 7 evaluations on, a large one where it is steady or something else
    says the same: the loss of another evaluation set, or a score that training alone reaches. A note where a metric
    of the same split (accuracy, F1, R2, error, ...) still improves over those evaluations and none gets worse, or
    stands at 0.97 and more.

    Where nothing is called a loss a metric that both splits have stands for it (logloss, RMSE, perplexity, ...);
    where two evaluation sets have one and the first ends below half of the second, the first is taken for training.
    Where both splits have terms of a loss and no total, their sums are judged.

    ## Why is this bad?
    What is learned after the minimum does not hold outside the training set, by this loss: the later weights are the
    worse ones, and the time after it is spent. Where accuracy still improves, the model is getting overconfident
    rather than worse, which is another question (calibration).

    ## Example
    ```python
    epoch = np.arange(1, 31)
    train = 1.5 * np.exp(-epoch / 5)
    val = 1.0 + np.exp(-epoch) + 0.05 * epoch
    run = Run.of(series={"train/loss": train, "val/loss": val})
    ```
    Use instead:
    ```python
    epoch = np.arange(1, 31)
    train = 0.9 + 0.6 * np.exp(-epoch / 5)
    val = 1.0 + np.exp(-epoch / 5)
    run = Run.of(series={"train/loss": train, "val/loss": val})
    ```

    ## Fix
    - **safe** Use the weights of the minimum; stop early.
    - **unsafe** More data or augmentation, weight decay, dropout, a smaller model, fewer epochs.
    - **unsafe** Where only the loss rises and the metric improves: label smoothing, or a temperature fitted afterwards.

    ## Options
    - `rise` = 0.05: relative rise above the minimum that matters. A choice: seeds and evaluation subsets move a loss by
      a few percent. The training loss has to fall by twice as much: medians of 32 batch losses with 20 % noise differ
      by 6 % (one sd) on their own.
    - `confidence` = 0.99 of each evaluation slope's interval (of one side of it for `k >= 10`), because several lengths
      are tried, about 4 in each doubling of the number of evaluations. The training slope is judged at 0.95.

    ## Known limits
    Needs 2 evaluations, and 5 after the minimum for the main test. Silent where the training loss is flat, too
    (nothing more to memorise), or not recorded. A second descent heals it. A rise as small as the noise of the
    evaluations needs many of them. Of 100 synthetic runs each, rang: 55 of 8 evaluations with 2 % noise and a rise of
    0.3 (12 more as a note), 64 of 20 with 10 % and 0.5 (13), 77 of 42 with 18 % and 0.5, 74 of 60 with 20 % and 0.5,
    all of 60 with 20 % and 1. Of 300 synthetic plateaus of 6-80 evaluations with 2-20 % noise while the training loss
    falls, rang at the end 1 with independent noise, 9 at a lag-1 correlation of 0.5, 23 at 0.8 (2, 5 and 15 more as a
    note); of 300 of 5-12 evaluations 0, 1 and 1 (4, 10 and 5). The noise of 2 to 4 evaluations cannot be measured: a
    factor of 1.5 is a convention. Wrong where the evaluation set changes during the run. Of several evaluation sets
    only the first is judged.

    ## References
    Prechelt 1998, Early stopping - but when? (generalisation loss). Sen 1968 (interval of the slope). Feller 1968, An
    introduction to probability theory, chapter III (the maximum of a random walk). Guo et al. 2017, On calibration of
    modern neural networks, section 3 (loss rises while accuracy improves).
    """
    train, loss = learning.curves(run)
    if train is None and loss is None:
        train, loss = learning.summed(run, "train"), learning.summed(run, "val")
    if loss is None or train is None or not len(train):
        yield NotChecked(f"needs {names.describe_need('train/loss')}, and {names.describe_need('val/loss')}")
        return
    if len(loss) < 2:
        yield NotChecked(f"needs 2 values of {loss.name}, it has {len(loss)}")
        return
    risen = _rise(run, loss, train, rise, confidence) if len(loss) >= _FEW else None
    found = [_finding(run, risen, train)] if risen is not None else []
    if risen is None and run.exit != "running":
        ways = itertools.chain(_early_sign(run, loss, train, rise), _memorised(run, loss, train, rise))
        found = list(itertools.islice(ways, 1))
    yield from (f if loss.name in run.series else _of_terms(run, f) for f in found)


def _of_terms(run: Run, finding: Finding) -> Finding:
    """The finding on a sum of terms: what is recorded, and so can be cited, are the terms."""
    terms = {name: run.series[name].finite for name in sorted(run.series) if name.startswith("val/loss/")}
    last = tuple(
        Evidence(
            name, float(s.value[-1]), int(s.step[-1]), text=f"a term of the sum; the lowest was {s.value.min():.4g}"
        )
        for name, s in terms.items()
        if len(s)
    )
    shared = [e for e in finding.evidence if e.source in run.series]
    message = finding.message.replace("val/loss", "val/loss (the sum of its terms)", 1)
    return replace(finding, message=message, evidence=(*last, *shared))


def _rise(run: Run, loss: Series, train: Series, rise: float, confidence: float) -> Rise | None:
    half = len(loss) // 20
    levels = stats.running_medians(loss.value, half)[half : len(loss) - half]
    middle, minimum = int(np.argmin(levels)) + half, float(levels.min())
    limit = minimum + rise * max(abs(minimum), 0.1 * (float(loss.value[0]) - minimum))
    error = _error_of_median(loss, 2 * half + 1)
    near, limit = max(limit, minimum + 2 * error), max(limit, minimum + _BEYOND * error)
    first = int(np.flatnonzero(levels <= near)[0]) + 2 * half
    lowest = middle - half + int(np.argmin(loss.value[middle - half : middle + half + 1]))
    whole = len(loss) - 1 - middle - half
    tries = [(first, k, confidence if k < _LONG else 2 * confidence - 1) for k in _lengths(run, len(loss) - 1 - first)]
    if run.exit != "running" and whole >= _LONG:
        tries.append((middle + half, whole, 1 - (1 - confidence) / 5))
    for end, length, level in tries:
        risen = Rise(loss, end, lowest, minimum, length, 0.0, 0.0)
        slope = _rising(risen, train, limit, level) if risen.now > limit and _fallen(train, risen, rise) else None
        if slope is not None:
            return replace(risen, low=slope[0], high=slope[1])
    return None


def _rising(risen: Rise, train: Series, limit: float, confidence: float) -> tuple[float, float] | None:
    """Interval of the rise over the evaluations after the window, where it is one and training fell."""
    part = risen.loss[risen.end + 1 : risen.end + 1 + risen.length]
    slope = stats.trend(part.step, part.value, confidence)
    least = risen.minimum + (limit - risen.minimum) * (1 if risen.length >= _LONG else _SHORT_RISE)
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


@dataclass(frozen=True)
class Early:
    """What few evaluations show after their lowest one.

    Attributes:
        risen: The lowest evaluation.
        now: The last one, or the mean of the last two where 3 or more came after the lowest.
        walk: How far that is above the lowest, in sds of a random walk of as many evaluations.
        agree: What else says the same, in words: losses of other sets, a score that only training reaches.
    """

    risen: Rise
    now: float
    walk: float
    agree: tuple[str, ...]

    @property
    def share(self) -> float:
        return (self.now - self.risen.minimum) / abs(self.risen.minimum) if self.risen.minimum else 0.0

    @property
    def after(self) -> int:
        return len(self.risen.loss) - 1 - self.risen.lowest

    @property
    def steady(self) -> bool:
        """Whether 3 or 4 evaluations rise one after another, by a fifth in all."""
        since = self.risen.loss.value[self.risen.lowest :]
        return self.after in (3, 4) and bool(np.all(np.diff(since) > 0) and since[-1] - since[0] >= _CLEAR * since[0])

    @property
    def climbed(self) -> bool:
        """Whether it stands higher than a random walk of as many evaluations does."""
        return self.after >= 3 and self.walk >= (_WALK if len(self.risen.loss) >= _SMOOTH else _SHORT_WALK)

    @property
    def far(self) -> bool:
        """Whether it rose by a factor that no evaluation moves by on its own, and by 4 times their noise if known."""
        y = self.risen.loss.value
        noise = learning.scatter(y) if y.size >= _FEW else 0.0
        return 0 < self.risen.minimum * _FAR <= self.now and self.now - self.risen.minimum > 4 * noise


def _early_sign(run: Run, loss: Series, train: Series, rise: float) -> Iterator[Finding]:
    """Too few evaluations after the lowest for a trend: a large, a steady or a smooth rise."""
    lowest = int(np.argmin(loss.value))
    risen = Rise(loss, lowest, lowest, float(loss.value[lowest]), 0, 0.0, 0.0)
    last = loss.value[-2:] if len(loss) - lowest > 3 else loss.value[-1:]
    early = Early(risen, float(last.mean()), stats.climb(loss.value), tuple(_agreeing(run, risen)))
    before, after = _around(train, risen)
    halved = 0 < 2 * after <= before
    climbed = early.climbed and early.share >= 2 * rise and _fallen(train, risen, rise)
    far = early.far and halved
    if climbed or far or (early.steady and _fallen(train, risen, _CLEAR / 2)):
        better, worse = _metrics(run, risen)
        told = bool(learning.memorised(run))
        smooth = climbed and early.share >= _SHORT_RISE * rise and len(loss) >= _SMOOTH
        loud = smooth or (far and (early.agree or early.steady))
        calm = not loud or (bool(better) and not worse and not told)
        yield _early_finding(early, train, better if calm else [], "note" if calm else None)


def _agreeing(run: Run, risen: Rise) -> Iterator[str]:
    for name in names.eval_losses(run.series):
        other = run.series[name].finite
        if name != risen.loss.name and len(other) == len(risen.loss) and other.value[risen.lowest] > 0:
            factor = float(other.value[-1] / other.value[risen.lowest])
            if factor >= _FAR:
                yield f"{name} rose to {factor:.2g} times its value"
    if gap := learning.memorised(run):
        yield (
            f"{gap.train} went from {gap.before:.3g} to {gap.after:.3g}, {gap.held} from {gap.was:.3g} to {gap.now:.3g}"
        )


def _early_finding(early: Early, train: Series, better: list[str], severity: Severity | None) -> Finding:
    risen, (before, after) = early.risen, _around(train, early.risen)
    loss = risen.loss
    each = f"in each of the {early.after} evaluations after step {risen.step}"
    where = f"after evaluation {risen.lowest + 1} of {len(loss)} (step {risen.step})"
    message = (
        f"{loss.name} rose {each if early.steady else where}, from {risen.minimum:.3g} to "
        f"{loss.value[-1]:.3g} ({100 * (loss.value[-1] / risen.minimum - 1):+.0f} %), while {train.name} went from "
        f"{before:.3g} to {after:.3g}"
    )
    if early.climbed:
        message += f"; that is {early.walk:.2g} sd of a random walk of as many evaluations"
    message += "".join(f"; {sign}" for sign in early.agree)
    message += f"; {', '.join(better)} still improves: the loss, not the decisions, gets worse" if better else ""
    if severity and not better:
        message += ": likely overfitting; too few evaluations to tell it from noise"
    spread = 2 * early.share * abs(risen.minimum) / early.walk if early.climbed else math.nan
    rise = early.now - risen.minimum
    return Finding(
        message,
        subject=loss.name,
        step=risen.step,
        severity=severity,
        evidence=(
            Evidence(loss.name, risen.minimum, risen.step, text="the lowest evaluation"),
            Evidence(
                loss.name,
                float(loss.value[-1]),
                int(loss.step[-1]),
                limit=risen.minimum,
                interval=(rise - spread, rise + spread) if early.climbed else None,
                text="the last evaluation" + (" [rise, 2 sd of a random walk]" if early.climbed else ""),
            ),
        ),
        remedies=(Remedy(f"Use the weights of step {risen.step}", safe=True),),
    )


def _memorised(run: Run, loss: Series, train: Series, rise: float) -> Iterator[Finding]:
    """A score that training reaches and the evaluation never came near, beside an evaluation loss past its best."""
    gap = learning.memorised(run)
    past = float(loss.value[-1]) > float(loss.value.min()) + rise * abs(float(loss.value.min()))
    if gap is None or not past or not gap.low >= _LEAST_GAP or not _halved(train):
        return
    yield Finding(
        f"{gap.train} rose from {gap.before:.3g} to {gap.after:.3g} while {gap.held} went from {gap.was:.3g} to "
        f"{gap.now:.3g}: a gap of {gap.size:.2g} (at least {gap.low:.2g}), and {loss.name} is past its best: the "
        "training set is memorised, or the evaluation is prepared in another way",
        subject=gap.held,
        step=gap.step,
        evidence=(
            Evidence(gap.train, float(run.series[gap.train].value[-1]), int(run.series[gap.train].step[-1])),
            Evidence(
                gap.held,
                float(run.series[gap.held].value[-1]),
                int(run.series[gap.held].step[-1]),
                interval=(gap.low, 2 * gap.size - gap.low),
                text="the last value [gap to training, as fractions]",
            ),
        ),
        remedies=(
            Remedy("Evaluate on the training set with the same code: it has to reach the training score", safe=True),
            Remedy("More data or augmentation, weight decay, dropout, or a smaller model"),
        ),
    )


def _halved(train: Series) -> bool:
    first, last = learning.ends(train)
    return bool(0 < 2 * last.value <= first.value)


def _fallen(train: Series, risen: Rise, rise: float) -> bool:
    """Whether the training loss fell, from the minimum to now, by twice what the evaluation loss has to rise."""
    before, after = _around(train, risen)
    return before - after > 2 * rise * max(abs(before), 0.1 * (float(train.value[0]) - before)) if len(train) else False


def _finding(run: Run, risen: Rise, train: Series) -> Finding:
    n, main = len(risen.loss), risen.loss.name
    better, worse = _metrics(run, risen)
    solved = "" if better else _solved(run, main)
    calm = bool(better or solved) and not worse
    before, after = _around(train, risen)
    share = 100 * (risen.now - risen.minimum) / abs(risen.minimum) if risen.minimum else float("inf")
    message = (
        f"{main} rose from its minimum {risen.minimum:.3g} (step {risen.step}, evaluation {risen.lowest + 1} of {n}) "
        f"to {risen.now:.3g} ({share:+.0f} %) while {train.name} went from {before:.3g} to {after:.3g}; "
        f"beyond noise since step {risen.proven_at}"
    )
    if calm and better:
        message += f"; {', '.join(better)} still improves: the loss, not the decisions, gets worse"
    elif calm:
        message += f"; {solved} stands at {_SOLVED} and more: the loss, not the decisions, gets worse"
    return Finding(
        message,
        subject=main,
        step=risen.step,
        severity="note" if calm else None,
        evidence=tuple(_evidence(run, risen, train, [*better, *worse])),
        remedies=(
            Remedy(f"Use the weights of step {risen.step}, or stop there", safe=True),
            Remedy("More data or augmentation, weight decay, dropout, or a smaller model"),
        ),
    )


def _solved(run: Run, main: str) -> str:
    """A metric out of 1 of the same split that ends at 0.97 and more, "" where there is none."""
    for name, series, sign in learning.eval_series(run):
        fraction = (
            learning.share(name, series) if sign > 0 and name.partition("/")[0] == main.partition("/")[0] else None
        )
        if fraction is not None and float(np.median(fraction.value[-3:])) >= _SOLVED:
            return name
    return ""


def _around(train: Series, risen: Rise) -> tuple[float, float]:
    """The training loss at the minimum and now: medians of as many values as an evaluation has, at most 32."""
    per = min(32, max(1, round(len(train) / max(1, len(risen.loss)))))
    parts = [train.until(step).value[-per:] for step in (risen.step, int(risen.loss.step[-1]))]
    before, after = (float(np.median(part)) if part.size else float("nan") for part in parts)
    return before, after


def _error_of_median(loss: Series, window: int) -> float:
    """Standard error of a running median of the evaluations; second differences are free of slope and turn."""
    if window < 3:
        return 0.0
    return 1.2533 * stats.robust_level(np.diff(loss.value, 2))[1] / math.sqrt(6 * window)


def _metrics(run: Run, risen: Rise) -> tuple[list[str], list[str]]:
    """The split's metrics that improve and that get worse over the evaluations since the minimum."""
    better: list[str] = []
    worse: list[str] = []
    split = names.split_of(risen.loss.name) or risen.loss.name.partition("/")[0]
    for name, series in run.series.items():
        sign = names.direction(name)
        if not sign or not name.startswith(f"{split}/") or name.startswith(f"{split}/loss") or name == risen.loss.name:
            continue
        since = series.finite[int(np.searchsorted(series.finite.step, risen.step)) :]
        if len(since) < _FEW:
            moved = learning.improves(since, sign, _MOVED) - learning.improves(since, -sign, _MOVED)
        else:
            slope = stats.trend(since.step, sign * since.value)
            moved = slope.rising - slope.falling
        (better if moved > 0 else worse if moved < 0 else []).append(name)
    return better, worse


def _evidence(run: Run, risen: Rise, train: Series, metrics: list[str]) -> Iterator[Evidence]:
    loss, last, main = risen.loss, len(risen.loss) - 1, risen.loss.name
    lowest = float(loss.value[risen.lowest])
    yield Evidence(main, lowest, risen.step, text=f"lowest about the minimum (median there {risen.minimum:.3g})")
    yield Evidence(
        main,
        float(loss.value[last]),
        int(loss.step[last]),
        limit=risen.minimum,
        interval=(risen.low, risen.high),
        text=f"rise over the {risen.length} evaluations up to step {risen.proven_at} [interval]",
    )
    split, size = stats.change_point(loss.value[risen.lowest :])
    if size > 0:
        at = risen.lowest + split
        yield Evidence(main, float(loss.value[at]), int(loss.step[at]), text="change point")
    yield Evidence(train.name, float(train.value[-1]), int(train.step[-1]), text="still falling after the minimum")
    for name in metrics:
        series = run.series[name].finite
        yield Evidence(name, float(series.value[-1]), int(series.step[-1]), text="last value")

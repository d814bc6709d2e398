"""GEN001 overfit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tocsin import names, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run, Series

# Tail lengths at which the rise is judged: about four in each doubling, so that few looks spend the level.
_LENGTHS = [5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28] + [round(32 * 2 ** (k / 4)) for k in range(30)]


_FEW = 5  # evaluations below which nothing can be said
_LONG = 10  # from here on one side of the interval is enough: the other is no fault
_BEYOND = 3  # standard errors of a median: 2 for the lowest of many, which is low by selection, 2 for the level now
_CLEAR = 0.2  # relative rise that 3 or 4 evaluations have to show for a note
_SHORT_RISE = 3  # a shorter tail has to rise by this many times as much: its autocorrelation cannot be measured


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


@rule("GEN001", needs=("train/loss",), severity="warning", explains=("RUN004",))
def overfit(run: Run, *, rise: float = 0.05, confidence: float = 0.99) -> Iterator[Finding | NotChecked]:
    """The evaluation loss rises after its minimum while the training loss goes on falling.

    ## What it does
    With `e_1..e_n` the main evaluation loss (`val/loss`, else the first `<split>/loss`; never a component loss) and
    `t` the training loss, let `M` be the lowest running median of `e` over `1 + 2 [n / 20]` evaluations (one noisy
    evaluation is no minimum), `d` the standard error of such a median (0 for n < 20) and `m` the end of the first
    window whose median comes within `rise` or `2 d` of `M`. Rings at the step of the lowest evaluation in the window
    of `M` when for some `k >= 5` (6 while the run goes on)

    `slope(e_{m+1}..e_{m+k}) > 0` and `slope(t over the same steps) < 0`, each by its Theil-Sen interval,

    the median of the last evaluations (as many as in the window, at least 3) lies above `M` by `3 d` and by
    `rise * abs(M)` (or `rise * 0.1 * (e_1 - M)` where that is more; three times it where `k < 10`), and the level of
    `t`, the median of as many values as an evaluation has (at most 32), has dropped since the minimum by twice that
    share of its own: a slope's sign alone is no fall. At the end of a run 3 or 4 evaluations that rise one after
    another, by a fifth in all, are a note.

    The slope starts after the first window near `M`, not after the lowest: the lowest of many noisy values is low by
    selection, and a flat bottom before the rise is no reason to forget it. `k` is tried at about four lengths in each
    doubling, and once the rise is proven it stays so until the loss comes back.
    A warning; a note where a metric of the same split (accuracy, F1, R2, error, ...) still improves over those
    evaluations and none gets worse.

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
    Needs 5 evaluations, and 5 after the minimum for a warning. Silent where the training loss is flat, too (nothing
    more to memorise), or not recorded. A second descent heals it. A rise as small as the noise of the evaluations needs
    many of them. Of 100 synthetic runs each, rang: 55 of 8 evaluations with 2 % noise and a rise of 0.3 (12 more as a
    note), 55 of 20 with 10 % and 0.5, 61 of 42 with 18 % and 0.5, 57 of 60 with 20 % and 0.5, 99 of 60 with 20 % and 1.
    Of 300 synthetic plateaus of 6-80 evaluations with 2-20 % noise while the training loss falls, rang at the end 0
    with independent noise, 5 at a lag-1 correlation of 0.5, 12 at 0.8 (3 and 4 more as a note); looked at after every
    evaluation 0, 13 and 32. Wrong where the evaluation set changes during the run. Of several evaluation sets only
    the first is judged.

    ## References
    Prechelt 1998, Early stopping - but when? (generalisation loss). Sen 1968 (interval of the slope). Guo et al. 2017,
    On calibration of modern neural networks, section 3 (loss rises while accuracy improves).
    """
    main = next(iter(names.eval_losses(run.series)), None)
    if main is None:
        yield NotChecked(f"needs {names.describe_need('val/loss')}")
        return
    loss, train = run.series[main].finite, run.series["train/loss"].finite
    if len(loss) < _FEW or not len(train):
        yield NotChecked(f"needs {_FEW} values of {main}, it has {len(loss)}")
        return
    lengths = _LENGTHS if run.exit != "running" else _LENGTHS[1:]
    risen = _rise(loss, train, rise, confidence, lengths)
    if risen is not None:
        yield _finding(run, main, risen, train)
    elif run.exit != "running":
        yield from _early_sign(main, loss, train)


def _rise(loss: Series, train: Series, rise: float, confidence: float, lengths: list[int]) -> Rise | None:
    half = len(loss) // 20
    levels = stats.running_medians(loss.value, half)[half : len(loss) - half]
    middle, minimum = int(np.argmin(levels)) + half, float(levels.min())
    limit = minimum + rise * max(abs(minimum), 0.1 * (float(loss.value[0]) - minimum))
    error = _error_of_median(loss, 2 * half + 1)
    near, limit = max(limit, minimum + 2 * error), max(limit, minimum + _BEYOND * error)
    start = int(np.flatnonzero(levels <= near)[0]) + half
    lowest = middle - half + int(np.argmin(loss.value[middle - half : middle + half + 1]))
    risen = Rise(loss, start + half, lowest, minimum, 0, 0.0, 0.0)
    tail = loss[risen.end + 1 :]
    if len(tail) < lengths[0] or not risen.now > limit or not _fallen(train, risen, rise):
        return None
    for length in (k for k in lengths if k <= len(tail)):
        part = tail[:length]
        slope = stats.trend(part.step, part.value, confidence if length < _LONG else 2 * confidence - 1)
        least = minimum + (limit - minimum) * (1 if length >= _LONG else _SHORT_RISE)
        if slope.rising and np.median(part.value[-risen.last :]) > least:
            seen = train[int(np.searchsorted(train.step, loss.step[risen.end])) :].until(int(part.step[-1]))
            if stats.trend(seen.step, seen.value).falling:
                span = float(part.step[-1] - part.step[0])
                return replace(risen, length=length, low=slope.low * span, high=slope.high * span)
    return None


def _early_sign(main: str, loss: Series, train: Series) -> Iterator[Finding]:
    """A note where 3 or 4 evaluations, too few for a test, rise one after another by a fifth while training falls."""
    lowest = int(np.argmin(loss.value))
    since, minimum = loss.value[lowest:], float(loss.value[lowest])
    risen = Rise(loss, lowest, lowest, minimum, 0, 0.0, 0.0)
    share = (float(since[-1]) - minimum) / abs(minimum) if minimum else 0.0
    if not (
        4 <= since.size <= 5 and np.all(np.diff(since) > 0) and share >= _CLEAR and _fallen(train, risen, _CLEAR / 2)
    ):
        return
    before, after = _around(train, risen)
    yield Finding(
        f"{main} rose in each of the {since.size - 1} evaluations after step {risen.step}, from {minimum:.3g} to "
        f"{since[-1]:.3g} ({100 * share:+.0f} %), while train/loss went from {before:.3g} to {after:.3g}: likely "
        "overfitting; too few evaluations to tell it from noise",
        subject=main,
        step=risen.step,
        severity="note",
        evidence=(
            Evidence(main, minimum, risen.step, text="the lowest evaluation"),
            Evidence(main, float(since[-1]), int(loss.step[-1]), limit=minimum, text="the last evaluation"),
        ),
        remedies=(Remedy(f"Use the weights of step {risen.step}", safe=True),),
    )


def _fallen(train: Series, risen: Rise, rise: float) -> bool:
    """Whether the training loss fell, from the minimum to now, by twice what the evaluation loss has to rise."""
    before, after = _around(train, risen)
    return before - after > 2 * rise * max(abs(before), 0.1 * (float(train.value[0]) - before)) if len(train) else False


def _finding(run: Run, main: str, risen: Rise, train: Series) -> Finding:
    n = len(risen.loss)
    better, worse = _metrics(run, main.rpartition("/")[0], risen)
    calm = bool(better) and not worse
    before, after = _around(train, risen)
    share = 100 * (risen.now - risen.minimum) / abs(risen.minimum) if risen.minimum else float("inf")
    message = (
        f"{main} rose from its minimum {risen.minimum:.3g} (step {risen.step}, evaluation {risen.lowest + 1} of {n}) "
        f"to {risen.now:.3g} ({share:+.0f} %) while train/loss went from {before:.3g} to {after:.3g}; "
        f"beyond noise since step {risen.proven_at}"
    )
    if calm:
        message += f"; {', '.join(better)} still improves: the loss, not the decisions, gets worse"
    return Finding(
        message,
        subject=main,
        step=risen.step,
        severity="note" if calm else None,
        evidence=tuple(_evidence(run, main, risen, [*better, *worse])),
        remedies=(
            Remedy(f"Use the weights of step {risen.step}, or stop there", safe=True),
            Remedy("More data or augmentation, weight decay, dropout, or a smaller model"),
        ),
    )


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


def _metrics(run: Run, split: str, risen: Rise) -> tuple[list[str], list[str]]:
    """The split's metrics that improve and that get worse over the evaluations since the minimum."""
    better, worse = [], []
    for name, series in run.series.items():
        sign = names.direction(name)
        if not sign or not name.startswith(f"{split}/") or name.startswith(f"{split}/loss"):
            continue
        since = series.finite[int(np.searchsorted(series.finite.step, risen.step)) :]
        slope = stats.trend(since.step, sign * since.value)
        if slope.rising:
            better.append(name)
        elif slope.falling:
            worse.append(name)
    return better, worse


def _evidence(run: Run, main: str, risen: Rise, metrics: list[str]) -> Iterator[Evidence]:
    loss, last = risen.loss, len(risen.loss) - 1
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
    train = run.series["train/loss"].finite
    yield Evidence("train/loss", float(train.value[-1]), int(train.step[-1]), text="still falling after the minimum")
    for name in metrics:
        series = run.series[name].finite
        yield Evidence(name, float(series.value[-1]), int(series.step[-1]), text="last value")

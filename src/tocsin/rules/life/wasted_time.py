"""RUN004 wasted-time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import learning, names, nonfinite, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run, Series

_FEWEST = 20  # training losses below which neither a constant nor a share of the run means much
_FEWEST_EVALUATIONS = 6
_NOISES = 3  # noise sds of an evaluation above the best level below which a loss is as good as the best


@dataclass(frozen=True)
class Settled:
    """A point of a run after which nothing could change its outcome any more.

    ``start`` is the index of the first wasted point of ``series``; ``why`` says what settled it.
    """

    series: Series
    start: int
    why: str
    cure: str
    evidence: tuple[Evidence, ...]
    mild: bool = False

    @property
    def step(self) -> int:
        return int(self.series.step[self.start])


@rule("RUN004", needs=(), severity="warning", when="end")
def wasted_time(
    run: Run, *, share: float = 0.5, hours: float = 1.0, rise: float = 0.1, confidence: float = 0.99
) -> Iterator[Finding | NotChecked]:
    """Most of the run came after the point where its outcome was settled.

    ## What it does
    The outcome is settled at the first step `s` after which, to the end,

    - the training loss is NaN or infinite at every record (at least 3), or
    - the training loss is one and the same number (at least 20 records, known to 3 digits): nothing learns any more, or
    - the main evaluation loss stays above its best level `M`: with `d` the noise of an evaluation (robust sd of the
      differences between neighbours, over sqrt 2), every running median of the last 6 or more evaluations lies above
      `M + max(rise * abs(M), 3 d)`, and a Theil-Sen trend from the best on rises, while the training loss fell and no
      metric of that split improved. The time after a value that is best only by noise is normal and never counted.

    Rings when the steps after `s` are `share` of all, and says the hours where the log keeps a clock. A warning if
    these are `hours` or more, or where there is no clock; a note below, and for a loss that fell before it became
    constant (a small problem solved exactly looks like that).

    ## Why is this bad?
    The machine was paid for, and the person waited. It is the cost of a fault that another rule names: NaN (AMP003),
    overfitting (GEN001), predictions or a metric that never move; under these it is folded as their consequence.

    ## Example
    ```python
    loss = np.r_[2 / np.arange(1, 21), np.full(180, np.nan)]
    series = Series.of("train/loss", loss, time=600 * np.arange(200))
    run = Run.of(series={"train/loss": series}, exit="finished")
    ```
    Use instead:
    ```python
    loss = 2 / np.arange(1, 201)
    series = Series.of("train/loss", loss, time=600 * np.arange(200))
    run = Run.of(series={"train/loss": series}, exit="finished")
    ```

    ## Fix
    - **safe** Stop at the first non-finite loss (`watch(..., stop_on="error")`), and stop early on the evaluation loss
      with a patience of a few evaluations.
    - **unsafe** Remove the cause that the finding above this one names.

    ## Options
    - `share` = 0.5: share of the run that must be lost. A choice: below it, patience and habit explain the rest.
    - `hours` = 1.0: hours that must be lost for a warning, where there is a clock. A choice: below, nobody would act.
    - `rise` = 0.1: relative rise of the evaluation loss above its best. Twice GEN001's, since here it is the amount of
      waste and not the first sign that is claimed.
    - `confidence` = 0.99 of the interval of the slope, because several lengths are tried (two in each doubling).

    ## Known limits
    Looks once, at the end: `stop_on` is what saves the time. Silent on evaluation losses where the training loss is not
    recorded: adversarial and reinforcement losses may rise while the work gets better. A constant metric alone is not
    taken for settled (small evaluation sets keep one for long). Hours are those between two records of the same series.

    ## References
    Prechelt 1998, Early stopping - but when? A public log: 35.6 h of NaN after 150 iterations.
    """
    settled = [s for s in (_poisoned(run), _constant(run), _past_best(run, rise, confidence)) if s is not None]
    enough = any(s is not None and len(s) >= 3 for s in (run.get("train/loss"), *learning.curves(run)))
    if not settled:
        if not enough:
            yield NotChecked("needs at least 3 values of a loss")
        return
    first = min(settled, key=lambda s: s.step)
    lost = _share(run, first)
    if lost >= share:
        yield _finding(first, lost, hours)


def _finding(settled: Settled, lost: float, hours: float) -> Finding:
    seconds = _seconds_after(settled)
    short = seconds is not None and seconds < 3600 * hours
    spent = f"{100 * lost:.0f} % of the run" + (f", {_duration(seconds)}," if seconds else "")
    return Finding(
        f"{spent} came after step {settled.step}, where the outcome was settled: {settled.why}",
        step=settled.step,
        severity="note" if short or settled.mild else None,
        evidence=settled.evidence,
        remedies=(Remedy(settled.cure, safe=True),),
    )


def _share(run: Run, settled: Settled) -> float:
    """Share of the steps after it."""
    first = int(settled.series.step[0])
    return (run.last_step - settled.step + 1) / max(run.last_step - min(first, 1) + 1, 1)


def _seconds_after(settled: Settled) -> float | None:
    times = settled.series.time[settled.start :]
    known = times[np.isfinite(times)]
    return float(known[-1] - known[0]) if known.size > 1 and known[-1] > known[0] else None


def _duration(seconds: float) -> str:
    size, unit = next((z, u) for z, u in ((3600.0, "h"), (60.0, "min"), (1.0, "s")) if seconds >= z or u == "s")
    return f"{seconds / size:.3g} {unit}"


def _poisoned(run: Run) -> Settled | None:
    end = nonfinite.stretch("train/loss", run.get("train/loss"))
    if end is None or end.length < 3:
        return None
    loss, start, n = end.series, end.start, end.length
    text = f"not finite from step {int(loss.step[start])} on, {n} values"
    before = Evidence("train/loss", float(loss.value[start - 1]), int(loss.step[start - 1]), text=f"then {text}")
    evidence = before if start else Evidence("train/loss", text=text)
    return Settled(loss, start, f"train/loss is {text}", "Stop at the first non-finite loss", (evidence,))


def _constant(run: Run) -> Settled | None:
    loss = run.get("train/loss")
    if loss is None or len(loss) < _FEWEST or not np.isfinite(loss.value[-1]):
        return None
    last = float(loss.value[-1])
    other = np.flatnonzero(loss.value != last)
    start = int(other[-1]) + 1 if other.size else 0
    if len(loss) - start < _FEWEST or not _known_to_three_digits(loss.value, last):
        return None
    fell = bool(start) and float(np.nanmedian(loss.value[: max(1, start // 4)])) > last * (1 + 0.01 * np.sign(last))
    n, step = len(loss) - start, int(loss.step[start])
    return Settled(
        loss,
        start,
        f"train/loss is exactly {last:.6g} in all {n} values since",
        "Stop when the loss has not changed at all over an epoch",
        (Evidence("train/loss", last, step, text=f"the same in all {n} values to the end"),),
        mild=fell,
    )


def _known_to_three_digits(values: np.ndarray, last: float) -> bool:
    """Whether one unit of the last decimal that the log keeps is below a thousandth of the value."""
    finite = values[np.isfinite(values)]
    for decimals in range(9):
        if np.array_equal(np.round(finite, decimals), finite):
            return abs(last) >= 1000 * 10.0**-decimals
    return last != 0


def _past_best(run: Run, rise: float, confidence: float) -> Settled | None:
    train, loss = learning.curves(run)
    if loss is None or train is None or len(loss) <= _FEWEST_EVALUATIONS:
        return None
    half = max(1, len(loss) // 20)
    levels = stats.running_medians(loss.value, half)
    best, noise = float(levels.min()), stats.robust_level(np.diff(loss.value))[1] / np.sqrt(2)
    limit = best + max(rise * abs(best), _NOISES * noise)
    start = int(np.flatnonzero(levels <= limit)[-1]) + 1
    tail, since = loss[start:], loss[int(np.argmin(levels)) :]
    slope = _rising(since, confidence)
    if len(tail) < _FEWEST_EVALUATIONS or slope is None or not _fell(train, tail):
        return None
    return None if _improving(run, loss.name, since) else _late(loss, start, best, limit, slope)


def _rising(since: Series, confidence: float) -> tuple[float, float] | None:
    """The rise over the first stretch after the best level that has one, as an interval; stretches double in length."""
    lengths = [n for k in range(3, 40) if (n := round(2 ** (k / 2 + 1.1))) < len(since)]
    for part in (since[:n] for n in [*lengths, len(since)]):
        slope = stats.trend(part.step, part.value, confidence)
        if slope.rising:
            span = float(part.step[-1] - part.step[0])
            return slope.low * span, slope.high * span
    return None


def _late(loss: Series, start: int, best: float, limit: float, slope: tuple[float, float]) -> Settled:
    lowest, n, main = int(np.argmin(loss.value)), len(loss) - start, loss.name
    why = f"{main} never came back below {limit:.3g} in the last {n} of {len(loss)} evaluations (best: {best:.3g})"
    evidence = (
        Evidence(main, float(loss.value[lowest]), int(loss.step[lowest]), text="the lowest value"),
        Evidence(
            main,
            float(loss.value[start]),
            int(loss.step[start]),
            limit=limit,
            interval=slope,
            text="from here on it stays above the limit [interval of the rise since the best]",
        ),
    )
    return Settled(loss, start, why, f"Stop early: the best weights are those of step {loss.step[lowest]}", evidence)


def _fell(train: Series, tail: Series) -> bool:
    """Whether the training loss is lower at the end than when the tail began: medians of up to 32 values."""
    before, after = train.until(int(tail.step[0])).value[-32:], train.value[-32:]
    return bool(before.size and after.size) and float(np.median(after)) < float(np.median(before))


def _improving(run: Run, main: str, since: Series) -> bool:
    """Whether some metric of that split still gets better, by its trend, after the best loss."""
    split = names.split_of(main) or main.partition("/")[0]
    for name in names.eval_metrics(run.series):
        series = run.series[name].finite
        part = series[int(np.searchsorted(series.step, since.step[0])) :]
        if (
            name != main
            and names.split_of(name) in (split, "")
            and stats.trend(part.step, names.direction(name) * part.value).rising
        ):
            return True
    return False

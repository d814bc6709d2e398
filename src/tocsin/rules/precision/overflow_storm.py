"""AMP001 overflow-storm."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin import stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Event, Run, Series

_OVERFLOW = re.compile(
    r"gradient overflow|overflow!|overflow detected|grad(?:ient)? overflow|skipping step|step skipped|skipped step",
    re.IGNORECASE,
)
_GAVE_UP = re.compile(
    r"minimum loss scale reached|loss scale already at minimum|scale (?:is )?already at minimum",
    re.IGNORECASE,
)
_FALLS = 10  # overflows in a row: the chance that a scale which probes once in 128 steps does so is nil
_TINY = 2.0**-6  # sums over the tokens of a batch train at a scale of .5; below this nothing that is a number overflows
_LAST = 2.0**-10  # trainers give up at 1e-4; healthy sums over large batches have been seen to settle at 2**-8
_NEXT = 2  # steps from one overflow to the next of a row: a print may be one step off
_STAYS = 3  # records at a scale of 0
_LATE = 4  # overflows in a row after the scale had found its level


@dataclass(frozen=True)
class Skips:
    """Steps that overflowed in the late part of a run.

    Attributes:
        source: What tells: ``count/skipped``, ``amp/scale`` or ``event:message``.
        skipped, steps: How many of how many steps, of the late part.
        begin: Step of the first overflow of the stretch that lasts to the end.
        since: First step of the late part.
        evidence: Where it is read.
    """

    source: str
    skipped: float
    steps: float
    begin: int
    since: int
    evidence: tuple[Evidence, ...]

    @property
    def share(self) -> float:
        return self.skipped / self.steps if self.steps else 0.0


@dataclass(frozen=True)
class Row:
    """The overflows with which a log ends.

    Attributes:
        scale: The recorded scales of that row, with the one before where it is recorded.
        length: How many overflows.
        last: The last step of the log.
    """

    scale: Series
    length: int
    last: int

    @property
    def level(self) -> float:
        return float(self.scale.value[-1])

    @property
    def endless(self) -> bool:
        """Whether nothing that is a number overflows so long at so small a scale."""
        return self.length >= _FALLS and self.level < _TINY

    @property
    def low(self) -> bool:
        """Whether the scale is at the end of its range: far down, at 1 and still, or nearly where trainers stop."""
        still = self.length >= 3 and float(np.ptp(self.scale.value[-3:])) == 0 and len(self.scale) >= 3
        return self.level <= 1 and (self.length >= _FALLS or still or (self.length >= 2 and self.level < _LAST))

    @property
    def late(self) -> bool:
        """Whether it lost its level after many steps, and most of the range with it."""
        return self.length >= _LATE and self.level <= 4 and self.last >= 20 * self.length


@rule(
    "AMP001",
    needs=("count/skipped | amp/scale | events",),
    severity="warning",
    explains=(
        "EVL002", "GEN002", "GEN003", "GEN004", "OBJ009", "OPT001", "OPT004", "OPT009", "PRD001", "PRD002", "PRD003",
        "PRD004", "PRD009", "PRD010", "PRD012", "RUN001", "RUN003", "RUN004",
    ),
)  # fmt: skip
def overflow_storm(run: Run, *, share: float = 0.05, confidence: float = 0.99) -> Iterator[Finding | NotChecked]:
    """Gradients overflow again and again: optimizer steps are skipped and the loss scale never settles.

    ## What it does
    In the last half of the steps, `k` of `n` were skipped: the growth of `count/skipped` against that of
    `count/optimizer`; else the times that the loss scale was halved (the sum of `-log2` of each fall of `amp/scale`);
    else the overflow messages of the log. Rings when the Wilson interval of `k / n` lies above `share` with `k >= 10`
    and, where the scale is recorded, it ends at its minimum, without having recovered. An error when the interval lies
    above one half. Also an error: the trainer gave up because the loss scale reached its minimum, or the records of a
    run that is over end with 10 overflows in a row, to a scale below 1/64, however short the log. A warning where they
    end with 10 in a row down to 1 or less, with 3 at a scale of 1 or less that falls no more, with 2 below 1/1024
    (trainers stop at 0.0001), or, after 20 times as many steps, with 4 in a row down to 4 or less. An error, too, where
    our own records say that the scale fell to exactly 0 and stays there, without a completed step: gradients times 0
    are 0 or NaN, no factor leads back, and falls are counted no more. A note where most losses of the late part are not
    finite themselves: that is AMP003, and the skips are its symptom.

    ## Why is this bad?
    A skipped step trains nothing. Each halving says that the gradient overflowed even at the smaller scale; if it never
    settles the gradients themselves are not finite (a NaN in the loss, diverging weights) and the run only looks busy.

    ## Example
    ```python
    step = np.arange(1, 401)
    scale = 65536.0 * 0.5 ** (step // 4)
    counts = {"count/skipped": step // 4, "count/optimizer": step - step // 4}
    run = Run.of(series={**counts, "amp/scale": scale})
    ```
    Use instead:
    ```python
    step = np.arange(1, 401)
    early = np.minimum(step, 19)
    counts = {"count/skipped": early, "count/optimizer": step - early}
    run = Run.of(series={**counts, "amp/scale": 2.0 ** (32 - early)})
    ```

    ## Fix
    - **safe** Find what overflows first (`torch.autograd.set_detect_anomaly(True)` at one skipped step).
    - **unsafe** bfloat16 instead of float16, or float32 for the operation that overflows.
    - **unsafe** Lower the learning rate, clip the gradient norm, divide the loss by the accumulation steps.

    ## Options
    - `share` = 0.05: skipped share that matters. A healthy dynamic scale probes upwards every 2000 steps (1000 in
      DeepSpeed, 128 in some fairseq recipes) and skips one step for it: 0.05 % to 0.8 %.
    - `confidence` = 0.99 of the share's interval.

    ## Known limits
    Overflows while the scale finds its level at the start are healthy (19 have been seen) and lie outside the last
    half; otherwise runs of less than 100 steps are not looked at. A scale that is logged seldom hides falls between
    rises: the share is then a lower bound. Steps that a trainer skips without saying so are not seen.

    ## References
    Micikevicius et al. 2018, Mixed precision training, section 3.2. Wilson 1927 (interval of the share).
    """
    gave_up = next((e for e in run.events if _GAVE_UP.search(e.text)), None)
    if gave_up is not None:
        yield _surrender(gave_up)
        return
    if (zero := _at_zero(run)) is not None:
        yield zero
        return
    if (row := _last_row(run)) is not None:
        yield _endless(run, row)
        return
    seen = next((s for s in (_by_count(run), _by_scale(run), _by_messages(run)) if s is not None), None)
    if seen is None:
        yield NotChecked("needs 100 steps of count/skipped or amp/scale, or overflow messages with steps")
        return
    low, high = stats.wilson(min(seen.skipped, seen.steps), seen.steps, confidence)
    if seen.skipped >= 10 and low > share and not _recovered(run):
        yield _finding(run, seen, (low, high))


def _at_zero(run: Run) -> Finding | None:
    """A loss scale that overflows brought down to 0: of somebody else's print that may be a small number."""
    scale, done = run.get("amp/scale"), run.get("count/optimizer")
    above = np.flatnonzero(scale.value != 0) if scale is not None else np.empty(0, np.int64)
    if scale is None or run.foreign or not above.size or len(scale) - 1 - int(above[-1]) < _STAYS:
        return None
    zero = int(above[-1]) + 1
    since, at = int(scale.step[zero]), np.flatnonzero(np.diff(scale.value[: zero + 1]) < 0)
    if done is not None and _grown(done, since, int(scale.step[-1])) > 0:
        return None
    skipped = run.get("count/skipped")
    first = skipped.finite if skipped is not None else scale[at + 1]
    begin = int(first.step[_stretch(np.diff(first.value, prepend=0.0) != 0)]) if len(first) else since
    return Finding(
        f"the loss scale fell from {scale.value[0]:.3g} to 0 by step {since}, by overflows since step {begin}: no "
        "factor leads back from 0, and no gradient survives it, so no step can come any more",
        step=max(0, begin),
        severity="note" if _loss_is_gone(run, begin) else "error",
        evidence=(
            Evidence("amp/scale", float(scale.value[0]), int(scale.step[0]), text="the first scale"),
            Evidence("amp/scale", 0.0, since, text=f"0 in each of the {len(scale) - zero} records since"),
        ),
        remedies=_remedies(),
    )


def _last_row(run: Run) -> Row | None:
    """The overflows without a step between them with which a log that is over ends, where they lead too far down."""
    scale = run.get("amp/scale")
    if scale is None or run.exit == "running":
        return None
    seen = scale.finite
    seen = seen[np.flatnonzero(seen.value > 0)]  # a 0 is a small scale in a print of few digits
    if not len(seen) or not (length := _row_length(run, seen)) > 0:
        return None
    row = Row(seen[-length - 1 :], length, run.last_step)
    return row if row.endless or row.low or row.late else None


def _row_length(run: Run, scale: Series) -> int:
    """Overflows in a row at the end: by the counter where there is one, else by the falls of the scale."""
    skipped = run.get("count/skipped")
    if skipped is not None and len(skipped.finite):
        known = skipped.finite
        at = known.step[np.diff(known.value, prepend=0.0) > 0]
    else:
        at = scale.step[1:][np.diff(scale.value) < 0]
    if not at.size or run.last_step - int(at[-1]) > _NEXT:
        return 0
    begin = min((int(s.step[s.step > 0][0]) for s in run.series.values() if np.any(s.step > 0)), default=0)
    gaps = np.flatnonzero(np.diff(np.maximum(at, begin)) > _NEXT)  # what stands before the first step of a cut log
    length = at.size - (int(gaps[-1]) + 1 if gaps.size else 0)
    rises = np.flatnonzero(np.diff(scale.value) > 0)
    return min(length, len(scale) - 1 - int(rises[-1])) if rises.size else length


def _endless(run: Run, row: Row) -> Finding:
    first, last = row.scale[:1], row.scale[-1:]
    start, end = float(first.value[0]), float(last.value[0])
    how = f"fell from {start:.3g} to {end:.3g}" if end < start else f"stands at its minimum of {end:.3g}"
    meaning = "a gradient that overflows at a scale so low is NaN or infinite itself, or about to be"
    return Finding(
        f"the last {row.length} steps of the log overflowed one after another, no step came through, and the loss "
        f"scale {how}: {meaning}",
        step=max(0, int(first.step[0])),
        severity="note" if _loss_is_gone(run, int(first.step[0])) else "error" if row.endless else "warning",
        evidence=(
            Evidence("amp/scale", start, int(first.step[0]), text="before the first of them"),
            Evidence("amp/scale", end, int(last.step[0]), _TINY, text="the last scale"),
        ),
        remedies=_remedies(),
    )


def _by_count(run: Run) -> Skips | None:
    """Skipped and completed optimizer steps from their counters."""
    skipped, done = run.get("count/skipped"), run.get("count/optimizer")
    if skipped is None or len(skipped.finite) < 3:
        return None
    seen = skipped.finite
    half, last = int(seen.step[0] + seen.step[-1]) // 2, int(seen.step[-1])
    if last - int(seen.step[0]) < 99:
        return None
    at_half = int(np.searchsorted(seen.step, half, side="right")) - 1
    missed = float(seen.value[-1] - seen.value[at_half])
    completed = _grown(done, half, last) if done is not None else float(last - half) - missed
    begin = int(seen.step[_stretch(np.diff(seen.value, prepend=0.0) > 0)]) if missed > 0 else half
    points = (
        Evidence(seen.name, float(seen.value[at_half]), int(seen.step[at_half]), text="skipped until then"),
        Evidence(seen.name, float(seen.value[-1]), last, text="skipped in all"),
    )
    return Skips("count/skipped", missed, missed + max(completed, 0.0), begin, half, points)


def _grown(counter: Series, half: int, last: int) -> float:
    first, end = counter.finite.until(half), counter.finite.until(last)
    return float(end.value[-1] - first.value[-1]) if len(first) and len(end) else 0.0


def _by_scale(run: Run) -> Skips | None:
    """Halvings of the loss scale: each is one skipped step."""
    scale = run.get("amp/scale")
    if scale is None:
        return None
    seen = scale.finite
    if len(seen) < 5 or not (seen.value[0] > 0) or seen.step[-1] - seen.step[0] < 99:
        return None
    power = np.log2(np.maximum(seen.value, 1e-40))
    falls = np.maximum(-np.diff(power), 0.0)
    half = int(seen.step[0] + seen.step[-1]) // 2
    late = seen.step[1:] > half
    begin = int(seen.step[_stretch(falls > 0) + 1]) if falls.any() else half
    at = int(np.searchsorted(seen.step, half, side="right")) - 1
    points = (
        Evidence("amp/scale", float(seen.value[at]), int(seen.step[at]), text="loss scale half way"),
        Evidence("amp/scale", float(seen.value[-1]), int(seen.step[-1]), text="loss scale at the end"),
    )
    return Skips("amp/scale", float(falls[late].sum()), float(seen.step[-1] - half), begin, half, points)


def _stretch(fell: NDArray[np.bool_]) -> int:
    """Index of the first overflow after the longest quiet that is a third of the record or more."""
    at = np.flatnonzero(fell)
    if not at.size:
        return 0
    gaps = np.diff(at)
    long = np.flatnonzero(gaps > fell.size / 3)
    return int(at[long[-1] + 1] if long.size else at[0])


def _by_messages(run: Run) -> Skips | None:
    """Overflow messages, where they are spread over the steps."""
    said = [e for e in run.events if e.kind in ("message", "warning") and _OVERFLOW.search(e.text)]
    first = min((int(s.step[0]) for s in run.series.values() if len(s)), default=0)
    if not said or run.last_step - first < 99:
        return None
    half = (first + run.last_step) // 2
    late = [e for e in said if e.step > half]
    texts = [e.text.strip().splitlines()[-1][:120] for e in said]
    points = tuple(Evidence(f"event:{e.kind}", step=e.step, text=t) for e, t in zip(said[:1], texts[:1], strict=True))
    return Skips(f"event:{said[0].kind}", len(late), float(run.last_step - half), said[0].step, half, points)


def _recovered(run: Run) -> bool:
    """Whether the scale ends well above its lowest value: overflows, but it found a level."""
    scale = run.get("amp/scale")
    if scale is None or not len(scale.finite):
        return False
    value = scale.finite.value
    return bool(value[-1] >= 8 * value.min() > 0)


def _loss_is_gone(run: Run, since: int) -> bool:
    """Whether most training losses of the late part are NaN or infinite: the storm is then their symptom."""
    loss = run.get("train/loss")
    late = loss.value[loss.step > since] if loss is not None else np.empty(0)
    return bool(late.size and np.mean(~np.isfinite(late)) > 0.5)


def _finding(run: Run, seen: Skips, interval: tuple[float, float]) -> Finding:
    message = (
        f"{seen.skipped:.0f} of the last {seen.steps:.0f} optimizer steps were skipped ({100 * seen.share:.0f} %, "
        f"interval {100 * interval[0]:.0f} to {100 * interval[1]:.0f} %)"
    )
    scale = run.get("amp/scale")
    if scale is not None and len(scale.finite):
        value = scale.finite.value
        message += f"; the loss scale went from {value[0]:.4g} to {value[-1]:.4g} and never settled"
    gone = _loss_is_gone(run, seen.since)
    message += "; the loss itself is not finite then, so no scale can help (AMP003)" if gone else ""
    return Finding(
        message,
        step=max(seen.begin, 0),
        severity="note" if gone else "error" if interval[0] > 0.5 else None,
        evidence=seen.evidence,
        remedies=_remedies(),
    )


def _surrender(event: Event) -> Finding:
    text = next((line for line in event.text.strip().splitlines()[::-1] if _GAVE_UP.search(line)), event.text)[:200]
    return Finding(
        f'the trainer gave up at step {event.step}: "{text.strip()}"',
        step=event.step,
        severity="error",
        evidence=(Evidence(f"event:{event.kind}", step=event.step, text=text.strip()),),
        remedies=_remedies(),
    )


def _remedies() -> tuple[Remedy, ...]:
    return (
        Remedy("Find what overflows first: torch.autograd.set_detect_anomaly(True) at one skipped step", safe=True),
        Remedy("bfloat16 instead of float16, a lower learning rate, or a clipped gradient norm"),
    )

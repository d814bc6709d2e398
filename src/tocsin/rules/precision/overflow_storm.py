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


@rule(
    "AMP001",
    needs=("count/skipped | amp/scale | events",),
    severity="warning",
    explains=(
        "EVL002", "GEN002", "GEN003", "GEN004", "OPT001", "OPT009", "PRD002", "PRD004", "PRD009", "RUN001", "RUN003",
        "RUN004",
    ),
)  # fmt: skip
def overflow_storm(run: Run, *, share: float = 0.05, confidence: float = 0.99) -> Iterator[Finding | NotChecked]:
    """Gradients overflow again and again: optimizer steps are skipped and the loss scale never settles.

    ## What it does
    In the last half of the steps, `k` of `n` were skipped: the growth of `count/skipped` against that of
    `count/optimizer`; else the times that the loss scale was halved (the sum of `-log2` of each fall of `amp/scale`);
    else the overflow messages of the log. Rings when the Wilson interval of `k / n` lies above `share` with `k >= 10`
    and, where the scale is recorded, it ends at its minimum, without having recovered. An error when the interval
    lies above one half. Also an error: the trainer gave up because the loss scale reached its minimum, or the records
    of a run that is over end with 10 falls of the scale in a row, to below 1/64, however short the log. A note where
    most losses of the late part are not finite themselves: that is AMP003, and the skips are its symptom.

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
    if (falls := _below_one(run)) >= _FALLS:
        yield _endless(run, falls)
        return
    seen = next((s for s in (_by_count(run), _by_scale(run), _by_messages(run)) if s is not None), None)
    if seen is None:
        yield NotChecked("needs 100 steps of count/skipped or amp/scale, or overflow messages with steps")
        return
    low, high = stats.wilson(min(seen.skipped, seen.steps), seen.steps, confidence)
    if seen.skipped >= 10 and low > share and not _recovered(run):
        yield _finding(run, seen, (low, high))


def _below_one(run: Run) -> int:
    """How often in a row the scale fell with its last records, where that led far below 1; else 0."""
    scale = run.get("amp/scale")
    if scale is None or len(scale.finite) < 2 or run.exit == "running":
        return 0
    value = scale.finite.value
    rises = np.flatnonzero(np.diff(value) >= 0)
    falls = value.size - 1 - (int(rises[-1]) + 1 if rises.size else 0)
    return falls if 0 < value[-1] < _TINY else 0


def _endless(run: Run, falls: int) -> Finding:
    scale = run.series["amp/scale"].finite
    first, last = scale[-falls - 1 :][:1], scale[-1:]
    start, end = float(first.value[0]), float(last.value[0])
    return Finding(
        f"the loss scale fell {falls} times in a row, from {start:.3g} to {end:.3g}, and no step came through: a "
        "gradient that overflows even at a scale far below 1 is NaN or infinite itself",
        step=int(first.step[0]),
        severity="note" if _loss_is_gone(run, int(first.step[0])) else "error",
        evidence=(
            Evidence("amp/scale", start, int(first.step[0]), text="before the first of these falls"),
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

"""AMP003 non-finite."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin import names
from tocsin.findings import Evidence, Finding, Remedy, rule
from tocsin.run import Event, Run, Series

_SAID = re.compile(r"\b(nan|infs?|infinite|infinity|non-?finite|not finite|overflow(ed)?|diverged)\b", re.IGNORECASE)
_COUNTS = ("grad/nonfinite", "grad/applied_nonfinite", "param/nonfinite")
# Within one step: the loss is computed first, then the gradient, then what the optimizer uses, then the parameters.
_PLACES = {"grad/norm": 1, "grad/nonfinite": 1, "grad/applied_nonfinite": 2, "param/nonfinite": 3}
Bools = NDArray[np.bool_]
_ANOMALY = "torch.autograd.set_detect_anomaly(True)"
_WORDS = ("the loss", "the gradient", "the gradient that the optimizer used", "the parameters", "an evaluation")


@dataclass(frozen=True)
class Stretch:
    """The non-finite points with which a series ends so far."""

    name: str
    series: Series
    start: int
    place: int

    @property
    def step(self) -> int:
        return int(self.series.step[self.start])

    @property
    def order(self) -> tuple[int, int]:
        return self.step, self.place

    @property
    def length(self) -> int:
        return len(self.series) - self.start

    @property
    def value(self) -> str:
        if self.name in _COUNTS:
            return f"{self.series.value[self.start]:g} entries not finite"
        return "NaN" if np.isnan(self.series.value[self.start]) else "inf"


@rule(
    "AMP003",
    needs=("train/loss | train/loss/* | val/loss | grad/norm | grad/applied_nonfinite | param/nonfinite | events",),
    severity="error",
    explains=("OPT001", "OPT003", "PRD001", "PRD002", "PRD009", "GEN002", "EVL001", "GEN001", "RUN003", "RUN004"),
)
def non_finite(run: Run, *, confirm: int = 3) -> Iterator[Finding]:
    """The loss, the applied gradient or the parameters become NaN or infinite and stay so.

    ## What it does
    For each series of losses (`train/loss`, its terms, `<split>/loss`) a point is bad if it is NaN or infinite; for
    `grad/applied_nonfinite` and `param/nonfinite` if it is above 0. Rings an error when a series ends in `m` bad points

    `m >= confirm` (or `m >= 1` for parameters, and for any series of a run that is over), and `m > h`,

    with `h` the longest earlier stretch of bad points that healed. The finding says what was bad first (within a step:
    loss, gradient, applied gradient, parameters), which terms were still finite then, the learning rate as a share of
    its peak, how much of the run came after, and what an event's text says.

    Bad training or evaluation losses that healed are a note. A term that stays bad while the total stays finite is a
    warning of its own. A raw gradient (`grad/norm`, `grad/nonfinite`) is never bad on its own: a GradScaler skips such
    steps, and 19 of them at the start of a healthy run have been seen. It tells the cause; and it counts as a fault
    where every loss since is exactly 0 or missing (trainers exist that log a NaN loss as 0).

    ## Why is this bad?
    One non-finite update leaves every parameter it touches NaN, for good: nothing is learned after that step, while
    the run goes on using the machine. A public log shows 35 hours of it after the first 150 steps.

    ## Example
    ```python
    loss = np.exp(-np.arange(200) / 80.0)
    loss[120:] = np.nan
    run = Run.of(series={"train/loss": loss})
    ```
    Use instead:
    ```python
    loss = np.exp(-np.arange(200) / 80.0)
    run = Run.of(series={"train/loss": loss})
    ```

    ## Fix
    - **safe** Stop the run at the first bad step (`watch(..., stop_on="error")`), and find the operation with
      `torch.autograd.set_detect_anomaly(True)` from the last good checkpoint.
    - **unsafe** Loss bad first: guard the logarithm, division, exponential or square root of the named term, or
      compute it in float32.
    - **unsafe** Gradient bad first: clip its norm; guard square roots and norms at 0.
    - **unsafe** At the peak of the learning rate: lower the peak, or lengthen the warm-up.

    ## Options
    - `confirm` = 3: bad points in a row that count as staying bad while the run goes on. A bad batch that is skipped
      gives 1, seldom 2; poisoned parameters never recover, so 3 costs no more than 3 steps.

    ## Known limits
    The order of what came first is as fine as the sampling of each series. A metric that is NaN because it is not
    defined (a class without samples) is not looked at. A sanitiser that hides the values is AMP002; an endless row of
    skipped steps is AMP001.

    ## References
    Micikevicius et al. 2018, Mixed precision training, section 3.2 (loss scaling and skipped steps).
    """
    stretches = list(_stretches(run))
    separate = [s for s in stretches if _is_separate(run, s)]
    candidates = [s for s in stretches if s not in separate]
    standing = [s for s in candidates if _stands(run, s, confirm)]
    if standing:
        yield _poisoned(run, _with_causes(standing, candidates))
    else:
        yield from _stopped_by_its_own_check(run)
    for stretch in separate:
        if _stands(run, stretch, confirm):
            yield _apart(stretch)
    yield from _healed(run)


def _bad(name: str, series: Series) -> Bools:
    bad: Bools = ~np.isfinite(series.value)
    return bad | (series.value > 0) if name in _COUNTS else bad


def _stretches(run: Run) -> Iterator[Stretch]:
    """The bad end of each series that has one."""
    losses = ["train/loss", *(f"train/loss/{term}" for term in run.family("train/loss"))]
    for name in [*losses, *_PLACES, *names.eval_losses(run.series)]:
        series = run.get(name)
        if series is None or not _bad(name, series)[-1]:
            continue
        good = np.flatnonzero(~_bad(name, series))
        place = 0 if name in losses else _PLACES.get(name, 4)
        yield Stretch(name, series, int(good[-1]) + 1 if good.size else 0, place)


def _stands(run: Run, stretch: Stretch, confirm: int) -> bool:
    """Whether the series stays bad: long enough, and longer than it ever was before it healed."""
    if stretch.place == 1 and not _unscaled_and_lossless(run, stretch):
        return False
    at_once = stretch.name == "param/nonfinite" or run.exit != "running"
    before = _runs_of(_bad(stretch.name, stretch.series)[: stretch.start])
    return stretch.length >= (1 if at_once else confirm) and stretch.length > max(before, default=0)


def _unscaled_and_lossless(run: Run, stretch: Stretch) -> bool:
    """Whether a raw gradient's state matters: no scaler can have skipped it and no loss since was a real number."""
    if run.get("amp/scale") is not None:
        return False
    loss = run.get("train/loss")
    since = loss.value[loss.step > stretch.step] if loss is not None else np.empty(0)
    return stretch.length >= 3 and not np.any(np.isfinite(since) & (since != 0))


def _runs_of(bad: Bools) -> list[int]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], bad.astype(np.int8), [0]])))
    return [int(n) for n in edges[1::2] - edges[::2]]


def _is_separate(run: Run, stretch: Stretch) -> bool:
    """Whether this is a term that the total does not contain: the total stays finite."""
    total = run.get("train/loss")
    if total is None or not stretch.name.startswith("train/loss/"):
        return False
    since = total.value[total.step >= stretch.step]
    return bool(since.size) and bool(np.isfinite(since).all())


def _with_causes(standing: list[Stretch], candidates: list[Stretch]) -> list[Stretch]:
    """The standing stretches, and those that began no later (a gradient that went bad just before), first one first."""
    first = min(s.order for s in standing)
    return sorted([*standing, *(c for c in candidates if c not in standing and c.order < first)], key=lambda s: s.order)


def _poisoned(run: Run, stretches: list[Stretch]) -> Finding:
    first = stretches[0]
    named = next((s for s in stretches if s.name == "train/loss"), first)
    said = [(e, e.text.strip().splitlines()[-1][:160]) for e in _said(run, first)]
    parts = [
        f"{named.name} is {named.value} from step {named.step} on{_last_good(named)}",
        _what_first(run, first),
        _lr_share(run, first.step),
        _what_came_after(run, first),
        *(f'the log says "{text}"' for _, text in said),
    ]
    spoken = [Evidence(f"event:{event.kind}", step=event.step, text=text) for event, text in said]
    return Finding(
        "; ".join(part for part in parts if part),
        step=first.step,
        evidence=(*(_evidence(s) for s in stretches), *spoken),
        remedies=_remedies(run, first),
    )


def _last_good(stretch: Stretch) -> str:
    if stretch.name in _COUNTS or not stretch.start:
        return ""
    return f" (the last finite value is {stretch.series.value[stretch.start - 1]:.3g})"


def _what_first(run: Run, first: Stretch) -> str:
    name = first.name
    if name.startswith("train/loss"):
        at = {t: s.value[s.step == first.step] for t, s in run.family("train/loss").items()}
        bad = [t for t, v in at.items() if v.size and not np.isfinite(v).all()]
        good = [t for t, v in at.items() if v.size and np.isfinite(v).all()]
        if bad and good:
            terms, were = "term" if len(bad) == 1 else "terms", "was" if len(good) == 1 else "were"
            return f"first in the {terms} {', '.join(bad)}, while {', '.join(good)} {were} finite"
        growth = _growth(first)
        if growth > 10:
            return f"it had grown {growth:.3g}-fold over the values before"
        return "before any sampled gradient or parameter was" if any(run.get(n) for n in _PLACES) else ""
    return f"first was {_WORDS[first.place]} ({name}, step {first.step})"


def _growth(stretch: Stretch) -> float:
    """The last finite loss over the median of the 50 before it."""
    before = np.abs(stretch.series.value[max(0, stretch.start - 51) : stretch.start])
    if before.size < 6 or not (middle := float(np.median(before[:-1]))) > 0:
        return 1.0
    return float(before[-1]) / middle


def _lr_share(run: Run, step: int) -> str:
    rates = [s.finite for s in run.family("lr").values() if len(s.finite.until(step))]
    if not rates:
        return ""
    rate = max(rates, key=lambda s: float(s.value.max()))
    now, peak = float(rate.until(step).value[-1]), float(rate.value.max())
    return f"at {100 * now / peak:.0f} % of the peak learning rate {peak:.3g}" if peak > 0 else ""


def _what_came_after(run: Run, first: Stretch) -> str:
    steps = run.last_step - first.step
    if steps <= 0:
        return ""
    start = float(first.series.time[first.start])
    end = max((float(np.nanmax(s.time)) for s in run.series.values() if np.isfinite(s.time).any()), default=np.nan)
    lasted = f" ({_duration(end - start)} of {_duration(end)})" if end > start else ""
    return f"{steps} of {run.last_step} steps{lasted} came after it"


def _duration(seconds: float) -> str:
    size, unit = next((z, u) for z, u in ((3600.0, "h"), (60.0, "min"), (1.0, "s")) if seconds >= z or u == "s")
    return f"{seconds / size:.3g} {unit}"


def _said(run: Run, first: Stretch) -> list[Event]:
    """The first event from about then on whose text speaks of non-finite values."""
    spoken = [e for e in run.events if e.step >= first.step - 1 and e.kind != "exit" and _SAID.search(e.text)]
    return spoken[:1]


def _evidence(stretch: Stretch) -> Evidence:
    """A count is cited where it first is above 0; of a NaN, which no number can be compared with, the value before."""
    name, series, start = stretch.name, stretch.series, stretch.start
    if name in _COUNTS and np.isfinite(series.value[start]):
        return Evidence(name, float(series.value[start]), stretch.step, 0.0, text=stretch.value)
    text = f"{stretch.value} from step {stretch.step} on, {stretch.length} values"
    if not start:
        return Evidence(name, text=text)
    return Evidence(name, float(series.value[start - 1]), int(series.step[start - 1]), text=f"then {text}")


def _remedies(run: Run, first: Stretch) -> tuple[Remedy, ...]:
    share = re.match(r"at (\d+) %", _lr_share(run, first.step))
    if share and int(share[1]) >= 90:
        cure = "Lower the peak learning rate, or lengthen the warm-up"
    elif first.place == 0:
        cure = "Guard the logarithm, division, exponential or root in what was bad first, or compute it in float32"
    else:
        cure = "Clip the gradient norm; guard square roots and norms at 0"
    return Remedy(f"Stop at the first bad step and find the operation with {_ANOMALY}", safe=True), Remedy(cure)


def _stopped_by_its_own_check(run: Run) -> Iterator[Finding]:
    """A run whose own code raised on a non-finite value before it was recorded."""
    if run.exit != "failed":
        return
    for event in [e for e in run.events if e.kind == "exception" and e.text.strip()][-1:]:
        text = event.text.strip().splitlines()[-1][:160]
        if not _SAID.search(text):
            return
        yield Finding(
            f'the run stopped itself at step {event.step}: "{text}"; every value recorded until then is finite',
            step=event.step,
            evidence=(Evidence(f"event:{event.kind}", step=event.step, text=text),),
            remedies=(Remedy(f"Find the operation with {_ANOMALY}", safe=True),),
        )


def _apart(stretch: Stretch) -> Finding:
    n = stretch.length
    return Finding(
        f"{stretch.name} is {stretch.value} from step {stretch.step} on ({n} values), yet train/loss is finite: "
        "the total does not contain this term, or it is a mean over nothing",
        subject=stretch.name,
        step=stretch.step,
        severity="warning",
        evidence=(_evidence(stretch),),
        remedies=(
            Remedy("Log 0 or nothing where the term has no samples; check that the total contains it", safe=True),
        ),
    )


def _healed(run: Run) -> Iterator[Finding]:
    """A note on each loss that was bad and was finite again."""
    for name in ["train/loss", *names.eval_losses(run.series)]:
        series = run.get(name)
        good = np.flatnonzero(~_bad(name, series)) if series is not None else np.empty(0)
        if series is None or not good.size or not _bad(name, series)[: good[-1]].any():
            continue
        at = np.flatnonzero(_bad(name, series)[: good[-1]])
        after = int(good[good > at[0]][0])
        steps = ", ".join(str(s) for s in series.step[at[:4]]) + (", ..." if at.size > 4 else "")
        yield Finding(
            f"{at.size} of {len(series)} values of {name} were not finite (step {steps}), and it recovered each time",
            subject=name,
            step=int(series.step[at[0]]),
            severity="note",
            evidence=(
                Evidence(name, text=f"{at.size} values not finite, first at step {series.step[at[0]]}"),
                Evidence(name, float(series.value[after]), int(series.step[after]), text="finite again"),
            ),
        )

"""AMP003 non-finite."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import numpy as np

from tocsin import names, nonfinite, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.nonfinite import COUNTS, PLACES, Stretch, bad_points, lengths, scaled, stretches
from tocsin.run import Event, Run, Series

_ANOMALY = "torch.autograd.set_detect_anomaly(True)"
_HALF = (
    Remedy(
        "Compute the loss in float32, inside autocast or of logits.float(): in float16, 1e-8 is 0 and 65520 infinite",
        safe=True,
    ),
    Remedy("Leave the skipping of such a step to the GradScaler, and count what it skips", safe=True),
)
_AGAIN, _OFTEN = 3, 0.05  # stretches that healed, and their share: more than a bad batch now and then
_LESS = 0.9  # of the first loss beside a gradient that is no number: it falls, so steps are taken
# Caffe's softmax loss takes the logarithm of max(p, FLT_MIN): NaN scores, or a probability of 0 for each target.
_CLAMP = 87.33654
_WORDS = ("the loss", "the gradient", "the gradient that the optimizer used", "the parameters", "an evaluation")


@rule(
    "AMP003",
    needs=(),
    severity="error",
    explains=(
        "AMP001", "EVL001", "EVL002", "GEN001", "GEN002", "GEN004", "OPT001", "OPT003", "PRD001", "PRD002", "PRD009",
        "RUN001", "RUN003", "RUN004",
    ),
)  # fmt: skip
def non_finite(run: Run, *, confirm: int = 3) -> Iterator[Finding | NotChecked]:
    """The loss, the applied gradient or the parameters become NaN or infinite and stay so.

    ## What it does
    For each series of losses (`train/loss`, its terms, `<split>/loss`; where there is no training loss at all, a metric
    that is better low, as perplexity or logloss) a point is bad if it is NaN or infinite; for
    `grad/applied_nonfinite` and `param/nonfinite` if it is above 0. Rings an error when a series ends in `m` bad points

    `m >= confirm` (or `m >= 1` for parameters, and for any series of a run that is over), and `m > h`,

    with `h` the longest earlier stretch of bad points that healed. The finding says what was bad first (within a step:
    loss, gradient, applied gradient, parameters), which terms were still finite then, the learning rate as a share of
    its peak, how much of the run came after, and what an event's text says.

    Bad training or evaluation losses that healed are a note; training losses a warning where they came back 3 times
    and more, at no regular pace, and their share has a Wilson interval above a twentieth: something in the data or
    the step makes them again and again. A term that stays bad while the total stays finite is a warning of its own. A
    raw gradient (`grad/norm`, `grad/nonfinite`) is not bad on its own: a GradScaler skips such steps, and 19 of them
    at the start of a healthy run have been seen. It tells the cause; and it counts as a fault where every loss since
    is exactly 0 or missing (trainers exist that log a NaN loss as 0). Where 2 records or more at the end of a run are
    bad beside a finite loss, and no loss scale falls, that is a warning if they are 3 or more, or if they were
    numbers before and are NaN now; a note where the loss has fallen since (Theil-Sen, or by a tenth): then steps are
    taken.

    Where every record is finite the words of the log count: the exception or message by which the code ended itself on
    a NaN or infinite loss ("Model diverged with loss = NaN", "Loss is nan, stopping training", FloatingPointError),
    unless finite losses follow it. So does a loss that ends at 87.3365 = -ln(1.18e-38), where Caffe's softmax loss is
    clamped.

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
    if not run.events and not any(nonfinite.is_judged(name) for name in run.series):
        yield NotChecked("needs a loss, a metric that is better low, a gradient norm, or what the log says")
        return
    found = list(stretches(run))
    separate = [s for s in found if _is_separate(run, s)]
    candidates = [s for s in found if s not in separate]
    standing = [s for s in candidates if _stands(run, s, confirm)]
    if standing:
        yield _poisoned(run, _with_causes(standing, candidates))
    else:
        ways = (_stopped_by_its_own_check(run), _at_its_clamp(run), _gradient_alone(run))
        yield from itertools.islice(itertools.chain(*ways), 1)
    for stretch in separate:
        if _stands(run, stretch, confirm):
            yield _apart(stretch)
    yield from _healed(run)


def _stands(run: Run, stretch: Stretch, confirm: int) -> bool:
    """Whether the series stays bad: long enough, and longer than it ever was before it healed."""
    if stretch.place == 1 and not _unscaled_and_lossless(run, stretch):
        return False
    at_once = stretch.name == "param/nonfinite" or run.exit != "running"
    before = lengths(bad_points(stretch.name, stretch.series)[: stretch.start])
    return stretch.length >= (1 if at_once else confirm) and stretch.length > max(before, default=0)


def _unscaled_and_lossless(run: Run, stretch: Stretch) -> bool:
    """Whether a raw gradient's state matters: no scaler can have skipped it and no loss since was a real number."""
    loss = run.get("train/loss")
    since = loss.value[loss.step > stretch.step] if loss is not None else np.empty(0)
    return stretch.length >= 3 and not scaled(run, stretch) and not np.any(np.isfinite(since) & (since != 0))


def _gradient_alone(run: Run) -> Iterator[Finding]:
    """A gradient norm that ends non-finite beside a loss that is a number: its steps were skipped, or it lies."""
    loss, end = run.get("train/loss"), nonfinite.stretch("grad/norm", run.get("grad/norm"), 1)
    settled = run.exit == "running" or run.get("grad/applied_nonfinite") is not None
    if loss is None or end is None or settled or end.length < 2 or scaled(run, end):
        return
    since = loss.finite[int(np.searchsorted(loss.finite.step, end.step)) :]
    if not (len(since) and since.value[-1]):
        return
    learns = stats.trend(since.step, since.value).falling or float(since.value[-1]) < _LESS * float(since.value[0])
    lasting = end.length >= (2 if end.start and end.value == "NaN" else 3)
    meaning = (
        "such steps are skipped, or the norm itself overflows"
        if learns
        else "it has not fallen since: such steps are skipped, and if that lasts nothing is learned"
    )
    yield Finding(
        f"grad/norm is {end.value} in the last {end.length} of {len(end.series)} records, from step {end.step} on, "
        f"while train/loss is finite ({since.value[-1]:.3g}): {meaning}",
        subject="grad/norm",
        step=end.step,
        severity="warning" if lasting and not learns else "note",
        evidence=(
            _evidence(end),
            Evidence("train/loss", float(since.value[-1]), int(since.step[-1]), text="finite beside it"),
        ),
        remedies=(Remedy(f"Find the operation with {_ANOMALY}", safe=True),),
    )


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
    said = [(e, nonfinite.last_line(e)) for e in _said(run, first)]
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
    if stretch.name in COUNTS or not stretch.start:
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
        sampled = run.source in ("tocsin", "memory") and any(run.get(n) for n in PLACES)
        return "before any sampled gradient or parameter was" if sampled else ""
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
    spoken = [e for e in run.events if e.step >= first.step - 1 and nonfinite.speaks(e)]
    return spoken[:1]


def _evidence(stretch: Stretch) -> Evidence:
    """A count is cited where it first is above 0; of a NaN, which no number can be compared with, the value before."""
    name, series, start = stretch.name, stretch.series, stretch.start
    if name in COUNTS and np.isfinite(series.value[start]):
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
    """A run whose own code, or whose framework, ended it on a non-finite value before that was recorded."""
    found = nonfinite.gave_up(run)
    if found is None:
        return
    event, text = found
    step = event.step if run.trained else 0
    known = "; every value recorded until then is finite" if run.trained else "; no step of it is recorded"
    scale = run.get("amp/scale")
    half = "; in float16, under a loss scale that would have skipped this step" if scale is not None else ""
    spoken = Evidence(f"event:{event.kind}", step=event.step, text=text)
    yield Finding(
        f'the run stopped itself at step {event.step}: "{text}"{known}{half}',
        step=step,
        evidence=(spoken,) if scale is None else (spoken, _loss_scale(scale)),
        remedies=(*(_HALF if half else ()), Remedy(f"Find the operation with {_ANOMALY}", safe=True)),
    )


def _loss_scale(scale: Series) -> Evidence:
    return Evidence(scale.name, float(scale.value[-1]), int(scale.step[-1]), text="the loss scale of float16")


def _at_its_clamp(run: Run) -> Iterator[Finding]:
    """A loss that ends at the largest value that float32 lets a cross-entropy take, and stood elsewhere before."""
    for name in ["train/loss", *names.eval_losses(run.series)]:
        series = run.get(name)
        at = np.abs(series.value - _CLAMP) < 6e-5 if series is not None else np.empty(0, bool)
        if series is None or run.exit == "running" or not at.size or not at[-1]:
            continue
        free = np.flatnonzero(~at)
        first = int(free[-1]) + 1 if free.size else 0
        near = bool(free.size) and bool(np.abs(series.value[free[-1]] - _CLAMP) < 0.05 * _CLAMP)
        if near:
            continue
        before = f", after {series.value[first - 1]:.4g} at step {series.step[first - 1]}" if first else ""
        n = len(series) - first
        yield Finding(
            f"{name} is 87.3365 = -ln(1.18e-38) in the last {n} of {len(series)} values, from step "
            f"{series.step[first]} on{before}: the logarithm of the smallest float32, which stands for NaN scores or a "
            "probability of 0 for every target",
            step=int(series.step[first]),
            evidence=(
                Evidence(name, float(series.value[first]), int(series.step[first]), _CLAMP, text="at its clamp"),
            ),
            remedies=(
                Remedy(
                    "Look at the scores before the softmax, and at the labels (none outside the classes)", safe=True
                ),
                Remedy("Lower the learning rate; start from the pretrained weights that the recipe names"),
            ),
        )
        return


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
        good = np.flatnonzero(~bad_points(name, series)) if series is not None else np.empty(0)
        if series is None or not good.size or not bad_points(name, series)[: good[-1]].any():
            continue
        at = np.flatnonzero(bad_points(name, series)[: good[-1]])
        after = int(good[good > at[0]][0])
        steps = ", ".join(str(s) for s in series.step[at[:4]]) + (", ..." if at.size > 4 else "")
        low, high = stats.wilson(at.size, len(series))
        # A column that another row's absence fills with NaN is bad at a regular pace, or mostly.
        spread = np.unique(np.diff(at)).size > 1 and high < 0.5 and name == "train/loss"
        often = spread and len(lengths(bad_points(name, series)[: good[-1]])) >= _AGAIN and low > _OFTEN
        yield Finding(
            f"{at.size} of {len(series)} values of {name} were not finite (step {steps}), and it recovered each time"
            + (
                f"; {100 * low:.0f} to {100 * high:.0f} % of all: something makes them again and again" if often else ""
            ),
            subject=name,
            step=int(series.step[at[0]]),
            severity="warning" if often else "note",
            evidence=(
                Evidence(name, text=f"{at.size} values not finite, first at step {series.step[at[0]]}"),
                Evidence(name, float(series.value[after]), int(series.step[after]), text="finite again"),
            ),
            remedies=(Remedy(f"Find the batch and the operation with {_ANOMALY}", safe=True),),
        )

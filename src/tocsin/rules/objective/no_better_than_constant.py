"""OBJ009 no-better-than-constant."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from tocsin import informed, loss_names, metrics, names, references, stats
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, Severity, rule, since
from tocsin.loss_names import Loss
from tocsin.reference_losses import Reference, each_cost, number
from tocsin.run import Evaluation, Floats, Ints, Run, Series, in_each, in_last

_REMEDIES = (
    Remedy("Print predictions beside targets for one batch: scale, sign, units, which output belongs to which", True),
    Remedy(
        "Check that evaluation uses the trained weights, the same normalisation and the same loss as training", True
    ),
    Remedy("Record a cheap baseline (run.evaluate(..., baseline=)): it tells whether there is anything to learn", True),
)
_ERRORS = frozenset(("mse", "rmse", "mae", "perplexity"))
_HANDFUL = 3
_WORSE = 0.98  # above the constant by as much: no longer the mean of a task without information


@dataclass(frozen=True)
class Beside:
    """A logged loss at one evaluation, and its reference."""

    value: float
    reference: Reference


Look = Callable[[Evaluation], Beside | None]
Saves = Callable[[Evaluation], stats.Interval]


@rule("OBJ009", needs=(), severity="warning", explains=("PRD006",))
def no_better_than_constant(
    run: Run, *, least: float = 0.98, skill: float = 0.1, level: float = 0.01
) -> Iterator[Finding | NotChecked]:
    """An evaluation loss is no lower than that of the best constant prediction.

    ## What it does
    With L the logged loss of an evaluation and C the least loss that one answer for every input can have on the same
    targets under the *same* loss (cross-entropy, focal, BCE, squared, absolute, Huber, Gaussian likelihood; closed form
    or a one-dimensional search): rings when in each of the last 3 evaluations, with settled predictions,

    - L >= `least` C (of a likelihood, which may be negative: L >= C - (1 - `least`) nats). Where the logged form is not
      known for sure (label smoothing or class weights that may be in it), C is the largest of its readings;
    - the recorded predictions confirm it. Values: the interval at `level` of the share of the constant's cost that they
      save, paired sample by sample, autocorrelation counted, ends below `skill`. Classes: that of their agreement
      beyond chance (Cohen's kappa) does.

    Which loss a series is must be said by its name (`val/loss/depth_mse`), by the configuration, or by its digits being
    those of the predictions' squared or absolute error. A logged `reference/<loss name>` stands for C otherwise: then
    the last 3 values (all of them flat, or the run over) and the interval of their mean decide; of values still in
    motion, the band about their Theil-Sen line that holds them all, at its end.

    A warning where the loss is above C by 2 % or more (.02 nats), of values only if the interval of what they save ends
    below 0; where a recorded baseline beats chance; for classes; and against a logged reference. A regression that
    merely stays at C is a note: without information the mean is the right answer; with a recorded baseline that finds
    nothing either, nothing rings (PRD005).

    ## Why is this bad?
    Nothing of the input is used, and no curve shows it: in a published report a validation loss of 1.61 was called
    learning where predicting zero costs 1.0.

    ## Example
    ```python
    rng = np.random.default_rng(0)
    t, wrong = rng.normal(size=400), 0.8 * rng.normal(size=400)
    off = Moments.of(t, wrong)
    run = Run.of(
        series={"val/loss/signal_mse": [float(((wrong - t) ** 2).mean())] * 3},
        evaluations=[Evaluation("val", "signal", s, "regression", 400, moments=(off,)) for s in (1, 2, 3)],
    )
    ```
    Use instead:
    ```python
    rng = np.random.default_rng(0)
    t = rng.normal(size=400)
    p = 0.7 * t + 0.4 * rng.normal(size=400)
    run = Run.of(
        series={"val/loss/signal_mse": [float(((p - t) ** 2).mean())] * 3},
        evaluations=[Evaluation("val", "signal", s, "regression", 400, moments=(Moments.of(t, p),)) for s in (1, 2, 3)],
    )
    ```

    ## Fix
    - **safe** Compare predictions and targets of one batch by eye: a swapped axis, another unit, a wrong sign.
    - **safe** Score the training data in evaluation mode: if that is no better either, nothing was learned; if it is,
      nothing carried over.
    - **unsafe** Shrink: more regularisation, fewer epochs. Where there is no information, the mean is the best answer.

    ## Options
    - `least` (.98): batches of unequal size averaged as equals shift a mean by about a percent.
    - `skill` (.1): a tenth of the constant's cost, or of the agreement that chance leaves open: who gains as much has
      learned something.
    - `level` (.01): 99 % interval.

    ## Known limits
    Silent where the loss is not known, and for losses on classes where the decisions are above chance: an
    over-confident model costs more than a constant and knows its classes (GEN001, EVL002). Terms that are switched off
    (weight or training loss 0 at the end) are left out. Cannot tell a task without information from a failure to learn
    it, unless a baseline is recorded.

    ## References
    Murphy 1988, Mon. Wea. Rev. 116 (skill against climatology). Fleiss, Cohen and Everitt 1969
    (standard error of kappa). Lin et al. 2017 (focal loss).
    """
    judged = False
    for name in _losses(run):
        if _inactive(run, name):
            continue
        given = run.get(f"reference/{name}")
        if given is not None and len(given.finite):
            judged |= len(run.series[name].finite) >= _HANDFUL
            finding = _against_given(run, run.series[name].finite, least, skill, level)
        else:
            evaluations = references.evaluations_of(run, name)
            look = cache(partial(_beside, run, name, evaluations))
            saves = cache(partial(_saved, loss_names.loss_of(run, name), confidence=1 - level))
            judged |= any(look(e) is not None for e in run.settled(evaluations))
            finding = _against_targets(run, name, evaluations, look, saves, least, skill)
        if finding is not None:
            yield finding
    if not judged:
        yield NotChecked(
            f"needs {SETTLED}, and an evaluation loss of a known kind: by its name (val/loss/depth_mse), by "
            "config, or with a logged reference/<its name>"
        )


def _losses(run: Run) -> list[str]:
    """Evaluation losses and errors, in the order of the record."""
    found = []
    for name in run.series:
        metric = metrics.read(name)
        is_loss = "loss" in name.split("/") or (metric is not None and metric.measure in _ERRORS)
        if is_loss and names.split_of(name) not in ("", "train"):
            found.append(name)
    return found


def _inactive(run: Run, name: str) -> bool:
    """Whether the term is switched off: its weight, or the last quarter of its training loss, is 0."""
    term = name.partition("/loss/")[2]
    weight, train = run.get(f"weight/{term}"), run.get(f"train/loss/{term}")
    off = weight is not None and weight.value[-1] == 0
    return off or (train is not None and not np.any(train.value[-max(1, len(train) // 4) :]))


def _beside(run: Run, name: str, evaluations: list[Evaluation], e: Evaluation) -> Beside | None:
    found = references.reference(run, name, e, evaluations)
    value = references.logged_at(run, name, e)
    if found is None or not math.isfinite(value) or not math.isfinite(found.high):
        return None
    return Beside(value, found) if found.of == "Gaussian NLL" or found.high > 0 else None


def _saved(told: Loss | None, e: Evaluation, *, confidence: float) -> stats.Interval:
    """Interval of the share of the constant's cost that the recorded predictions save; of kappa for classes."""
    if e.kind != "regression":
        shown = informed.skill(e, confidence)
        return (shown.low, shown.high) if shown is not None else stats.NAN
    loss = told or Loss("MSE")
    delta = number(loss.parameters.get("beta" if loss.family == "smooth L1" else "delta")) or 1.0
    rows = []
    for m in e.moments:
        t, p = m.sample_target, m.sample_prediction
        middle = float(np.median(t)) if t.size and loss.family == "MAE" else m.mean_target
        base, mine = each_cost(middle - t, loss.family, delta), each_cost(p - t, loss.family, delta)
        scale = float(base.mean()) if t.size else 0.0
        rows.append((base - mine) / scale if scale > 0 else base[:0])
    if not rows or len({row.size for row in rows}) > 1 or rows[0].size < 20:
        return stats.NAN
    return stats.mean_interval(np.mean(rows, axis=0), confidence)


def _floor(found: Reference, least: float) -> float:
    """The loss from which on the constant is not beaten."""
    return found.high - (1 - least) * (1.0 if found.of == "Gaussian NLL" else found.high)


def _against_targets(
    run: Run, name: str, evaluations: list[Evaluation], look: Look, saves: Saves, least: float, skill: float
) -> Finding | None:
    def held(e: Evaluation) -> dict[str, Beside]:
        seen = look(e)
        return {name: seen} if seen is not None and seen.value >= _floor(seen.reference, least) else {}

    def shown(e: Evaluation) -> dict[str, Beside]:
        return {n: seen for n, seen in held(e).items() if saves(e)[1] <= skill}

    signs, stretch = run.persisting(evaluations, in_each(shown), in_last(held))
    seen = look(stretch[-1]) if signs else None
    if seen is None:
        return None
    saved = saves(stretch[-1])
    severity = _severity(run, stretch[-1], evaluations, seen, saved)
    return None if severity is None else _finding(run, name, stretch, seen, saved, severity)


def _severity(
    run: Run, e: Evaluation, evaluations: list[Evaluation], seen: Beside, saved: stats.Interval
) -> Severity | None:
    """None where a baseline shows that there is nothing to learn and the loss is the constant's."""
    r = seen.reference
    worse = seen.value >= 2 * r.high - _floor(r, _WORSE) and (e.kind != "regression" or saved[1] < 0)
    if informed.nothing_to_learn(run, evaluations) is not None and not worse:
        return None
    if worse or e.kind != "regression":
        return "warning"
    skills = [informed.skill(b) for b in informed.fitted_baselines(run, e.key).values()]
    return "warning" if any(s is not None and s.beats(0.01) for s in skills) else "note"


def _finding(
    run: Run, name: str, stretch: list[Evaluation], seen: Beside, saved: stats.Interval, severity: Severity
) -> Finding:
    r, last = seen.reference, stretch[-1]
    low, high = saved
    what = "agree with the targets beyond chance by" if last.kind != "regression" else "save"
    confirmed = "" if math.isnan(low) else f"; the predictions {what} {100 * low:.2g} to {100 * high:.2g} %"
    above = f", and predicting zero {r.zero:.4g}" if math.isfinite(r.zero) and seen.value > r.zero else ""
    return Finding(
        f"{name} is {seen.value:.4g} where the best constant costs {r.high:.4g} ({r.of}){above}{confirmed}; "
        f"{since(stretch)}",
        subject=name,
        step=stretch[0].step,
        evidence=(
            Evidence(name, seen.value, references.logged(run, name, last)[0], r.high, text="against the best constant"),
            Evidence(f"evaluation:{last.key}", None, last.step, 0.0, saved, "share that the predictions save"),
        ),
        remedies=_REMEDIES,
        severity=severity,
    )


def _against_given(run: Run, series: Series, least: float, skill: float, level: float) -> Finding | None:
    """A loss beside the reference that the user logged."""
    found = references.reference(run, series.name)
    if found is None or found.high <= 0 or len(series) < _HANDFUL:
        return None
    if run.exit == "running" and (len(series) < 8 or not _flat(series)):
        return None
    at_least = series.value >= least * found.high
    if not at_least[-_HANDFUL:].all():
        return None
    start = int(np.flatnonzero(~at_least)[-1]) + 1 if not at_least.all() else 0
    stood = series[start:]
    low, high = stats.mean_interval(stood.value / found.high, 1 - level)
    if math.isnan(low) and len(stood) >= 5:
        low, high = _at_the_end(stood.step, stood.value / found.high)
    if low <= 1 - skill or (math.isnan(low) and np.ptp(stood.value) > skill * found.high):
        return None
    return Finding(
        f"{series.name} is {series.value[-1]:.4g} where the best constant costs {found.high:.4g} (as given); so in all "
        f"{len(stood)} values since step {stood.step[0]}",
        subject=series.name,
        step=int(stood.step[0]),
        evidence=(
            Evidence(series.name, float(series.value[-1]), int(series.step[-1]), found.high, None, "against the given"),
            Evidence(
                found.source, found.high, found.step, interval=(low, high), text="mean ratio of loss to reference"
            ),
        ),
        remedies=_REMEDIES,
    )


def _at_the_end(steps: Ints, ratios: Floats) -> tuple[float, float]:
    """Where the lowest and the highest parallel to the Theil-Sen line that touch a value end: for a curve in motion."""
    level = ratios - stats.trend(steps, ratios).slope * (steps - steps[-1])
    return float(level.min()), float(level.max())


def _flat(series: Series) -> bool:
    tail = series[-max(8, len(series) // 2) :]
    return stats.trend(tail.step, tail.value).flat

"""PRD006 below-baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import informed, stats
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule, since
from tocsin.run import Evaluation, Floats, Moments, Run

_REMEDIES = (
    Remedy("Give the network the baseline's inputs and scaling, and see whether it reaches the baseline on them", True),
    Remedy("Overfit one small batch: a network that cannot has a fault between input and loss", True),
    Remedy("Start from the baseline: add its prediction to the network's output, so that it learns the rest"),
)
_REPRESENTATION = (
    Remedy("Give the network what the baseline sees, beside or in place of its own input"),
    Remedy("Say what the input cannot tell, and score the network against what its input holds", True),
)
_HIDDEN = ("EVL002", "GEN002", "GEN004", "GEN005", "OBJ009", "PRD001", "PRD003", "PRD009", "PRD010", "PRD012")
_FEWEST = 10  # independent errors


@dataclass(frozen=True)
class Gap:
    """By how much a baseline is better, its interval, and both scores."""

    value: float
    low: float
    high: float
    model: float
    baseline: float
    of: str


@rule("PRD006", needs=("evaluations",), severity="warning", when="end")
def below_baseline(run: Run, *, gap: float = 0.02, level: float = 0.01) -> Iterator[Finding | NotChecked]:
    """A cheap baseline on the same split predicts better than the trained model.

    ## What it does
    Judged at the end, for each `split/task` with a recorded baseline (its last evaluation). Rings when against each of
    the model's last settled evaluations, up to 3, the baseline is better by `gap` and the interval at `level`, divided
    by the number of baselines, excludes 0:

    - values: the model is recalibrated first (least squares of target on prediction, on the very samples that are
      scored: in its favour), so that a wrong scale or shift is left to PRD004 and PRD007. Where both were recorded on
      the same targets in the same order, the interval is that of the mean difference of squared errors, paired,
      autocorrelation counted, over the variance of the target; else r^2 of the model is compared with R2 of the
      baseline by their separate intervals, which must not meet;
    - classes: the difference of the accuracies, by Newcombe's interval of two independent proportions; on shared
      samples that is too wide, in the model's favour.

    Where the configuration says what each sees (`inputs: {model: ..., <baseline>: ...}`), the better baseline sees
    something else, and a baseline that sees what the model does is no better than the model, that is a limit of the
    representation. It was there from step 0, and accounts for what it does to the predictions of that task: classes
    that draw others (PRD001), are never predicted (PRD003, PRD010, PRD012) or come and go (GEN005), chance (PRD009,
    OBJ009), and losses that stay where they are (GEN002, GEN004, EVL002).

    ## Why is this bad?
    What a ridge regression does in a second is the least that a network has to reach: below it, there is information
    that the network does not use.

    ## Example
    ```python
    rng = np.random.default_rng(0)
    t, a, b = rng.normal(size=(3, 300))
    made = {"ridge": Moments.of(t, 0.7 * t + 0.4 * a), "": Moments.of(t, 0.1 * t + 0.3 * b)}
    evaluations = [Evaluation("val", "depth", 9, "regression", 300, moments=(m,), baseline=n) for n, m in made.items()]
    run = Run.of(evaluations=evaluations)
    ```
    Use instead:
    ```python
    rng = np.random.default_rng(0)
    t, a, b = rng.normal(size=(3, 300))
    made = {"ridge": Moments.of(t, 0.7 * t + 0.4 * a), "": Moments.of(t, 0.9 * t + 0.2 * b)}
    evaluations = [Evaluation("val", "depth", 9, "regression", 300, moments=(m,), baseline=n) for n, m in made.items()]
    run = Run.of(evaluations=evaluations)
    ```

    ## Fix
    - **safe** Check what the network is fed: the baseline sees the same samples, so compare both inputs.
    - **unsafe** Train longer, at another learning rate, or let the network learn what the baseline leaves over.

    ## Options
    - `gap` (.02): of R2, or of the accuracy: less is not worth a change.
    - `level` (.01): 99 % interval.

    ## Known limits
    As honest as the baseline: fitted on what it is scored on, it wins unfairly. Says nothing where samples are too few
    (10 independent errors). Not checked without a recorded baseline.

    ## References
    Murphy 1988 (decomposition, recalibration). Newcombe 1998, method 10. Bayley and Hammersley 1946 (effective size).
    """
    judged = False
    for key, evaluations in run.of_kind().items():
        settled, baselines = run.settled(evaluations), informed.fitted_baselines(run, key)
        better: dict[str, Gap] = {}
        reached: list[str] = []
        for name, baseline in baselines.items():
            gaps = [_gap(e, baseline, level / len(baselines)) for e in settled]
            known = [g for g in gaps if g is not None and math.isfinite(g.low)]
            judged |= bool(known)
            if known and len(known) == len(settled) and all(g.low > 0 and g.value >= gap for g in known):
                better[name] = known[-1]
            elif known:
                reached.append(name)
        for name, found in better.items():
            yield _finding(key, name, settled, found, _representation(run, name, reached))
    if not judged:
        yield NotChecked(
            f"needs {SETTLED}, and a baseline on the same split "
            "(run.evaluate(split, target=, prediction=, baseline=name))"
        )


def _gap(model: Evaluation, baseline: Evaluation, level: float) -> Gap | None:
    if model.kind == baseline.kind == "regression":
        pairs = list(zip(model.moments, baseline.moments, strict=False))
        same = len(model.moments) == len(baseline.moments)
        gaps = [_gap_of_values(m, b, level / len(pairs)) for m, b in pairs] if same else []
        known = [g for g in gaps if g is not None]
        return max(known, key=lambda g: g.low) if known and len(known) == len(gaps) else None
    return _gap_of_classes(model, baseline, level)


def _gap_of_classes(model: Evaluation, baseline: Evaluation, level: float) -> Gap | None:
    m, b = model.confusion, baseline.confusion
    if m is None or b is None or not m.n or not b.n:
        return None
    hits = float(b.correct.sum()), b.n, float(m.correct.sum()), m.n
    low, high = stats.proportion_difference(*hits, confidence=1 - level)
    return Gap(hits[0] / hits[1] - hits[2] / hits[3], low, high, hits[2] / hits[3], hits[0] / hits[1], "accuracy")


def _gap_of_values(m: Moments, b: Moments, level: float) -> Gap | None:
    if not (m.var_target > 0 and b.var_target > 0 and math.isfinite(b.r2)):
        return None
    mine = m.r**2 if math.isfinite(m.r) else 0.0
    t, other = m.sample_target, b.sample_target
    if t.size >= 20 and m.stride == b.stride and np.array_equal(t, other):
        low, high = _paired(t, m.sample_prediction, b.sample_prediction, level)
        return Gap(b.r2 - mine, low, high, mine, b.r2, "R2")
    return _apart(m, b, mine, level)


def _paired(t: Floats, model: Floats, baseline: Floats, level: float) -> stats.Interval:
    """Interval of the mean difference of squared errors over the variance, the model's refitted."""
    refit = t - t.mean() - _slope(t, model) * (model - model.mean())
    difference = (refit**2 - (t - baseline) ** 2) / float(t.var()) if np.ptp(t) > 0 else t[:0]
    return stats.mean_interval(difference, 1 - level) if stats.effective_size(difference) >= _FEWEST else stats.NAN


def _slope(t: Floats, p: Floats) -> float:
    spread = float(p.var())
    return float(((t - t.mean()) * (p - p.mean())).mean()) / spread if spread > 0 else 0.0


def _apart(m: Moments, b: Moments, mine: float, level: float) -> Gap | None:
    """From separate intervals: the most that the model may have, the least that the baseline has."""
    sizes = [
        stats.paired_size(v.sample_target, v.sample_prediction) if v.sample_target.size >= 20 else 0.0 for v in (m, b)
    ]
    if min(sizes) < _FEWEST or not math.isfinite(b.r):
        return None
    top = max(abs(end) for end in stats.fisher_interval(m.r, sizes[0], 1 - level)) ** 2 if math.isfinite(m.r) else 0.0
    bottom, upper = stats.fisher_interval(b.r, sizes[1], 1 - level)
    cost = b.r**2 - b.r2  # what its scale and shift cost: it is scored as it is
    return Gap(b.r2 - mine, max(bottom, 0.0) ** 2 - cost - top, max(upper, 0.0) ** 2 - cost, mine, b.r2, "R2")


def _representation(run: Run, better: str, reached: list[str]) -> str:
    """In words, that the better baseline sees what the model does not, and the model uses what it sees; else empty."""
    sees = informed.inputs(run)
    mine, other = sees.get("model"), sees.get(better)
    alike = next((name for name in reached if sees.get(name) == mine), None)
    if mine is None or other is None or mine == other or alike is None:
        return ""
    return (
        f"; {better} sees {other}, the model only {mine}, where {alike} is no better than it: a limit of the "
        "representation, not of the training"
    )


def _finding(key: str, name: str, settled: list[Evaluation], gap: Gap, representation: str) -> Finding:
    recalibrated = " after recalibration" if gap.of == "R2" else ""
    return Finding(
        f"{key}: the baseline {name} has {gap.of} {gap.baseline:.3g}, the model {gap.model:.3g}{recalibrated}: "
        f"{gap.value:.2g} below it ({gap.low:.2g} to {gap.high:.2g}){representation}; {since(settled)}",
        subject=f"{key}/{name}",
        step=0 if representation else settled[0].step,
        explains=_HIDDEN if representation else (),
        evidence=(
            Evidence(
                f"evaluation:{key}", gap.model, settled[-1].step, gap.baseline, (gap.low, gap.high),
                f"{gap.of} of the model against {name}; interval of the difference",
            ),
        ),
        remedies=_REPRESENTATION if representation else _REMEDIES,
    )  # fmt: skip

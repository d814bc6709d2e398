"""PRD008 over-dispersed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

from tocsin import stats
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule, since
from tocsin.run import Evaluation, Moments, Run, in_each, in_last

_PAIRS = 20  # in order: fewer do not show their autocorrelation
_INDEPENDENT = 10  # below, the interval of the slope is a guess


@dataclass(frozen=True)
class Spread:
    """One output whose predictions vary more than what they know.

    Attributes:
        moments: Its moments.
        slope: Interval of r / s.
    """

    moments: Moments
    slope: tuple[float, float]


@rule("PRD008", needs=("evaluations:regression",), severity="warning", explains=("OBJ009",))
def over_dispersed(
    run: Run, *, slope: float = 0.5, level: float = 0.01, gain: float = 0.1
) -> Iterator[Finding | NotChecked]:
    """The predictions vary far more than what they know: noise, not diversity.

    ## What it does
    With r the correlation of target t and prediction p, s = sd(p) / sd(t), b = (mean p - mean t) / sd(t),

        R2 = r^2 - (s - r)^2 - b^2,   least-squares slope of t on p = r / s.

    A fit that minimises squared error has s = r, slope 1. Judges settled predictions only: the last 3 evaluations once
    the evaluation loss no longer falls (its 95 % trend interval contains 0) or the run is over. Rings when in each of
    them

    - the interval of r / s at level `level` / D (D outputs) lies below `slope`, that is s > 2 abs(r), with Bartlett's
      number of independent pairs in place of n, or fewer where the spread of the target rests on a few values (a
      pixel that is 0 but once): 2 n / (kurtosis - 1);
    - it matters: (s - abs(r))^2 >= `gain`, the R2 that an affine refit wins.

    Once proven, the finding stands, and has stood since, while s > abs(r) and the gain holds: a spread that grows is
    worth a refit before it is twice too wide.

    ## Why is this bad?
    Three quarters of the predictions' variance and more are noise. Their spread looks like that of the target, which is
    then read as a model that "captures the variability"; each single prediction is worse than one shrunk to the mean.

    ## Example
    ```python
    t, e = np.random.default_rng(0).normal(size=(2, 400))
    wide = Moments.of(t, 0.2 * t + 0.98 * e)
    run = Run.of(evaluations=[Evaluation("val", "height", s, "regression", 400, moments=(wide,)) for s in (1, 2, 3)])
    ```
    Use instead:
    ```python
    t, e = np.random.default_rng(0).normal(size=(2, 400))
    shrunk = Moments.of(t, 0.2 * (0.2 * t + 0.98 * e))
    run = Run.of(evaluations=[Evaluation("val", "height", s, "regression", 400, moments=(shrunk,)) for s in (1, 2, 3)])
    ```

    ## Fix
    - **safe** Fit slope and offset of the target on the predictions of a held-out set and apply them.
    - **safe** Compare with a recorded baseline: where nothing is known, the mean is the best answer.
    - **unsafe** Regularise or stop earlier; take out a term that rewards variance, for it raises s and never r.

    ## Options
    - `slope` (.5): s > 2 r. Healthy small networks gave slopes of .78 to 1.21; a variance term without information
      drove s to .83 at r near 0.
    - `level` (.01): of the interval, shared by the outputs.
    - `gain` (.1): R2 that the refit must win; overfitting alone often costs a few hundredths.

    ## Known limits
    Needs the sample of target and prediction in evaluation order, 20 pairs worth 10 independent ones. Samples drawn
    from a predictive distribution are over-dispersed by right: record its mean. Linear: a curved relation is scored by
    its line.

    ## References
    Murphy 1988, Mon. Wea. Rev. 116, eq. 11-12 (decomposition). Bartlett 1935 (independent pairs).
    """
    judged = False
    for key, evaluations in run.of_kind("regression").items():
        held = cache(partial(_spread, level=level, gain=gain))
        judged |= any(_pairs(moments) for e in run.settled(evaluations) for moments in e.moments)
        outputs, stretch = run.persisting(evaluations, in_each(partial(_proven, held=held, most=slope)), in_last(held))
        if outputs:
            yield _finding(key, stretch, outputs, held(stretch[-1]))
    if not judged:
        yield NotChecked(f"needs {SETTLED} with {_PAIRS} pairs in order, worth {_INDEPENDENT} independent ones")


def _pairs(moments: Moments) -> float:
    """Independent pairs in the sample; 0 if too few."""
    if len(moments.sample_target) < _PAIRS:
        return 0.0
    target = moments.sample_target
    pairs = min(stats.paired_size(target, moments.sample_prediction), stats.spread_size(target))
    return pairs if pairs >= _INDEPENDENT else 0.0


def _spread(evaluation: Evaluation, *, level: float, gain: float) -> dict[int, Spread]:
    """The outputs of one evaluation that are too wide by their estimates, by index."""
    found = {}
    for index, m in enumerate(evaluation.moments):
        if abs(m.r) < m.s < math.inf and (m.s - abs(m.r)) ** 2 >= gain:
            interval = stats.calibration_slope(m.r, m.s, _pairs(m), 1 - level / len(evaluation.moments))
            found[index] = Spread(m, interval)
    return found


def _proven(
    evaluation: Evaluation, *, held: Callable[[Evaluation], dict[int, Spread]], most: float
) -> dict[int, Spread]:
    return {index: wide for index, wide in held(evaluation).items() if wide.slope[1] < most}


def _finding(key: str, stretch: list[Evaluation], outputs: list[int], now: dict[int, Spread]) -> Finding:
    many = len(stretch[-1].moments) > 1
    said = "; ".join((f"output {i}: " if many else "") + _said(now[i]) for i in outputs[:3])
    more = f"; and {len(outputs) - 3} more outputs" if len(outputs) > 3 else ""
    return Finding(
        f"{key}: {said}{more}; {since(stretch)}",
        subject=key,
        step=stretch[0].step,
        evidence=tuple(_evidence(key, stretch[-1].step, now[i]) for i in outputs[:3]),
        remedies=(
            Remedy("Fit slope and offset of the target on held-out predictions and apply them to the output", True),
            Remedy("Record a baseline on the same split: run.evaluate(..., baseline='ridge')", True),
            Remedy("Regularise, stop earlier, or take out a term that rewards variance"),
        ),
    )


def _said(wide: Spread) -> str:
    m, (low, high) = wide.moments, wide.slope
    interval = "" if math.isnan(low) else f", {low:.2g} to {high:.2g}"
    return (
        f"the predictions' sd is {m.s:.2g} of the target's where their correlation of {m.r:.2g} supports "
        f"{abs(m.r):.2g} (slope {m.r / m.s:.2g}{interval}); an affine refit would raise R2 from {m.r2:.2f} to "
        f"{m.r**2:.2f}"
    )


def _evidence(key: str, step: int, wide: Spread) -> Evidence:
    m = wide.moments
    text = f"slope r/s of target on prediction; r = {m.r:.3g}, s = {m.s:.3g}"
    return Evidence(f"evaluation:{key}", m.r / m.s, step, limit=1.0, interval=wide.slope, text=text)

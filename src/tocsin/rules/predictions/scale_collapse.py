"""PRD004 scale-collapse."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

from tocsin import stats
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule, since
from tocsin.run import Evaluation, Moments, Run, in_each, in_last


@dataclass(frozen=True)
class Collapse:
    """One output whose predictions follow the target at too small a scale.

    Attributes:
        moments: Its moments.
        p: One-sided p value of its correlation by Fisher's z.
        chance: Whether its correlation may be chance.
        slope: Interval of r / s.
    """

    moments: Moments
    p: float
    chance: bool
    slope: tuple[float, float]


Held = Callable[[Evaluation], dict[int, Collapse]]
Growing = Callable[[Evaluation, int], bool]

_PAIRS = 20  # in order: fewer do not show their autocorrelation
_INDEPENDENT = 10  # as many as PRD007 asks for: below, the normal law of Fisher's z is a guess


@rule("PRD004", needs=("evaluations:regression",), severity="warning")
def scale_collapse(
    run: Run, *, slope: float = 2.0, level: float = 0.01, gain: float = 0.02
) -> Iterator[Finding | NotChecked]:
    """The predictions follow the target, but move far less than what they know allows.

    ## What it does
    With r the correlation of target t and prediction p, s = sd(p) / sd(t), b = (mean p - mean t) / sd(t),

        R2 = r^2 - (s - r)^2 - b^2,   least-squares slope of t on p = r / s.

    A fit that minimises squared error has s = r, slope 1, b = 0: predictions *should* vary less than the target. Judges
    settled predictions only: the last 3 evaluations once the evaluation loss no longer falls (its 95 % trend interval
    contains 0) or the run is over. Rings when in each of them

    - r beats chance at `level` twice: against Fisher's z (normal, sd 1 / sqrt(m - 3), m Bartlett's number of
      independent pairs), and against circular shifts of the recorded sample, which keep any autocorrelation. n pairs
      have at most n - 2 shifts, so that below 108 pairs no p value of theirs reaches .01: there r must exceed
      every one of them, and Fisher's z alone carries the level;
    - the interval of r / s at level `level` / D (D outputs) lies above `slope`, with m in place of n;
    - it matters: (s - r)^2 >= `gain`;
    - while the run goes on: s no longer grows over the last max(8, half) evaluations (95 % trend interval). Outputs
      start small, and their scale tells sooner than a noisy loss that they are still on their way.

    The level is not divided by the looks: they score the same samples, so they share one sampling error. Once proven,
    the finding stands while r / s > `slope` and (s - r)^2 >= `gain`.

    ## Why is this bad?
    The answer is there and is thrown away: p' = mean t + (r / s)(p - mean p), one line, raises R2 to r^2. A small
    spread alone is no collapse: without correlation it is what no information looks like, and then it is right.

    ## Example
    ```python
    t = np.random.default_rng(0).normal(size=400)
    p = 0.25 * (0.75 * t + 0.66 * np.random.default_rng(1).normal(size=400))
    small = Moments.of(t, p)
    run = Run.of(evaluations=[Evaluation("val", "height", s, "regression", 400, moments=(small,)) for s in (1, 2, 3)])
    ```
    Use instead:
    ```python
    t = np.random.default_rng(0).normal(size=400)
    p = 0.75 * (0.75 * t + 0.66 * np.random.default_rng(1).normal(size=400))
    shrunk = Moments.of(t, p)
    run = Run.of(evaluations=[Evaluation("val", "height", s, "regression", 400, moments=(shrunk,)) for s in (1, 2, 3)])
    ```

    ## Fix
    - **safe** Fit slope and offset of the target on the predictions of a held-out set and apply them; the trained
      weights stay as they are.
    - **safe** Find why the output could not grow: a warm-up counted in epochs in place of steps, a learning rate that
      never arrived.
    - **unsafe** Repair the schedule or the output layer's initialisation and train again. A variance term in the loss
      is no cure: it raises s, never r (measured: without information it drives s to .83 and R2 to -1.1).

    ## Options
    - `slope` (2): s < r / 2. Small networks on synthetic cloud scenes (means over 4 seeds): .78-1.21 for healthy
      losses, dropout and weight decay; 2.05-2.8 with a warm-up that never ended and a small output layer.
    - `level` (.01): circular shifts reject 8-9 % at a nominal 5 % on records with lag-1 correlation .68-.89, 144 pairs.
    - `gain` (.02): R2 that the refit must win; the measured case won .19 (.32 to .51).

    ## Known limits
    Needs the sample of target and prediction in evaluation order, at least 20 pairs worth at least 10 independent ones
    (below, it is not checked); shuffled evaluation hides
    autocorrelation and makes the intervals too narrow. Silent on correct shrinkage (s near r), without information,
    and on over-dispersion (s > r). Linear: a monotone but curved relation is scored by its line.

    ## References
    Murphy 1988, Mon. Wea. Rev. 116, eq. 11-12 (decomposition). Fisher 1921 (z). Bartlett 1935 (pairs). A warm-up bug
    with small output initialisation: r .75, s .29, slope 2.8, R2 .32; the refit alone gave .51.
    """
    judged = False
    for key, evaluations in run.of_kind("regression").items():
        held = cache(partial(_collapses, least=slope, level=level, gain=gain))
        judged |= any(_pairs(moments) for e in run.settled(evaluations) for moments in e.moments)
        proven = in_each(partial(_proven, held=held, least=slope, growing=_growing(run, evaluations)))
        outputs, stretch = run.persisting(evaluations, proven, in_last(held))
        if outputs:
            yield _finding(key, stretch, outputs, held(stretch[-1]))
    if not judged:
        yield NotChecked(
            f"needs {SETTLED} with at least {_PAIRS} pairs of target and prediction in evaluation order, worth at "
            f"least {_INDEPENDENT} independent ones"
        )


def _pairs(moments: Moments) -> float:
    """Independent pairs in the sample (where it is strided, what lies between is not counted); 0 if too few."""
    if len(moments.sample_target) < _PAIRS:
        return 0.0
    pairs = stats.paired_size(moments.sample_target, moments.sample_prediction)
    return pairs if pairs >= _INDEPENDENT else 0.0


def _growing(run: Run, evaluations: list[Evaluation]) -> Growing:
    """Whether an output's scale was still growing at one of the evaluations; what a run ends with grows no more."""
    place = {id(evaluation): k for k, evaluation in enumerate(evaluations, 1)}

    def growing(evaluation: Evaluation, index: int) -> bool:
        end = place[id(evaluation)]
        if end > len(evaluations) - 3 and run.exit != "running":
            return False
        tail = [e for e in evaluations[min(end // 2, max(0, end - 8)) : end] if index < len(e.moments)]
        return stats.trend([e.step for e in tail], [e.moments[index].s for e in tail]).rising

    return growing


def _proven(evaluation: Evaluation, *, held: Held, least: float, growing: Growing) -> dict[int, Collapse]:
    sure = {i: c for i, c in held(evaluation).items() if not c.chance and c.slope[0] > least}
    return {i: c for i, c in sure.items() if not growing(evaluation, i)}


def _collapses(evaluation: Evaluation, *, least: float, level: float, gain: float) -> dict[int, Collapse]:
    """The outputs of one evaluation that are collapsed by their estimates, by index."""
    return {
        index: _collapse(moments, level, level / len(evaluation.moments))
        for index, moments in enumerate(evaluation.moments)
        if moments.r > 0 and moments.r > least * moments.s > 0 and (moments.s - moments.r) ** 2 >= gain
    }


def _collapse(moments: Moments, level: float, shared: float) -> Collapse:
    pairs = _pairs(moments)
    if not pairs:
        return Collapse(moments, math.nan, True, stats.NAN)
    normal = stats.correlation_p(moments.r, pairs)
    shifted = stats.circular_shift_p(moments.sample_target, moments.sample_prediction)
    reachable = max(level, stats.least_shift_p(len(moments.sample_target)))
    slope = stats.calibration_slope(moments.r, moments.s, pairs, 1 - shared)
    return Collapse(moments, normal, normal > level or shifted > reachable, slope)


def _finding(key: str, stretch: list[Evaluation], outputs: list[int], now: dict[int, Collapse]) -> Finding:
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
            Remedy("Check that warm-up and learning rate ever let the output layer grow", True),
        ),
    )


def _said(collapse: Collapse) -> str:
    m, (low, high) = collapse.moments, collapse.slope
    interval = "" if math.isnan(low) else f", {low:.3g} to {high:.3g}"
    return (
        f"the predictions' sd is {m.s:.2g} of the target's where their correlation calls for {m.r:.2g} "
        f"(slope {m.r / m.s:.3g}{interval}); "
        f"an affine refit would raise R2 from {m.r2:.2f} to {m.r**2:.2f}"
    )


def _evidence(key: str, step: int, collapse: Collapse) -> Evidence:
    m = collapse.moments
    text = f"slope r/s of target on prediction; r = {m.r:.3g} (p = {collapse.p:.2g} for none), s = {m.s:.3g}"
    return Evidence(f"evaluation:{key}", m.r / m.s, step, limit=1.0, interval=collapse.slope, text=text)

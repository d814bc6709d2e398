"""PRD004 scale-collapse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tocsin import stats
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule, since
from tocsin.run import Evaluation, Moments, Run


@dataclass(frozen=True)
class Collapse:
    """One output whose predictions follow the target at too small a scale."""

    moments: Moments
    p: float
    slope: tuple[float, float]


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

    - r beats chance: p <= `level` against circular shifts of the recorded sample, kept in evaluation order;
    - the interval of r / s at level `level` / D (D outputs) lies above `slope`, with Bartlett's number of independent
      pairs in place of n;
    - it matters: (s - r)^2 >= `gain`.

    The level is not divided by the looks: they score the same samples, so they share one sampling error.

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
    Needs the sample of target and prediction in evaluation order (at least 20 pairs); shuffled evaluation hides
    autocorrelation and makes the intervals too narrow. Silent on correct shrinkage (s near r), without information,
    and on over-dispersion (s > r). Linear: a monotone but curved relation is scored by its line.

    ## References
    Murphy 1988, Mon. Wea. Rev. 116, eq. 11-12 (decomposition). Bartlett 1935 (pairs). A warm-up bug with small output
    initialisation: r .75, s .29, slope 2.8, R2 .32; the refit alone gave .51.
    """
    judged = False
    for key, evaluations in run.of_kind("regression").items():
        look = partial(_collapses, least=slope, level=level, gain=gain)
        judged |= any(_in_order(moments) for e in run.settled(evaluations) for moments in e.moments)
        outputs, stretch = run.persisting(evaluations, look)
        if outputs:
            yield _finding(key, stretch, outputs, look(stretch[-1]))
    if not judged:
        yield NotChecked(f"needs {SETTLED} with at least 20 pairs of target and prediction in evaluation order")


def _in_order(moments: Moments) -> bool:
    return len(moments.sample_target) >= 20


def _collapses(evaluation: Evaluation, *, least: float, level: float, gain: float) -> dict[int, Collapse]:
    """The collapsed outputs of one evaluation, by index."""
    found = {}
    for index, moments in enumerate(evaluation.moments):
        collapse = _collapse(moments, 1 - level / len(evaluation.moments))
        if collapse and collapse.p <= level and collapse.slope[0] > least and (moments.s - moments.r) ** 2 >= gain:
            found[index] = collapse
    return found


def _collapse(moments: Moments, confidence: float) -> Collapse | None:
    if not _in_order(moments) or not (moments.r > 0 and moments.s > 0):
        return None
    target, prediction = moments.sample_target, moments.sample_prediction
    pairs = stats.paired_size(
        target, prediction
    )  # of the sample: where it is strided, what lies between is not counted
    slope = stats.calibration_slope(moments.r, moments.s, pairs, confidence)
    return Collapse(moments, stats.circular_shift_p(target, prediction), slope)


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
    return (
        f"the predictions' sd is {m.s:.2g} of the target's where their correlation calls for {m.r:.2g} "
        f"(slope {m.r / m.s:.3g}, {low:.3g} to {high:.3g}); "
        f"an affine refit would raise R2 from {m.r2:.2f} to {m.r**2:.2f}"
    )


def _evidence(key: str, step: int, collapse: Collapse) -> Evidence:
    m = collapse.moments
    chance = f"p = {collapse.p:.2g} against circular shifts"
    text = f"slope r/s of target on prediction; r = {m.r:.3g} ({chance}), s = {m.s:.3g}"
    return Evidence(f"evaluation:{key}", m.r / m.s, step, limit=1.0, interval=collapse.slope, text=text)

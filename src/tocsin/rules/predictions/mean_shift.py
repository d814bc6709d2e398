"""PRD007 mean-shift."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial

from tocsin import stats
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule, since
from tocsin.run import Evaluation, Moments, Run, in_each, in_last


@dataclass(frozen=True)
class Shift:
    """One output whose predictions are off by a constant; ``interval`` is that of b."""

    moments: Moments
    interval: tuple[float, float]


@rule("PRD007", needs=("evaluations:regression",), severity="warning", explains=("OBJ009",))
def mean_shift(
    run: Run, *, shift: float = 0.2, small: float = 0.1, level: float = 0.01
) -> Iterator[Finding | NotChecked]:
    """The predictions are off by a constant, and that costs more than their wrong spread.

    ## What it does
    With r the correlation of target t and prediction p, s = sd(p) / sd(t), b = (mean p - mean t) / sd(t),

        R2 = r^2 - (s - r)^2 - b^2.

    Judges settled predictions only: the last 3 evaluations once the evaluation loss no longer falls (its 95 % trend
    interval contains 0) or the run is over. Rings when in each of them, with the same sign,

    - b^2 > (s - r)^2 and abs(b) >= `shift`: it costs more than the scale does, and it matters;
    - the interval of b at level `level` / D (D outputs) excludes abs(b) <= `small`. Its standard error is
      sqrt((1 + s^2 - 2 r s) / n), n the number of independent errors p - t in the recorded sample (all where there is
      none). A target whose spread rests on fewer than 10 values (a pixel that is 0 but once: 2 n / (kurtosis - 1))
      is not judged: its sd is no unit to measure b in.

    The level is not divided by the looks: they score the same samples, so they share one sampling error. Once proven,
    the finding stands until the first line fails in an evaluation, or the sign changes.

    ## Why is this bad?
    Subtracting one number repairs it, while a low or negative R2 invites blame of the spread: in a published run with
    R2 = -.203 and a spread of 3 % of the target's, the shift alone cost .206 and the spread nothing.

    ## Example
    ```python
    t = np.random.default_rng(0).normal(10.0, 2.0, 300)
    p = 8.5 + 0.6 * (t - 10.0) + np.random.default_rng(1).normal(size=300)
    low = Moments.of(t, p)
    run = Run.of(evaluations=[Evaluation("val", "height", s, "regression", 300, moments=(low,)) for s in (1, 2, 3)])
    ```
    Use instead:
    ```python
    t = np.random.default_rng(0).normal(10.0, 2.0, 300)
    p = 10.0 + 0.6 * (t - 10.0) + np.random.default_rng(1).normal(size=300)
    level = Moments.of(t, p)
    run = Run.of(evaluations=[Evaluation("val", "height", s, "regression", 300, moments=(level,)) for s in (1, 2, 3)])
    ```

    ## Fix
    - **safe** Compare the mean target of the training set with that of this split: where they differ the shift is in
      the data (another site, season, instrument), and no training on the first will remove it.
    - **safe** Check that scaling and its inverse use the same constants on both sides.
    - **unsafe** Recalibrate the offset on a held-out set of the same kind as the one that is scored.
    - **unsafe** On skewed targets, MAE and Huber losses aim at the median: use squared error if the mean is wanted.

    ## Options
    - `shift` (.2): target standard deviations, .04 of R2: Cohen's "small" effect. Healthy small networks on synthetic
      cloud scenes stayed within .12 (means over 4 seeds, eight losses and regularisers).
    - `small` (.1): .01 of R2, which no one would recalibrate for.
    - `level` (.01): 99 % interval.

    ## Known limits
    Without a recorded sample, autocorrelated errors make the interval too narrow; with one, short and persistent
    records still may (2 alarms in 400 healthy synthetic runs, both with 30 errors of lag-1 correlation .7-.9). On a
    skewed target a median-seeking loss gives such a shift by design. A model that is *meant* to miss the mean rings as
    well: a quantile or expectile regression, an asymmetric cost, a safety margin. The record does not say what was
    aimed at: leave PRD007 out for such outputs. Silent where the wrong spread costs more (PRD004 or over-dispersion).

    ## References
    Murphy 1988, Mon. Wea. Rev. 116, eq. 11-12 (decomposition).
    """
    judged = False
    for key, evaluations in run.of_kind("regression").items():
        settled = [moments for evaluation in run.settled(evaluations) for moments in evaluation.moments]
        judged |= any(not math.isnan(_interval(moments, 1 - level)[0]) for moments in settled)
        look = cache(partial(_shifts, shift=shift, small=small, level=level))
        held = cache(partial(_shifts, shift=shift, small=-math.inf, level=level))
        signs, stretch = run.persisting(evaluations, in_each(look), in_last(held))
        if signs:
            yield _finding(key, stretch, {index: held(stretch[-1])[index, sign] for index, sign in signs})
    if not judged:
        yield NotChecked(f"needs {SETTLED} with at least 10 independent errors on a target that varies as often")


def _shifts(evaluation: Evaluation, *, shift: float, small: float, level: float) -> dict[tuple[int, bool], Shift]:
    """The shifted outputs of one evaluation, by index and whether they lie above the target."""
    found = {}
    for index, moments in enumerate(evaluation.moments):
        low, high = _interval(moments, 1 - level / len(evaluation.moments))
        scale = 0.0 if moments.s == 0 else moments.s - moments.r
        if max(low, -high) > small and abs(moments.b) >= max(shift, abs(scale)):
            found[index, moments.b > 0] = Shift(moments, (low, high))
    return found


def _interval(moments: Moments, confidence: float) -> tuple[float, float]:
    """Interval of b; NaN below 10 independent errors, or with a target whose spread rests on fewer values."""
    errors = moments.sample_prediction - moments.sample_target
    if len(errors) and stats.spread_size(moments.sample_target) < 10:
        return math.nan, math.nan
    n = stats.effective_size(errors) if len(errors) else float(moments.n)
    if not (n >= 10 and moments.var_target > 0):
        return math.nan, math.nan
    spread = (moments.var_target + moments.var_prediction - 2 * moments.cov) / moments.var_target
    half = stats.t_of(confidence, n - 1) * math.sqrt(max(spread, 0.0) / n)
    return moments.b - half, moments.b + half


def _finding(key: str, stretch: list[Evaluation], shifts: dict[int, Shift]) -> Finding:
    many = len(stretch[-1].moments) > 1
    listed = list(shifts.items())
    said = "; ".join((f"output {index}: " if many else "") + _said(shift) for index, shift in listed[:3])
    more = f"; and {len(listed) - 3} more outputs" if len(listed) > 3 else ""
    return Finding(
        f"{key}: {said}{more}; {since(stretch)}",
        subject=key,
        step=stretch[0].step,
        evidence=tuple(_evidence(key, stretch[-1].step, shift) for _, shift in listed[:3]),
        remedies=(
            Remedy("Compare the mean target of the training set with that of this split, and both scalings", True),
            Remedy("Recalibrate the offset on held-out data, or use squared error where the mean is wanted"),
        ),
    )


def _said(shift: Shift) -> str:
    m = shift.moments
    side, spread = ("above" if m.b > 0 else "below"), 0.0 if m.s == 0 else (m.s - m.r) ** 2
    return (
        f"predictions lie {abs(m.b):.2g} target sd {side} the target on average ({m.mean_prediction:.4g} against "
        f"{m.mean_target:.4g}); that costs {m.b**2:.2g} of R2 = {m.r2:.2f}, their spread {spread:.1g}"
    )


def _evidence(key: str, step: int, shift: Shift) -> Evidence:
    m = shift.moments
    text = f"b = (mean prediction - mean target) / sd(target); r = {m.r:.2g}, s = {m.s:.2g}"
    return Evidence(f"evaluation:{key}", m.b, step, limit=0.0, interval=shift.interval, text=text)

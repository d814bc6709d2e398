"""EVL008 schedule-phase-best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin import declared, learning, schedules, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Floats, Ints, Run, Series

_STARTS_OVER = 2.0  # factor by which the rate rises at a restart, after it fell by as much
_REMEDIES = (
    Remedy("End the run, or keep its checkpoint, where the learning rate is lowest", True),
    Remedy("Compare runs and settings at the same phase of the schedule", True),
    Remedy("Count patience in cycles, not in evaluations", True),
)


@dataclass(frozen=True)
class Cycles:
    """Where each evaluation stood in the cycle of the learning rate.

    Attributes:
        name: The metric or loss, ``sign`` 1 where higher is better.
        step, value: (E,) the evaluations.
        cycle: (E,) ordinal of the cycle.
        phase: (E,) in (0, 1]: share of the cycle that was over.
        whole: Cycles that were completed.
    """

    name: str
    sign: int
    step: Ints
    value: Floats
    cycle: Ints
    phase: Floats
    whole: int


@dataclass(frozen=True)
class Ends:
    """What the ends of the cycles have.

    Attributes:
        mean: Mean phase of the best evaluations: 1 is the end of the cycle.
        p: Chance that as many would lie there.
        gain: How much better the last evaluation of a cycle is than the first of the next, ``low`` its lower bound.
        cycles: Cycles that were counted.
    """

    mean: float
    p: float
    gain: float
    low: float
    cycles: int


@rule("EVL008", needs=("lr/*",), when="end")
def schedule_phase_best(
    run: Run, *, cycles: int = 4, level: float = 0.01, gain: float = 0.02
) -> Iterator[Finding | NotChecked]:
    """The best evaluations sit at the ends of the learning-rate cycles, and the run, or its patience, does not.

    ## What it does
    Judged at the end. A cycle ends where the learning rate, having fallen by half and more, rises to twice and more.
    The first score of an evaluation that has at least 3 evaluations in each of `cycles` completed cycles after the
    first is freed of its trend (a line between the means of neighbouring cycles). Rings when

    - the best evaluations of the cycles lie at their ends: the sum over the cycles of their phases, from 0 at a restart
      to 1 before the next, is as large with probability below `level`, if each evaluation of a cycle were as likely the
      best (exact, by convolution; on a circle, as phases usually are, just after and just before a restart would be
      neighbours, which here are opposites); and
    - it matters: from the last evaluation of a cycle to the first of the next the score gets worse by at least `gain`
      of its size, 95 % Student interval above 0.

    A warning where the end of the run is not the end of a cycle and its last score is worse than that of the last
    completed cycle by half of this step and more; and where a configured patience, in evaluations, is shorter than a
    cycle. Else a note.

    ## Why is this bad?
    Annealing made the gain, not training for longer, and not the setting that is being compared: a run that is stopped
    at another phase looks worse than it is.

    ## Example
    ```python
    phase = np.tile([0.25, 0.5, 0.75, 1.0], 7)[:26]  # stopped in the middle of the seventh cycle
    score = 0.60 + 0.004 * np.arange(26) + 0.08 * phase
    rate = Series.of("lr/0", 1.01 - phase, step=10 * np.arange(1, 27) - 5)
    run = Run.of(series={"val/accuracy": Series.of("", score, step=10 * np.arange(1, 27)), "lr/0": rate})
    ```
    Use instead:
    ```python
    phase = np.arange(1, 27) / 26  # one cycle
    score = 0.60 + 0.004 * np.arange(26) + 0.08 * phase
    rate = Series.of("lr/0", 1.01 - phase, step=10 * np.arange(1, 27) - 5)
    run = Run.of(series={"val/accuracy": Series.of("", score, step=10 * np.arange(1, 27)), "lr/0": rate})
    ```

    ## Fix
    - **safe** Keep the checkpoints of the ends of cycles; let the last cycle end.
    - **safe** Compare settings at the same phase.
    - **unsafe** One cycle that ends with the run.

    ## Options
    - `cycles` (4): 4 evaluations a cycle then give a chance of 1 in 256 that each best one is the last.
    - `level` (.01): of the statistic.
    - `gain` (.02): of the score's size; smaller steps seldom change a conclusion.

    ## Known limits
    Warm restarts themselves are no fault: where the run ends with a cycle this is a note. Needs a recorded rate.

    ## References
    Loshchilov and Hutter 2017 (warm restarts).
    """
    seen = [] if learning.unlike_progress(run) else _readings(run, cycles)
    if not seen:
        yield NotChecked(f"needs {cycles + 1} cycles of the learning rate with at least 3 evaluations in each")
        return
    for reading in seen:
        ends = _ends(reading)
        size = gain * float(np.median(np.abs(reading.value)))
        if ends.p < level and ends.mean > 0.5 and ends.gain >= size and ends.low > 0:
            yield _finding(run, reading, ends)
            return


def _restarts(rate: Series) -> Ints:
    """Steps at which the rate starts over."""
    found, high, low = [], float(rate.value[0]), float(rate.value[0])
    for step, value in zip(rate.step.tolist(), rate.value.tolist(), strict=True):
        if low * _STARTS_OVER <= high and value >= _STARTS_OVER * low and value >= 0.25 * high:
            found.append(step)
            high = low = value
        high, low = (value, value) if value > high else (high, min(low, value))
    return np.array(found, np.int64)


def _readings(run: Run, cycles: int) -> list[Cycles]:
    rate = schedules.main_rate(run)
    if rate is None or len(rate) < 6 or not np.all(rate.value >= 0):
        return []
    starts = np.concatenate([[int(rate.step[0])], _restarts(rate)])
    if starts.size < cycles + 2:
        return []
    found = []
    for name, series, sign in learning.eval_series(run):
        reading = _placed(name, series, sign, starts)
        if reading is not None and _counted(reading) >= cycles:
            found.append(reading)
    return sorted(found, key=lambda r: r.sign < 0)  # scores before losses


def _placed(name: str, series: Series, sign: int, starts: Ints) -> Cycles | None:
    """Each evaluation in the cycle that ended with it or goes on: a restart belongs to the steps after it."""
    ordinal = np.searchsorted(starts, series.step, side="left") - 1
    inside = (ordinal >= 0) & (series.step > starts[0])
    if not inside.any():
        return None
    length = np.append(np.diff(starts), np.median(np.diff(starts)))
    at = np.clip(ordinal, 0, starts.size - 1)
    phase = np.clip((series.step - starts[at]) / length[at], 1e-9, 1.0)
    return Cycles(name, sign, series.step[inside], series.value[inside], at[inside], phase[inside], starts.size - 1)


def _groups(reading: Cycles) -> list[Ints]:
    """Indices of the evaluations of each completed cycle that has 3 and more, the first cycle left out."""
    groups = [np.flatnonzero(reading.cycle == c) for c in range(1, reading.whole)]
    return [g for g in groups if g.size >= 3]


def _counted(reading: Cycles) -> int:
    return len(_groups(reading))


def _ends(reading: Cycles) -> Ends:
    groups, quality = _groups(reading), reading.sign * reading.value
    means = np.array([quality[g].mean() for g in groups])
    centres = np.array([reading.step[g].mean() for g in groups])
    level = _line(centres, means, reading.step.astype(np.float64))
    free = quality - level
    phases = [reading.phase[g] for g in groups]
    best = [int(np.argmax(free[g])) for g in groups]
    total = float(sum(p[b] for p, b in zip(phases, best, strict=True)))
    drops = np.array([quality[g[-1]] - quality[g[-1] + 1] for g in groups if g[-1] + 1 < quality.size], np.float64)
    low = stats.mean_interval(drops)[0] if drops.size >= 3 else math.nan
    if drops.size >= 3 and np.ptp(drops) == 0:
        low = float(drops[0])
    return Ends(
        total / len(groups), _chance(phases, total), float(np.mean(drops)) if drops.size else math.nan, low, len(groups)
    )


def _line(x: Floats, y: Floats, at: Floats) -> Floats:
    """The line through neighbouring points, continued beyond the ends."""
    left = np.clip(np.searchsorted(x, at) - 1, 0, x.size - 2)
    slope = (y[left + 1] - y[left]) / (x[left + 1] - x[left])
    line: Floats = y[left] + slope * (at - x[left])
    return line


def _chance(phases: Sequence[Floats], total: float, cells: int = 400) -> float:
    """P(sum >= total) if the best of each cycle is any of its own; on a grid whose error is on the safe side."""
    share = np.ones(1)
    for phase in phases:
        place = np.ceil(phase * cells - 1e-9).astype(int)
        share = np.convolve(share, np.bincount(place, minlength=cells + 1) / place.size)
    least = math.floor(total * cells + 1e-9)
    return min(1.0, float(share[max(0, least) :].sum()))


def _finding(run: Run, reading: Cycles, ends: Ends) -> Finding:
    last, phase = float(reading.value[-1]), float(reading.phase[-1])
    at = int(np.flatnonzero(reading.cycle < reading.whole)[-1])  # the end of the last completed cycle
    kept = float(reading.value[at])
    astray = bool(
        reading.cycle[-1] >= reading.whole and reading.sign * (kept - last) >= 0.5 * ends.gain and phase < 0.9
    )
    patience = _patience(run, len(_groups(reading)[-1]))
    more = (
        f"; the run ended at phase {phase:.2f} of a cycle with {last:.4g}, {kept:.4g} at the last end" if astray else ""
    )
    more += f"; the patience of {patience.said} is shorter than a cycle" if patience is not None else ""
    evidence = [
        Evidence(reading.name, kept, int(reading.step[at]), text="at the end of the last completed cycle"),
        Evidence(
            reading.name,
            last,
            int(reading.step[-1]),
            limit=kept,
            interval=(ends.low, ends.gain + (ends.gain - ends.low)),
            text="the last one; loss over a restart [interval]",
        ),
    ]
    if patience is not None:
        evidence.append(declared.cited(run, patience))
    return Finding(
        f"{reading.name}: the best evaluations of {ends.cycles} cycles of the learning rate lie at their ends (mean "
        f"phase {ends.mean:.2f}, p = {ends.p:.2g}); a restart costs {ends.gain:.3g}{more}",
        subject=reading.name,
        step=int(reading.step[_groups(reading)[0][0]]),
        evidence=tuple(evidence),
        remedies=_REMEDIES,
        severity=None if astray or patience is not None else "note",
    )


def _patience(run: Run, per_cycle: int) -> declared.Setting | None:
    """A configured patience, in evaluations, that is shorter than a cycle; those of the rate itself left out."""
    for setting in declared.of_config(run.config):
        scheduler = {"scheduler", "lr", "plateau"} & (set(setting.words) | setting.parents)
        number = setting.number
        if "patience" in setting.words and not scheduler and number is not None and 0 < number < per_cycle:
            return setting
    return None

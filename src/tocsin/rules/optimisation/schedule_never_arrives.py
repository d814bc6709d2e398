"""OPT008 schedule-never-arrives."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import learning, schedules
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.run import Floats, Ints, Run, Series
from tocsin.schedules import Nominal

_STARTED = 0.5  # a rise begins below this share of where it ends
_AT_TOP = 0.95
_FEW = 5
_LONG_ENOUGH = 5  # epochs
_REACHED = 0.95  # of the planned steps: loggers leave out up to one interval at the end


@dataclass(frozen=True)
class Rate:
    """The learning rate of a run, the one that was meant, and how far the loss came meanwhile."""

    run: Run
    series: Series
    nominal: Nominal | None
    fallen: float

    @property
    def peak(self) -> float:
        return float(self.series.value.max())

    @property
    def top(self) -> int:
        """Index of the first point at the peak."""
        return int(np.argmax(self.series.value))

    @property
    def still(self) -> str:
        """What the loss did, for messages; "" where there is none."""
        if not math.isfinite(self.fallen):
            return ""
        return (
            f"; the training loss fell by {100 * self.fallen:.2g} %" if self.fallen > 0 else "; the loss did not fall"
        )

    def short_of(self, arrived: float) -> bool:
        """Whether the nominal rate is known and was never nearly reached."""
        return self.nominal is not None and self.peak < arrived * self.nominal.value


@rule(
    "OPT008",
    needs=("lr/*",),
    severity="warning",
    when="end",
    explains=(
        "GEN002", "GEN003", "GEN004", "OPT004", "OPT009", "PRD001", "PRD002", "PRD003", "PRD010", "PRD012", "PRD004",
        "PRD009", "EVL002", "OBJ009", "PRD006", "RUN004",
    ),
)  # fmt: skip
def schedule_never_arrives(run: Run, *, arrived: float = 0.5, moved: float = 0.1) -> Iterator[Finding | NotChecked]:
    """The learning rate never comes near the value it was meant to have.

    ## What it does
    With `r` the recorded learning rate (of the parameter group where it is largest), `p` its peak, `N` the nominal rate
    (the configuration, the command or the run's name) and `d` the share by which the training loss fell, rings when

    1. **it starts over**: `r` falls at least twice from within 20 % of `p` to below `0.2 p` between two records, rises
       in between, and is rising in 3 of 4 records: a warm-up that restarts, and nothing but warm-up;
    2. **it is still rising at the end**: `r` begins below half of its last value, rises along a straight line
       (R^2 > 0.95; of 3 or 4 records: the same line to 1 %, through 0 at the start), its largest values are its last
       ones, and `p < arrived * N`, or `N` is unknown and `d < moved`;
    3. **it is another rate**: `p < arrived * N` though it is not rising. A note, unless `p < N / 10` and `d < moved`;
    4. **it is next to nothing**: `p <= 1e-7`, with `d < moved`.

    Case 2 is a note where the loss fell by more than `moved` and `N` is unknown, where the run or its log was cut short
    and would have arrived within its planned length, and where the log tells neither its end nor its plan nor
    `N` and holds less than 5 epochs (it may be the beginning of one).

    ## Why is this bad?
    A warm-up of 1000 *steps* in a scheduler that is advanced once an *epoch* gives 3 % of the rate after 30 epochs.
    Outputs then stay near their start, near the mean of the targets: it looks like a collapse of the model.

    ## Example
    ```python
    step = np.arange(0, 3000, 10)
    rate = 1e-3 * (1 + step // 100) / 1000          # warm-up of 1000, advanced once in 100 steps
    loss = 2.3 - 1e-5 * step
    run = Run.of(
        series={"lr/0": Series.of("", rate, step=step), "train/loss": Series.of("", loss, step=step)},
        config={"lr": 1e-3, "warmup_steps": 1000},
    )
    ```
    Use instead:
    ```python
    step = np.arange(0, 3000, 10)
    rate = 1e-3 * np.minimum(1, (1 + step) / 1000)
    loss = 0.3 + 2 * np.exp(-step / 800)
    run = Run.of(
        series={"lr/0": Series.of("", rate, step=step), "train/loss": Series.of("", loss, step=step)},
        config={"lr": 1e-3, "warmup_steps": 1000},
    )
    ```

    ## Fix
    - **unsafe** Advance the scheduler once an optimizer step, or state the warm-up in epochs.
    - **unsafe** Shorten the warm-up to 1-10 % of the steps, or train longer.
    - **unsafe** Make one scheduler for the whole run, not one an epoch; restore its state when resuming.

    ## Options
    - `arrived` = 0.5: share of the nominal rate that counts as reached. A choice: scaling rules (batch size, workers)
      change a rate by powers of two, and a run that ends above half of its warm-up is nearly there.
    - `moved` = 0.1: relative fall of the training loss from its first to its last tenth that shows that it learns at
      this rate.

    ## Known limits
    A rate that was printed as 0.0000 says nothing: silent on rates that are 0 throughout (CFG002, OPT009). Cyclic rates
    and warm restarts come down gradually and are not case 1; a range test rises by powers, not along a line. Where
    several nominal rates are given the smallest counts. A trainer that chooses the rate itself (`optimizer: auto`)
    has no nominal rate. Case 3 is a note for most because layers and batch sizes scale rates on purpose.

    ## References
    Goyal et al. 2017, Accurate, large minibatch SGD, section 2.2 (warm-up). Smith 2017, Cyclical learning rates
    (range test).
    """
    series = schedules.main_rate(run)
    if series is None or len(series) < 3 or not series.value.max() > 0:
        yield NotChecked("needs 3 values of a learning rate that is not 0 throughout")
        return
    loss = run.get("train/loss")
    rate = Rate(
        run, series, schedules.nominal_rate(run), learning.fallen(loss.finite) if loss is not None else math.nan
    )
    finding = (
        _starts_over(rate, arrived, moved)
        or _still_rising(rate, arrived, moved)
        or _another_rate(rate, arrived, moved)
        or _next_to_nothing(rate, moved)
    )
    if finding is not None:
        yield finding
    elif len(series) < _FEW:
        yield NotChecked(f"needs {_FEW} values of the learning rate, it has {len(series)}")


def _starts_over(rate: Rate, arrived: float, moved: float) -> Finding | None:
    value, peak = rate.series.value, rate.peak
    drops = np.flatnonzero((value[:-1] > 0.8 * peak) & (value[1:] < 0.2 * peak))
    change = np.diff(value)
    moving = change[np.abs(change) > 1e-3 * peak]
    rises = float(np.mean(moving > 0)) if moving.size else 0.0
    waits = float(np.mean(value > _AT_TOP * peak))
    if len(drops) < 2 or rises < 0.75 or waits > 0.35 or not _linear_between(rate.series, drops):
        return None
    every = float(np.median(np.diff(rate.series.step[drops])))
    at = int(drops[0]) + 1
    message = (
        f"the learning rate starts over {len(drops)} times, about every {every:.0f} steps: it rises to {peak:.3g} and "
        f"falls back to {value[at]:.3g}, so it is never past its warm-up{_of_nominal(rate)}{rate.still}"
    )
    finished = rate.fallen >= moved and not rate.short_of(arrived)
    return _finding(rate, message, "note" if finished else None, at)


def _linear_between(series: Series, drops: Ints) -> bool:
    """Whether the rate climbs gradually between two drops rather than jumping up and staying."""
    parts = np.split(series.value, drops + 1)[1:-1]
    return all(part.size >= 4 and part[part.size // 4] < 0.7 * part.max() for part in parts)


def _still_rising(rate: Rate, arrived: float, moved: float) -> Finding | None:
    series = rate.series
    if not _rises_in_a_line(series):
        return None
    short = rate.short_of(arrived)
    if rate.nominal is not None and not short:
        return None
    learned = rate.nominal is None and not rate.fallen < moved
    begin = float(series.value[0])
    message = (
        f"the learning rate was still rising when the run ended: {begin:.3g} at step {series.step[0]}, "
        f"{rate.peak:.3g} at step {series.step[-1]}{_of_nominal(rate)}{_pace(rate)}{rate.still}"
    )
    return _finding(rate, message, "note" if learned or _cut_short(rate) else None, 0)


def _rises_in_a_line(series: Series) -> bool:
    """Whether the rate only rises, along a straight line, up to the end."""
    x, y = series.step.astype(np.float64), series.value
    if len(series) < _FEW:
        return _exactly_from_zero(x, y)
    if np.unique(y).size < 4 or x[-1] <= x[0] or not y[0] < _STARTED * y[-1]:
        return False
    climbs = bool(np.all(np.diff(y) >= -1e-3 * y.max()))
    top = x[np.argmax(y >= _AT_TOP * y.max())]
    ends_at_top = bool(x[-1] - top <= 0.15 * (x[-1] - x[0]))
    return climbs and ends_at_top and float(np.corrcoef(x, y)[0, 1] ** 2) > 0.95


def _exactly_from_zero(x: Floats, y: Floats) -> bool:
    """Whether 3 or 4 rates lie on one line through 0 at about step 0, to 1 %: no decay or cycle prints such numbers."""
    steps = np.diff(x)
    if not (steps.min() > 0 and y[0] > 0):
        return False
    slopes = np.diff(y) / steps
    begin = x[0] - y[0] / slopes[0] if slopes[0] > 0 else -np.inf
    return bool(slopes.min() > 0.99 * slopes.max() and abs(begin) <= 0.05 * x[-1] and y[0] < _STARTED * y[-1])


def _pace(rate: Rate) -> str:
    """When it would have arrived, and what the configuration says about the warm-up."""
    arrival = _arrival(rate)
    text = f"; at this pace it would arrive at step {arrival:.0f}" if math.isfinite(arrival) else ""
    warmup, epochs = schedules.warmup_length(rate.run), _epochs(rate.run)
    steps = np.unique(rate.series.value).size
    if epochs >= 2 and 2 * steps <= len(rate.series) and steps <= 1.2 * epochs + 1 and rate.run.last_step > 4 * epochs:
        text += f"; it moved about once an epoch ({steps} values in {epochs:.0f} epochs)"
        if warmup is not None:
            text += f", while {warmup[0]} = {warmup[1]:g} counts steps"
    elif warmup is not None:
        text += f"; {warmup[0]} = {warmup[1]:g}"
    return text


def _epochs(run: Run) -> float:
    known = [float(np.nanmax(s.epoch)) for s in run.series.values() if np.isfinite(s.epoch).any()]
    planned = run.environment.get("planned")
    told = planned.get("epochs") if isinstance(planned, dict) else None
    return max([*known, float(told) if isinstance(told, int | float) and not known else 0.0])


def _arrival(rate: Rate) -> float:
    """The step at which the line reaches the nominal rate; NaN where that is unknown."""
    x, y = rate.series.step.astype(np.float64), rate.series.value
    slope = (y[-1] - y[0]) / (x[-1] - x[0])
    return float(x[-1] + (rate.nominal.value - y[-1]) / slope) if rate.nominal is not None and slope > 0 else math.nan


def _cut_short(rate: Rate) -> bool:
    """Whether the run, or the log of it, stopped before its planned end, by which the rate would have arrived.

    A log without end, plan or configuration may be the beginning of one, unless it holds several epochs.
    """
    planned = rate.run.environment.get("planned")
    steps = planned.get("steps") if isinstance(planned, dict) else None
    if rate.run.exit == "finished":
        return False
    if isinstance(steps, int | float):
        return rate.run.last_step < _REACHED * steps and not _arrival(rate) > steps
    return rate.run.exit != "unknown" or (rate.nominal is None and _epochs(rate.run) < _LONG_ENOUGH)


def _another_rate(rate: Rate, arrived: float, moved: float) -> Finding | None:
    if rate.nominal is None or not rate.short_of(arrived) or not _peak_was_seen(rate.series):
        return None
    message = (
        f"the learning rate peaks at {rate.peak:.3g} (step {rate.series.step[rate.top]}){_of_nominal(rate)}{rate.still}"
    )
    grave = rate.peak < 0.1 * rate.nominal.value and rate.fallen < moved
    return _finding(rate, message, None if grave else "note", rate.top)


def _peak_was_seen(series: Series) -> bool:
    """Whether the rate was recorded often enough that its peak cannot lie between two records."""
    return len(series) >= 20 and bool(np.diff(series.step).max() <= 0.1 * (series.step[-1] - series.step[0]))


def _next_to_nothing(rate: Rate, moved: float) -> Finding | None:
    quiet = rate.peak <= 1e-7 and rate.fallen < moved and not learning.unlike_progress(rate.run)
    if not quiet or len(rate.series) < 20:
        return None
    message = f"the learning rate is never above {rate.peak:.3g}{_of_nominal(rate)}{rate.still}"
    return _finding(rate, message, None, rate.top)


def _of_nominal(rate: Rate) -> str:
    if rate.nominal is None:
        return ""
    share = 100 * rate.peak / rate.nominal.value
    return f" = {share:.2g} % of the {rate.nominal.value:.3g} that {rate.nominal.words} asks for"


def _finding(rate: Rate, message: str, severity: Severity | None, at: int) -> Finding:
    series = rate.series
    points = [
        Evidence(series.name, float(series.value[rate.top]), int(series.step[rate.top]), _limit(rate), text="the peak"),
        Evidence(series.name, float(series.value[at]), int(series.step[at]), text="the first of the rise"),
    ]
    if rate.nominal is not None and rate.nominal.source.startswith("config:"):
        points.append(Evidence(rate.nominal.source, text=f"nominal rate {rate.nominal.value:g}"))
    return Finding(
        message,
        severity=severity,
        evidence=tuple(points),
        remedies=(
            Remedy("Advance one scheduler once an optimizer step, for the whole run"),
            Remedy("State the warm-up as 1-10 % of the steps"),
        ),
    )


def _limit(rate: Rate) -> float | None:
    return rate.nominal.value if rate.nominal is not None else None

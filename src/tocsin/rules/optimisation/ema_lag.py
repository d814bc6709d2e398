"""OPT014 ema-lag."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tocsin import learning, movement, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run, Series

_SAMPLES, _LEAST_STEPS = 5, 20
_REMEDIES = (
    Remedy("Set the decay by the run's length: a horizon 1 / (1 - decay) of 1 to 5 % of the optimizer steps"),
    Remedy("Let the decay warm up, e.g. min(decay, (1 + n) / (10 + n)) after n updates", safe=False),
    Remedy("Evaluate the live weights beside the averaged ones", safe=True),
)


@rule(
    "OPT014",
    needs=("ema/behind", "count/optimizer"),
    severity="warning",
    when="end",
    explains=("EVL002", "OBJ009", "PRD001", "PRD002", "PRD003", "PRD004", "PRD009", "PRD010", "PRD012"),
    live=True,
)
def ema_lag(run: Run, *, behind: float = 0.6) -> Iterator[Finding | NotChecked]:
    """The averaged weights are still far behind the trained ones when the run ends.

    ## What it does
    With `t_0` the weights when the watch began, `t` the live and `e` the averaged ones, each sample gives
    `b = 1 - <e - t_0, t - t_0> / |t - t_0|^2`: 0 when the average has gone all the way of the live weights, 1 when it
    still stands at the start. Over the last fifth of the samples (at least 5), with B the smaller of their median and
    the value of the Theil-Sen line at their end, and s the standard deviation about that line, it fires when

    `B - 1.96 s > behind`.

    The message turns `b` into a horizon `h`, by the lag of an average that follows an even movement for N optimizer
    steps: `b = h (1 - exp(-N / h)) / N`.

    ## Why is this bad?
    What is evaluated, selected and deployed is the average. With a decay of 0.9999 its memory is 10,000 updates: after
    500 steps it is 95 % initialisation. The evaluation then shows an untrained network while the training loss falls.

    ## Example
    ```python
    lag = Series.of("", np.linspace(1.0, 0.95, 50), step=np.arange(1, 501, 10))
    run = Run.of(series={"ema/behind": lag, "count/optimizer": np.arange(1, 501)}, exit="finished")
    ```
    Use instead:
    ```python
    lag = Series.of("", 0.02 + np.exp(-np.arange(50) / 5), step=np.arange(1, 501, 10))
    run = Run.of(series={"ema/behind": lag, "count/optimizer": np.arange(1, 501)}, exit="finished")
    ```

    ## Fix
    - **safe** Evaluate the live weights beside the averaged ones.
    - **unsafe** Set the decay by the run's length, so that 1 / (1 - decay) is 1 to 5 % of its optimizer steps, or let
      the decay warm up.

    ## Options
    - `behind` = 0.6: an equal average of all weights since the start, the longest memory that is meant to be one, is
      1/2 behind on a straight path and less on one that slows down.

    ## Known limits
    Needs 5 samples, 20 completed steps, and `watch(..., ema=)`. Measured on a strided sample of the entries. Silent on
    an average that starts late, once it has caught up; an average that never starts rings. Buffers (batch statistics)
    are not looked at. A resumed run is not checked: its average was behind already where the watch began.

    ## References
    Polyak & Juditsky 1992, Acceleration of stochastic approximation by averaging. Tarvainen & Valpola 2017, Mean
    teachers.
    """
    if why := learning.begins_late(run):
        yield NotChecked(why)
        return
    lag, done = run.series["ema/behind"].finite, movement.completed(run)
    tail = lag[-max(_SAMPLES, len(lag) // 5) :]
    if len(tail) < _SAMPLES or done < _LEAST_STEPS:
        yield NotChecked(f"needs {_SAMPLES} samples of an EMA and {_LEAST_STEPS} completed optimizer steps")
        return
    slope = stats.trend(tail.step, tail.value).slope
    flat = tail.value + slope * (tail.step[-1] - tail.step)
    left = flat - np.median(flat)
    level = min(float(np.median(flat)), float(np.median(tail.value)))
    half = 1.96 * math.sqrt(float(left @ left) / (len(tail) - 2))
    if level - half > behind:
        yield _finding(lag, tail, level, (level - half, level + half), done, behind)


def _finding(lag: Series, tail: Series, mean: float, interval: tuple[float, float], done: int, limit: float) -> Finding:
    far = min(mean, 1.0)
    horizon = _horizon(far, done)
    why = (
        f", as that of a decay of {1 - 1 / horizon:.6g} (a memory of {horizon:,.0f} steps)"
        if math.isfinite(horizon)
        else ", as one that was never updated"
    )
    message = (
        f"the averaged weights have gone {1 - far:.0%} of the way of the live ones after {done} optimizer steps; they "
        f"are {mean:.0%} [{interval[0]:.0%}, {interval[1]:.0%}] behind{why}"
    )
    last = Evidence(
        lag.name, float(tail.value[-1]), int(tail.step[-1]), limit, interval, "share of the way still to go"
    )
    return Finding(message, step=int(lag.step[0]), evidence=(last,), remedies=_REMEDIES)


def _horizon(behind: float, steps: int) -> float:
    """The memory h for which an even movement of ``steps`` steps leaves this lag; inf where it is 1."""
    if behind > 1 - 1e-6:
        return math.inf
    low, high = 1e-3, 1e12
    for _ in range(80):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if -middle * math.expm1(-steps / middle) / steps < behind else (low, middle)
    return max(high, 1.0)

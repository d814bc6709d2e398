"""OPT005 exploding-gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import learning, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.run import Run, Series

_BEFORE, _WINDOW, _LASTS = 8, 32, 3
_LOSSES = 8
_HEALS = 0.1
_REMEDIES = (
    Remedy("Go back to the checkpoint before the jump", safe=True),
    Remedy("Clip the gradient norm near its median before the jump, or lower the learning rate by 3"),
    Remedy("Look at the batches of that step, and at divisions, logarithms and exponentials in the loss"),
)


@dataclass(frozen=True)
class Burst:
    """A stretch of norms far above what the run had until then: first index, its end, the median before it."""

    begin: int
    end: int
    usual: float


@rule(
    "OPT005",
    needs=("grad/norm", "train/loss"),
    severity="warning",
    when="end",
    explains=("AMP003", "GEN002", "PRD001", "PRD002", "PRD009"),
)
def exploding_gradient(run: Run, *, times: float = 10.0, worse: float = 0.2) -> Iterator[Finding | NotChecked]:
    """The gradient grows far beyond what this run had until then, and the loss goes up with it and stays.

    ## What it does
    With `g` the recorded raw gradient norms and `m` the median of the last 32 (at least 8) before one, a *burst* begins
    where `g > times * m` and `log g` lies 6 robust scatters above them, and lasts for at least 3 finite values in a row
    above `times * m` with that same m. Values that are NaN or inf are passed over: a GradScaler that skips them
    is at work (AMP001, AMP003). It fires at the first burst for which

    - the median of the up to 8 losses from its step on exceeds that of the 8 before by `worse` and by 6 scatters, and
    - the last fifth of the losses still lies above the level before by `worse` of it and 3 standard errors, and does
      not fall by a tenth of that (Theil-Sen, 95 % interval), or the loss ends in NaN or inf.

    A burst after which the loss comes back is a note; a single spike, and growth while the loss falls, are silent.

    ## Why is this bad?
    A step along such a gradient throws the weights out of what they had learned; Adam remembers its square for 1000
    steps, so that the following steps are too small to come back.

    ## Example
    ```python
    step = np.arange(1, 401)
    late = step > 200
    run = Run.of(
        series={"grad/norm": np.where(late, 300.0, 1.0) * np.exp(0.2 * np.sin(step)),
                "train/loss": np.where(late, 4.0, 0.5 + np.exp(-step / 60)) * np.exp(0.05 * np.sin(step))},
        exit="finished",
    )
    ```
    Use instead:
    ```python
    step = np.arange(1, 401)
    run = Run.of(
        series={"grad/norm": np.exp(0.2 * np.sin(step)), "train/loss": 0.5 + np.exp(-step / 60)}, exit="finished"
    )
    ```

    ## Fix
    - **safe** Go back to the checkpoint before the jump.
    - **unsafe** Clip the gradient norm near its median before the jump, or lower the learning rate.

    ## Options
    - `times` = 10: an order of magnitude above the run's own level; batch noise of healthy runs stays within 3.
    - `worse` = 0.2: rise of the loss that matters, as a share of its level before, as in OPT010.

    ## Known limits
    Needs 11 finite norms and 16 losses. A gradient that is too large from the first step on has no level before it: see
    OPT010. Silent in adversarial and reinforcement learning. A curriculum whose next stage is harder looks the same
    until its loss falls again.

    ## References
    Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks. Sen 1968.
    """
    norm, loss = run.series["grad/norm"].finite, run.series["train/loss"].finite
    if len(norm) < _BEFORE + _LASTS or len(loss) < 2 * _LOSSES:
        yield NotChecked(f"needs {_BEFORE + _LASTS} gradient norms and {2 * _LOSSES} losses, all finite")
        return
    if other := learning.unlike_progress(run):
        yield NotChecked(f"the loss of {other} need not fall")
        return
    found = [f for burst in _bursts(norm, times) if (f := _judge(run, norm, loss, burst, worse)) is not None]
    if found:
        yield next((f for f in found if f.severity != "note"), found[0])


def _bursts(norm: Series, times: float) -> Iterator[Burst]:
    g = np.maximum(norm.value, 1e-300)
    at = _BEFORE
    while at + _LASTS <= g.size:
        usual, scatter = stats.robust_level(np.log(g[max(0, at - _WINDOW) : at]))
        high = np.log(g[at:]) > max(usual + math.log(times), usual + 6 * scatter)
        if not high[:_LASTS].all():
            at += 1
            continue
        end = at + (int(np.argmin(high)) if not high.all() else high.size)
        yield Burst(at, end, math.exp(usual))
        at = end + _BEFORE


def _judge(run: Run, norm: Series, loss: Series, burst: Burst, worse: float) -> Finding | None:
    """What a burst did to the loss; None where it did nothing."""
    step = int(norm.step[burst.begin])
    cut = int(np.searchsorted(loss.step, step))
    before, then = loss[max(0, cut - _LOSSES) : cut], loss[cut : cut + _LOSSES]
    if len(before) < _LOSSES // 2 or len(then) < _LASTS:
        return None
    level, scatter = float(np.median(before.value)), learning.scatter(before.value)
    jump = float(np.median(then.value)) - level
    if not jump > max(worse * abs(level), 6 * scatter):
        return None
    _, last = learning.ends(loss, 0.2, 3)
    tail = loss[len(loss) - max(5, len(loss) // 5) :]
    stays = last.value - level > max(worse * abs(level), 3 * last.error)
    slope = stats.trend(tail.step, tail.value)
    heals = slope.falling and -slope.slope * float(tail.step[-1] - tail.step[0]) > _HEALS * (last.value - level)
    stays = stays and not heals and step <= int(tail.step[0])
    dies = not math.isfinite(run.series["train/loss"].value[-1])
    severity: Severity = "warning" if stays or dies else "note"
    peak = burst.begin + int(np.argmax(norm.value[burst.begin : burst.end]))
    end = "it ends in NaN or inf" if dies else f"it ends at {last.value:.3g}"
    message = (
        f"from step {step} on the gradient norm is {norm.value[peak] / burst.usual:.3g} times its level before "
        f"({burst.usual:.3g}), for {burst.end - burst.begin} records; the loss goes from {level:.3g} to "
        f"{level + jump:.3g} with it, and {end}"
    )
    evidence = (
        Evidence(norm.name, float(norm.value[peak]), int(norm.step[peak]), burst.usual, text="the largest norm"),
        Evidence(loss.name, float(loss.value[-1]), int(loss.step[-1]), level, text="loss; limit: its level before"),
    )
    return Finding(message, "", step, evidence, _REMEDIES, severity)

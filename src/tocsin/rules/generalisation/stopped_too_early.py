"""GEN003 stopped-too-early."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import declared, learning, names, schedules, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Event, Run, Series

_BUDGET = re.compile(r"wall[-_ ]?clock|time[-_ ]?(?:limit|budget|cap|out)|max[-_ ]?(?:train[-_ ]?)?time|budget", re.I)
_EPOCHS = (("epochs",), ("max", "epochs"), ("num", "epochs"), ("n", "epochs"), ("num", "train", "epochs"))
_ANNEALED = 0.1
_PATIENCE = 5  # evaluations: the length of Prechelt's training strips
_LONGER = 1.5


@dataclass(frozen=True)
class Descent:
    """A loss that still falls at the end.

    Attributes:
        loss: The whole curve.
        gain, least: What half as many steps again would gain, going on against the logarithm of the step; the smaller
            end of its interval.
    """

    loss: Series
    gain: float
    least: float

    @property
    def now(self) -> float:
        return learning.ends(self.loss)[1].value


@rule(
    "GEN003",
    needs=("train/loss | val/loss",),
    severity="note",
    explains=("OBJ009", "PRD001", "PRD003", "PRD004", "PRD010", "PRD012"),
    when="end",
)
def stopped_too_early(run: Run, *, gain: float = 0.02, confidence: float = 0.95) -> Iterator[Finding | NotChecked]:
    """The loss was still falling when the run ended.

    ## What it does
    With `e` the main evaluation loss (from 8 values on; else medians of 30 parts of the training loss, where fewer
    evaluations, if any, ended with their lowest loss) over its last half, and `b` the Theil-Sen slope of `e` against
    `ln(step)`, rings when

    `-b * ln(1.5) >= gain * |e_end|` both for the upper end of its interval and for the slope of the last quarter:

    going on as it did, half as many steps again would gain at least that. A note; a warning where the log says that
    early stopping ended the run, or the run calls itself finished before nine tenths of its planned epochs (those of
    the log, or of the configuration); that begins at step 0, with the plan, and accounts for predictions that are no
    further than the run; a note all the same after 5 evaluations without a lower loss. Silent where the learning rate
    had come down to a tenth of its peak (a schedule that ends falls to its end by design), where a time budget ended
    it, and for runs that failed, were killed or still run.

    ## Why is this bad?
    The result says how long one waited, not what the model can do; a comparison with a run that was trained to its
    plateau is a comparison of patience. Early stopping that watches a noisy metric with a short patience does this.

    ## Example
    ```python
    epoch = np.arange(1, 21)
    loss = 0.2 + 2.0 * np.exp(-epoch / 15)
    run = Run.of(
        series={"train/loss": loss, "val/loss": loss + 0.1},
        events=(Event("early-stop", "early stopping: val_f1 did not improve for 3 epochs", 20),),
    )
    ```
    Use instead:
    ```python
    epoch = np.arange(1, 201)
    loss = 0.2 + 2.0 * np.exp(-epoch / 15)
    run = Run.of(series={"train/loss": loss, "val/loss": loss + 0.1})
    ```

    ## Fix
    - **unsafe** Train on, with the learning rate where it stands, then anneal it.
    - **unsafe** Let early stopping watch the loss, with a patience of several evaluations and a minimum length.

    ## Options
    - `gain` = 0.02: relative gain by half as many steps again that is worth them. A choice.
    - `confidence` = 0.95 of the slope's interval.

    ## Known limits
    The extrapolation holds where the loss goes on along the same logarithm; a decay of the learning rate makes it fall
    faster, overfitting stops it. Where the learning rate is not recorded, a schedule that ended looks the same. The
    training loss falls while it memorises: without evaluations more steps may not help.

    ## References
    Prechelt 1998, Early stopping - but when? Hestness et al. 2017 (power-law learning curves). Sen 1968.
    """
    curve = _curve(run)
    if curve is None:
        yield NotChecked("needs 8 values of an evaluation loss, or 30 of the training loss")
        return
    if run.exit in ("failed", "killed", "running") or _by_design(run):
        return
    descent = _descent(curve, gain, confidence)
    if descent is not None:
        yield _finding(run, descent)


def _curve(run: Run) -> Series | None:
    """The main evaluation loss, else the training loss in parts, from the first step on; None where too short."""
    main = next(iter(names.eval_losses(run.series)), "")
    loss = learning.finite(run, main) if main else None
    if loss is not None and len(loss) >= 8:
        return _trained(loss)
    if run.get("train/loss") is None or (loss is not None and not _lowest_last(loss)):
        return None
    train = learning.finite(run, "train/loss")
    return _trained(learning.blocks(train, 30)) if len(train) >= 30 else None


def _lowest_last(loss: Series) -> bool:
    """Whether few evaluations fell to the end: what training still learns then is not memorised."""
    return len(loss) >= 2 and int(np.argmin(loss.value)) == len(loss) - 1


def _trained(loss: Series) -> Series | None:
    kept = loss[int(np.searchsorted(loss.step, 1)) :]
    return kept if len(kept) >= 8 else None


def _by_design(run: Run) -> bool:
    """Whether the schedule had come to its end, or a time budget ended the run."""
    stopped = any(_BUDGET.search(e.text) for e in run.events if e.kind in ("early-stop", "exit", "message"))
    return stopped or schedules.share_of_peak(run, run.last_step) <= _ANNEALED or bool(learning.unlike_progress(run))


def _descent(curve: Series, gain: float, confidence: float) -> Descent | None:
    half, quarter = (curve[-max(6, len(curve) // k) :] for k in (2, 4))
    slope = stats.trend(np.log(half.step), half.value, confidence)
    late = stats.trend(np.log(quarter.step), quarter.value, confidence)
    size, ahead = abs(learning.ends(curve)[1].value), math.log(_LONGER)
    least = -max(slope.high, late.slope) * ahead
    if not least >= gain * max(size, 1e-12):
        return None
    return Descent(curve, -slope.slope * ahead, least)


def _finding(run: Run, descent: Descent) -> Finding:
    loss, stop = descent.loss, _early_stop(run)
    planned = _planned_epochs(run)
    cut = (stop is not None or planned is not None) and not _waited(run, loss)
    message = (
        f"{loss.name} was still falling when the run ended (step {loss.step[-1]}, {descent.now:.3g}): going on as "
        f"before, half as many steps again would gain {descent.gain:.2g} (at least {descent.least:.2g})"
    )
    points = [
        Evidence(loss.name, text=f"falls to {descent.now:.4g} at the end"),
        *([Evidence(f"event:{stop.kind}", step=stop.step, text=stop.text.strip()[:160])] if stop is not None else []),
    ]
    if stop is not None:
        message += f'; early stopping ended it: "{stop.text.strip()[:120]}"'
    elif planned:
        message += f"; it calls itself finished after {planned[0]:g} of {planned[1]:g} planned epochs"
    return Finding(
        message,
        subject=loss.name,
        step=0 if cut else int(loss.step[-1]),
        severity="warning" if cut else None,
        evidence=tuple(points),
        remedies=(
            Remedy("Train on until the evaluation loss is flat, then anneal the learning rate"),
            Remedy("Let early stopping watch the loss with a longer patience"),
        ),
    )


def _waited(run: Run, loss: Series) -> bool:
    """Whether it ended after 5 evaluations or more without a lower loss: that is patience, however the trend lies."""
    return loss.name in names.eval_losses(run.series) and len(loss) - 1 - int(np.argmin(loss.value)) >= _PATIENCE


def _early_stop(run: Run) -> Event | None:
    return next((e for e in run.events if e.kind == "early-stop"), None)


def _planned_epochs(run: Run) -> tuple[float, float] | None:
    """Epochs reached and planned, where a finished run fell short of nine tenths of its plan."""
    plan = run.environment.get("planned")
    epochs = plan.get("epochs") if isinstance(plan, dict) else _declared_epochs(run)
    reached = [float(np.nanmax(s.epoch)) for s in run.series.values() if np.isfinite(s.epoch).any()]
    if run.exit != "finished" or not isinstance(epochs, int | float) or not reached:
        return None
    return (max(reached), float(epochs)) if max(reached) < 0.9 * epochs else None


def _declared_epochs(run: Run) -> float | None:
    """The number of epochs that the configuration asks for; None where it gives none or several."""
    found = {
        s.number for s in declared.settings(run) if s.where == "config" and s.words in _EPOCHS and s.number is not None
    }
    return found.pop() if len(found) == 1 else None

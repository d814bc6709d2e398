"""RUN003 killed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Event, Run
from tocsin.tracebacks import Failure, failures

_CURES = {
    "out-of-memory": "Resume from the last checkpoint with a smaller batch or shorter inputs; watch memory over time",
    "time-limit": "Resume from the last checkpoint, and ask for the time that the rest needs",
    "cancelled": "Resume from the last checkpoint",
    "killed": "Resume from the last checkpoint; look for the host's memory: a kill without a message is mostly that",
    "disk": "Free space, then resume from the last checkpoint",
}
_RESUME = "Correct the cause, and resume from the last checkpoint"


@dataclass(frozen=True)
class Progress:
    """How far a run came of what it was planned to be."""

    done: float
    planned: float
    unit: str

    @property
    def complete(self) -> bool:
        return self.done >= self.planned

    def __str__(self) -> str:
        return f"{self.done:g} of {self.planned:g} {self.unit}"


@rule("RUN003", needs=(), severity="warning", when="end")
def killed(run: Run, *, short: float = 0.95) -> Iterator[Finding | NotChecked]:
    """The run had begun to train and did not end by itself.

    ## What it does
    Rings for a run with training steps where its log proves one of

    - its exit is `failed`, or a traceback or the message of a scheduler stands at its end: ended by that,
    - its exit is `killed`: the format always writes an exit record (W&B, tocsin's own, ...), and there is none,
    - its last record is torn in the middle, and no exit is recorded.

    A warning, which says after how many of the planned epochs or steps, if the log tells them. A note where a person
    interrupted it, where it had stopped early by its own rule, where a record is torn after all that was planned, where
    another cell of a notebook failed beside a training that came to its end (cells run in any order), and
    where a log without any word on its end stops below `short` of the plan: that may be a time budget, a run still
    going, a copy made too early, or a kill. A failure before the first step is RUN001's. Silent where `watch(stop_on=)`
    ended it, as was asked for.

    ## Why is this bad?
    The last numbers are not the final ones, the checkpoint may be torn, and in a table of runs it is compared with
    runs that had more steps.

    ## Example
    ```python
    loss = 1 / np.arange(1, 41)
    oom = Event("exception", "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", 40)
    run = Run.of(series={"train/loss": loss}, events=(oom,), environment={"planned": {"steps": 100}}, exit="failed")
    ```
    Use instead:
    ```python
    run = Run.of(series={"train/loss": 1 / np.arange(1, 101)}, environment={"planned": {"steps": 100}}, exit="finished")
    ```

    ## Fix
    - **safe** Resume from the last checkpoint; write checkpoints more often than the machine fails.
    - **safe** Memory: a smaller batch with accumulation. Time limit: ask for more, or checkpoint on the signal.

    ## Options
    - `short` = 0.95: share of the planned length below which a log that just stops is noted. A choice: loggers leave
      out up to one interval at the end.

    ## Known limits
    A file that was copied while the run wrote it looks torn. Where a format has no exit record and the log says
    nothing, an end by design and a kill cannot be told apart: then it is a note at most. An exception that the program
    survived (training went on after it) is left alone.

    ## References
    Reader facts: docs/guides and the W&B, TensorBoard and tocsin records (an exit record or none).
    """
    if not run.trained:
        yield NotChecked("no training step is recorded: RUN001 and RUN002 look at such runs")
        return
    if run.exit in ("finished", "running") or any(e.kind == "stop" for e in run.events):
        return
    progress = _progress(run)
    found = _fatal(run)
    torn = next((e for e in run.events if e.kind == "truncated"), None)
    if found is not None:
        yield _failed(run, *found, progress)
    elif run.exit in ("failed", "killed", "interrupted"):
        yield _ended(run, progress)
    elif torn is not None:
        yield _torn(run, torn, progress)
    elif progress is None:
        yield NotChecked("the log says neither how the run ended nor how long it was to be")
    elif progress.done < short * progress.planned and not _stopped_early(run):
        yield _silent(run, progress)


def _progress(run: Run) -> Progress | None:
    """By epochs where the log counts them, else by steps."""
    planned = run.environment.get("planned")
    if not isinstance(planned, dict):
        return None
    ends = [float(np.nanmax(s.epoch)) for s in run.series.values() if np.isfinite(s.epoch).any()]
    for unit, done in (("epochs", max(ends, default=0.0)), ("steps", float(run.last_step))):
        total = planned.get(unit)
        if isinstance(total, int | float) and total > 0 and done > 0:
            return Progress(round(done, 2), float(total), unit)
    return None


def _fatal(run: Run) -> tuple[Event, Failure] | None:
    """The failure that ended the run: the last one, unless training went on after it."""
    found = failures(run.events)
    if not found:
        return None
    event = found[-1][0]
    ended = run.exit in ("failed", "killed", "interrupted") or event.step >= 0.9 * run.last_step
    return found[-1] if ended else None


def _stopped_early(run: Run) -> bool:
    return any(e.kind == "early-stop" for e in run.events)


def _of(run: Run, progress: Progress | None) -> str:
    if progress is None:
        return f"at step {run.last_step}"
    done = ", all that was planned" if progress.complete else ""
    return f"after {progress}{done}" + ("" if progress.unit == "steps" else f" (step {run.last_step})")


def _failed(run: Run, event: Event, failure: Failure, progress: Progress | None) -> Finding:
    by_hand = failure.kind == "interrupt" or run.exit == "interrupted"
    where = f", in {failure.own.place}" if failure.own is not None else ""
    what = "interrupted by hand" if by_hand else f"ended by {failure.line}{where}"
    over = progress is None or progress.complete or _stopped_early(run)
    apart = run.source == "notebook" and over  # of another cell, run before or after
    return Finding(
        f"{what} {_of(run, progress)}" if by_hand else f"{_of(run, progress)} the run was {what}",
        subject="interrupted" if by_hand else failure.signature,
        step=run.last_step,
        severity="note" if by_hand or apart else None,
        evidence=(Evidence(f"event:{event.kind}", failure.type or failure.kind, event.step, text=failure.line),),
        remedies=(Remedy(_CURES.get(failure.kind, _RESUME), safe=failure.kind != "out-of-memory"),),
    )


def _ended(run: Run, progress: Progress | None) -> Finding:
    words = {
        "failed": "the run failed, its log does not say of what",
        "interrupted": "the run was interrupted",
        "killed": "the run ended without an exit record, as a killed process or a lost machine leaves it",
    }
    calm = run.exit == "interrupted" or (run.exit == "killed" and _stopped_early(run))
    said = [e for e in run.events if e.kind == "exit"][-1:]
    return Finding(
        f"{_of(run, progress)} {words[run.exit]}",
        subject=run.exit,
        step=run.last_step,
        severity="note" if calm else None,
        evidence=(
            *(Evidence("event:exit", step=e.step, text=e.text[:200]) for e in said),
            _last_point(run),
        ),
        remedies=(Remedy(_CURES["killed"] if run.exit == "killed" else _RESUME, safe=True),),
    )


def _torn(run: Run, event: Event, progress: Progress | None) -> Finding:
    calm = (progress is not None and progress.complete) or _stopped_early(run)
    return Finding(
        f"{_of(run, progress)} the log breaks off in the middle of a record, and no exit is recorded",
        subject="truncated",
        step=run.last_step,
        severity="note" if calm else None,
        evidence=(Evidence("event:truncated", step=event.step, text=event.text[:200]), _last_point(run)),
        remedies=(Remedy("If it was not copied while it ran: " + _CURES["killed"], safe=True),),
    )


def _silent(run: Run, progress: Progress) -> Finding:
    return Finding(
        f"the log stops {_of(run, progress)} and says nothing on why: a time budget, a kill, a run still going or an "
        "early copy",
        subject="stopped",
        step=run.last_step,
        severity="note",
        evidence=(_last_point(run),),
        remedies=(Remedy("Compare it only with runs of as many steps", safe=True),),
    )


def _last_point(run: Run) -> Evidence:
    """The point recorded last."""
    series = max((s for s in run.series.values() if len(s)), key=lambda s: (int(s.step[-1]), s.name), default=None)
    if series is None:
        last = run.evaluations[-1]
        return Evidence(f"evaluation:{last.key}", step=last.step, text="the last recorded evaluation")
    return Evidence(series.name, float(series.value[-1]), int(series.step[-1]), text="the last recorded value")

"""RUN002 no-steps."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.declared import command_of
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run
from tocsin.tracebacks import failures


@rule("RUN002", needs=(), severity="error", when="end")
def no_steps(run: Run) -> Iterator[Finding | NotChecked]:
    """The run is over and not one number of it was recorded, though nothing says that it failed.

    ## What it does
    Rings where a run holds no value of any series and no evaluation, and

    - its exit says `finished`: an error, or
    - its log shows that a run was started (a configuration, a command line) and says nothing after that: a warning.
      It may have failed without a word, have logged elsewhere, or have been copied too early.

    A log that holds evaluations only is no failed training and is left alone. A failure that the log does tell is
    RUN001's.

    ## Why is this bad?
    An empty run that calls itself finished counts as done in every table of jobs. Common causes: an empty data set or
    loader, `epochs=0`, a loop over an exhausted iterator, a resumed run that believes it is at its end, a logger that
    was given the wrong folder.

    ## Example
    ```python
    run = Run.of(config={"lr": 1e-3, "epochs": 10}, exit="finished")
    ```
    Use instead:
    ```python
    run = Run.of(config={"lr": 1e-3, "epochs": 10}, series={"train/loss": [2.0, 1.5]}, exit="finished")
    ```

    ## Fix
    - **safe** Print the number of batches before the loop, and raise where it is 0.
    - **safe** Check that the logger writes where the run is read from, and log the first step.

    ## Known limits
    A run so short that its logger never came to its first interval looks the same. Silent while a run is still going.

    ## References
    Seen in public logs: 24 empty TensorBoard files in one repository; logs that end after the configuration.
    """
    if any(len(s) for s in run.series.values()) or run.evaluations:
        return
    if run.exit in ("failed", "killed", "interrupted", "running") or failures(run.events):
        yield NotChecked("the run has not ended by itself: RUN001 tells how it failed to start")
        return
    launched = bool(run.config) or bool(command_of(run)) or any(e.kind == "launch" for e in run.events)
    if run.exit != "finished" and not launched:
        yield NotChecked("the log shows neither that a run was started nor that one ended")
        return
    over = run.exit == "finished"
    said = "finished" if over else "was started (its log holds the configuration or the command)"
    yield Finding(
        f"the run {said}, and 0 values of training or evaluation are recorded"
        + ("" if over else "; nor does the log say how it ended"),
        severity=None if over else "warning",
        evidence=tuple(_evidence(run)),
        remedies=(
            Remedy("Raise where the training loader has no batch or the first epoch is the last one", safe=True),
            Remedy("Keep the console output beside the run, and check where the logger writes", safe=True),
        ),
    )


def _evidence(run: Run) -> Iterator[Evidence]:
    for event in [e for e in run.events if e.kind in ("exit", "launch", "warning")][-2:]:
        yield Evidence(f"event:{event.kind}", step=event.step, text=event.text.strip()[:200])
    key = next(iter(run.config), None)
    if key is not None:
        yield Evidence(f"config:{key}", text=f"a configuration of {len(run.config)} entries, and no step after it")

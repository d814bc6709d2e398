"""RUN002 no-steps."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.declared import command_of, of_command, of_config
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run
from tocsin.tracebacks import failures

_TRAINS = frozenset({"lr", "epoch", "epochs", "steps", "iters", "batch", "optimizer", "optim", "warmup", "momentum"})
_KEPT_ANYWAY = ("watch/", "param/", "lr/", "count/", "amp/", "system/")  # what a recorder notes before any step
_TEXT = ("console", "notebook")  # a bar counts to a plan there whatever it counts, and numbers may go unread
_TRAINER = re.compile(r"train|tune|fit\b|learn|main|launch", re.IGNORECASE)
_OTHER = re.compile(
    r"eval|test|infer|predict|export|download|prepare|preprocess|convert|generate|serve|demo|install|plot",
    re.IGNORECASE,
)


@rule("RUN002", needs=(), severity="error", when="end")
def no_steps(run: Run) -> Iterator[Finding | NotChecked]:
    """The run is over and not one number of it was recorded, though nothing says that it failed.

    ## What it does
    Rings where a run holds no evaluation and no value of any series, but for what a recorder notes before the first
    step (learning rates, parameter norms, its own cost), and

    - its exit says `finished`: an error, or
    - its log shows that a run was started (a configuration, a command line; a planned length, where the format keeps
      its numbers in fields) and says nothing after that: a warning. It may have failed without a word, have logged
      elsewhere, or have been copied too early.

    Only a run that was meant to train counts: a word of its configuration or command line is a learning rate, epochs,
    steps, a batch, an optimizer, or the command trains (and does not evaluate, export or prepare data). Another one
    that finished without a number is a note. A log that holds evaluations only is no failed training and is left
    alone. A failure that the log does tell is RUN001's.

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
    if run.own_evaluations or any(len(s) and not name.startswith(_KEPT_ANYWAY) for name, s in run.series.items()):
        return
    if run.exit in ("failed", "killed", "interrupted", "running") or failures(run.events):
        yield NotChecked("the run has not ended by itself: RUN001 tells how it failed to start")
        return
    over, meant = run.exit == "finished", _meant_to_train(run)
    if not over and not meant:
        yield NotChecked("the log shows neither that a training was started nor that a run ended")
        return
    said = "finished" if over else "was started (its log holds the configuration, the command or the plan)"
    yield Finding(
        f"the run {said}, and 0 values of training or evaluation are recorded"
        + ("" if over else "; nor does the log say how it ended"),
        severity="note" if not meant else None if over else "warning",
        evidence=tuple(_evidence(run)),
        remedies=(
            Remedy("Raise where the training loader has no batch or the first epoch is the last one", safe=True),
            Remedy("Keep the console output beside the run, and check where the logger writes", safe=True),
        ),
    )


def _meant_to_train(run: Run) -> bool:
    if run.environment.get("planned") and run.source not in _TEXT:
        return True
    words = command_of(run)
    if any(_TRAINS & set(s.words) for s in (*of_config(run.config), *of_command(words))):
        return True
    script = next((w for w in words if w.endswith((".py", ".sh")) or "train" in w), "")
    return bool(_TRAINER.search(script)) and not _OTHER.search(script)


def _evidence(run: Run) -> Iterator[Evidence]:
    for event in [e for e in run.events if e.kind in ("exit", "launch", "warning")][-2:]:
        yield Evidence(f"event:{event.kind}", step=event.step, text=event.text.strip()[:200])
    key = next(iter(run.config), None)
    if key is not None:
        yield Evidence(f"config:{key}", text=f"a configuration of {len(run.config)} entries, and no step after it")

"""RUN001 failed-start."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Event, Run
from tocsin.tracebacks import Failure, failures

_WORDS = {
    "import": "a module could not be imported",
    "missing-file": "a file is missing",
    "missing-script": "the script or command itself is missing",
    "usage": "the command line or the overrides were refused",
    "removed-api": "a library no longer has what the code asks for",
    "out-of-memory": "out of memory",
    "killed": "killed from outside",
    "time-limit": "the job's time limit",
    "cancelled": "the job was cancelled",
    "crash": "the process crashed outside Python",
    "device": "the device or its driver refused",
    "disk": "the disk is full",
    "network": "a network address could not be reached",
    "child-failure": "a child process failed",
}
_CURES = {
    "import": "Install the module, or correct its name, in the environment that the command uses",
    "missing-file": "Correct the path, or fetch the file before the run starts",
    "missing-script": "Correct the path of the script, and the folder it is started from",
    "usage": "Correct the named argument; ask the program for --help",
    "removed-api": "Pin the library's version, or use what replaced the attribute",
    "out-of-memory": "Smaller batch (with accumulation), shorter inputs, lower precision or activation checkpointing",
    "killed": "Look for memory on the host: a kill without a message is mostly the kernel's",
    "time-limit": "Ask for more time, or find what keeps the start so long",
    "cancelled": "Start it again",
    "crash": "Run it with python -X faulthandler, on one process, to see where",
    "device": "Check that the device is visible and that driver and library versions match",
    "disk": "Free space, or write elsewhere",
    "network": "Fetch what is needed beforehand, or free the address and port",
    "child-failure": "Read the log of the child itself: this one only says that it failed",
}

# The argument, override or choice that was refused: argparse, click, Hydra, absl, fire, HfArgumentParser.
_ARGUMENTS = tuple(
    map(
        re.compile,
        (
            r"unrecognized arguments: (--?[\w\-]+)",
            r"[Nn]o such option:? (--?[\w\-]+)",
            r"Could not (?:override|find) '([^']+)'",
            r"Unknown command line flag '([^']+)'",
            r"Could not consume arg: (\S+)",
            r"Key '([^']+)' is not in struct",
            r"HfArgumentParser: \['([^']+)'",
            r"invalid choice: '([^']+)'",
            r"argument (--?[\w\-/]+): ",
            r"arguments are required: (\S+)",
        ),
    )
)
_TEXT_FOR_NUMBER = re.compile(
    r"not supported between instances of '(?:(?:float|int)' and 'str|str' and '(?:float|int))'|"
    r"can't multiply sequence by non-int|must be real number, not str|could not convert string to float"
)
_MEANT = re.compile(r"[Dd]id you mean:? [`'\"]?(--?[\w\-]+|[\w.]+)")


@rule("RUN001", needs=(), severity="error", when="end")
def failed_start(run: Run) -> Iterator[Finding | NotChecked]:
    """The run failed before its first training step.

    ## What it does
    Rings where nothing of training is recorded (no training loss, no learning rate, no gradient, nothing after step 0)
    and the log holds a traceback, a refused command line, the end of a child process or the message of a scheduler, or
    its exit says `failed` or `killed`. A run that says of itself that it finished is RUN002's.

    The finding names the kind of failure (import, missing file, refused command line, out of memory, ...), the
    exception, what it was raised from, and the innermost frame of the user's own code: frames in installed packages,
    in the standard library and in launchers are passed over, and `torchrun`'s or a data loader's report on a child
    gives way to the child's own traceback. Its subject is a signature of the failure, with numbers and paths taken
    out, so that the same failure of many runs of a sweep reads the same and is told once.

    An error; a note where a person interrupted it.

    ## Why is this bad?
    It answers nothing, and in a sweep or a queue of jobs nobody looks: the empty folder passes for a result.

    ## Example
    ```python
    traceback = '''Traceback (most recent call last):
      File "/data/train.py", line 12, in <module>
        data = np.load("train.npy")
      File "/opt/lib/python3.11/site-packages/numpy/lib/npyio.py", line 427, in load
        fid = open(file, "rb")
    FileNotFoundError: [Errno 2] No such file or directory: 'train.npy'
    '''
    run = Run.of(events=(Event("exception", traceback),), exit="failed")
    ```
    Use instead:
    ```python
    run = Run.of(series={"train/loss": 1 / np.arange(1, 9)}, exit="finished")
    ```

    ## Fix
    - **safe** What the kind asks for: install the module, correct the path or the argument, free memory or disk.
    - **safe** Check the configuration, the data and one batch before the job is queued.

    ## Known limits
    A failure after the first step is RUN003's; a module, a script or an attribute that is gone is CFG004's, which
    explains this one. Where output of several processes is mixed line by line the frames may be those of two of them.
    Where the log keeps no console text it can say only that the run failed.

    ## References
    Python library reference, traceback; PyTorch, torch.distributed.elastic.multiprocessing.errors (ChildFailedError).
    """
    if run.trained:
        return
    found = failures(run.events)
    if run.exit == "finished" or not (found or run.exit in ("failed", "killed", "interrupted")):
        yield NotChecked("the log holds neither a training step nor a failure")
        return
    if not found:
        yield _untold(run)
        return
    event, failure = found[-1]
    yield _told(run, event, failure, len(found))


def _told(run: Run, event: Event, failure: Failure, count: int) -> Finding:
    by_hand = failure.kind == "interrupt" or run.exit == "interrupted"
    return Finding(
        _message(failure),
        subject=failure.signature,
        severity="note" if by_hand else None,
        evidence=tuple(_evidence(event, failure, count)),
        remedies=(_remedy(failure),),
    )


def _message(failure: Failure) -> str:
    """Without anything of this run alone, so that equal failures of a sweep have equal messages."""
    if failure.kind == "interrupt":
        return "interrupted by hand before the first training step (0 steps recorded)"
    word = _WORDS.get(failure.kind)
    parts = [f"failed before the first training step (0 steps recorded){f', {word}' if word else ''}: {failure.line}"]
    if failure.own is not None:
        function = f" in {failure.own.function}" if failure.own.function not in ("", "<module>") else ""
        parts.append(f"own code: {failure.own.place}{function}")
    if failure.cause:
        parts.append(f"raised from {failure.cause}")
    return "; ".join(parts)


def _evidence(event: Event, failure: Failure, count: int) -> Iterator[Evidence]:
    more = f" (the last of {count} such messages)" if count > 1 else ""
    yield Evidence(f"event:{event.kind}", failure.type or failure.kind, event.step, text=failure.line + more)
    if failure.own is not None and failure.own.code:
        yield Evidence(f"event:{event.kind}", step=event.step, text=f"{failure.own.place}: {failure.own.code}")


def _remedy(failure: Failure) -> Remedy:
    if _TEXT_FOR_NUMBER.search(failure.line):
        return Remedy(
            "Look for a setting that is text: YAML 1.1 reads 1e-5 as text, 1.0e-5 as a number (CFG001)", safe=True
        )
    cure = _refused(failure.line) if failure.kind == "usage" else _CURES.get(failure.kind)
    if cure is None:
        place = f" at {failure.own.place}" if failure.own is not None else ""
        cure = f"Correct the cause{place}; a check of one batch before the job is queued finds such errors"
    return Remedy(cure, safe=failure.kind != "out-of-memory")


def _refused(line: str) -> str:
    """What to do about the argument that the message names, and what the message itself proposes."""
    found = next((m for m in (pattern.search(line) for pattern in _ARGUMENTS) if m), None)
    if found is None:
        return _CURES["usage"]
    name, meant = found[1], _MEANT.search(line)
    if re.fullmatch(r"--local[_-]rank", name):
        return f"Accept {name}, which torch.distributed.launch passes; or start with torchrun and read LOCAL_RANK"
    return f"Use {meant[1]} for {name}, as the message says" if meant else f"Correct {name}; ask the program for --help"


def _untold(run: Run) -> Finding:
    said = next((e for e in reversed(run.events) if e.kind == "exit"), None)
    evidence = (Evidence("event:exit", step=said.step, text=said.text[:200]),) if said is not None else ()
    how = {"killed": "ended without an exit record", "interrupted": "was interrupted"}.get(run.exit, "failed")
    return Finding(
        f"the run {how} before the first training step (0 steps recorded); its log does not say why",
        subject=run.exit,
        severity="note" if run.exit == "interrupted" else None,
        evidence=evidence,
        remedies=(Remedy("Keep the console output (standard error, too) beside the run", safe=True),),
    )

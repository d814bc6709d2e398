"""CFG004 deprecated-entry-point."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run
from tocsin.tracebacks import Failure, failures

_SAID_REPLACEMENT = re.compile(
    r"(?:[Uu]se|[Rr]eplaced by|[Rr]enamed to|[Mm]oved to|Did you mean:?|[Ii]mport from)"
    r"\s+[`'\"]?(?P<name>[A-Za-z_][\w.\-]*(?:\.[\w]+|\w))[`'\"]?"
)
_QUOTED = re.compile(r"[`'\"](?P<name>[^`'\"]{1,120})[`'\"]")


@dataclass(frozen=True)
class Gone:
    """What the run asked for and did not find.

    ``what`` is the kind of thing, ``name`` its name, ``cure`` what to do about it.
    """

    what: str
    name: str
    cure: str


@rule("CFG004", needs=(), severity="error", explains=("RUN001", "RUN003"), when="end")
def deprecated_entry_point(run: Run) -> Iterator[Finding | NotChecked]:
    """The run died because its command, or a name it imports, does not exist there (any more).

    ## What it does
    Reads the traceback or fatal message with which the run ended and rings where it is one of

    - the script itself, the module of `python -m`, or the shell command is not there,
    - a module that is not installed, or a name that a module no longer has (`ImportError: cannot import name`),
    - an attribute that a library has removed (`AttributeError: module 'numpy' has no attribute 'float'`),
    - a plot style that the plotting library does not ship any more.

    It says which name, from where in the user's own code, and the replacement if the message itself gives one. A file
    of data or weights that is missing is no entry point and stays with RUN001, as does an argument that the program
    refuses: the program is there, and it says itself what it takes.

    ## Why is this bad?
    Code and environment have moved apart: the same command fails for everybody else, and for you after the next
    installation. The fix is known and takes minutes, once the name stands at the top of the report and not under
    the frames of a launcher.

    ## Example
    ```python
    said = '''Traceback (most recent call last):
      File "/data/metrics.py", line 7, in <module>
        ids = labels.astype(np.int)
    AttributeError: module 'numpy' has no attribute 'int'. Use `int` instead.
    '''
    run = Run.of(events=(Event("exception", said),), exit="failed")
    ```
    Use instead:
    ```python
    run = Run.of(series={"train/loss": 1 / np.arange(1, 9)}, exit="finished")
    ```

    ## Fix
    - **safe** Call what replaced it, or correct the name; where nothing replaced it, pin the version that had it.
    - **safe** Keep the command of a run in a file that is run by a test, so that it cannot go stale unnoticed.

    ## Known limits
    Whether a missing module was renamed or merely not installed cannot be told from the message alone. Silent where
    the run finished in spite of the exception, or where the program's own message hides it.

    ## References
    NumPy 1.20 and 1.24 release notes (aliases of builtin types, removed); Matplotlib 3.6 (seaborn styles renamed).
    """
    found = failures(run.events)
    if not found or run.exit in ("finished", "interrupted"):
        if not run.trained:
            yield NotChecked("the log holds neither a training step nor a failure")
        return
    event, failure = found[-1]
    gone = _gone(failure)
    if gone is None:
        return
    yield Finding(
        _message(gone, failure, run.last_step),
        subject=gone.name,
        step=min(event.step, run.last_step),
        evidence=(Evidence(f"event:{event.kind}", gone.name, event.step, text=failure.line),),
        remedies=(Remedy(gone.cure, safe=True),),
    )


def _message(gone: Gone, failure: Failure, step: int) -> str:
    at = f" (asked for at {failure.own.place})" if failure.own is not None else ""
    when = f"at step {step}" if step else "before the first step (0 steps recorded)"
    return f"{gone.what} {gone.name!r} is not there{at}; the run ended {when}: {failure.line}"


def _gone(failure: Failure) -> Gone | None:
    by_kind = {
        "import": _module,
        "removed-api": _attribute,
        "missing-script": _script,
        "missing-file": _style,
    }
    look = by_kind.get(failure.kind)
    return look(failure.line) if look is not None else None


def _module(line: str) -> Gone | None:
    names = _QUOTED.findall(line)
    if "cannot import name" in line and names:
        home = f" of {names[1]}" if len(names) > 1 else ""
        return Gone(f"the name{home}", names[0], _cure(line, "import it from where it has moved, or pin the version"))
    bare = re.search(r"No module named '?([\w.\-]+)'?", line)
    if bare is None:
        return None  # a shared library that could not be loaded, a failed dependency check
    outer = bare[1].partition(".")[0]
    inner = outer != bare[1]
    cure = f"install {outer}, start it from the folder that holds it, or correct the name"
    return Gone(
        "the module", bare[1], _cure(line, f"see where {outer} keeps it now, or pin {outer}" if inner else cure)
    )


def _attribute(line: str) -> Gone | None:
    found = re.search(r"module '([\w.]+)' has no attribute '(\w+)'", line)
    if found is None:
        return None
    cure = _cure(line, f"use what replaced it, or pin the version of {found[1].partition('.')[0]} that had it")
    return Gone("the attribute", f"{found[1]}.{found[2]}", cure)


def _script(line: str) -> Gone | None:
    found = (
        re.search(r"can't open file '([^']+)'", line)
        or re.search(r"can't find '__main__' module in '([^']+)'", line)
        or re.search(r"([\w./\-]+): command not found", line)
        or re.search(r"([\w./\-]+): Permission denied$", line)
    )
    if found is None:
        return None
    name = found[1].replace("\\", "/").rstrip("/").rpartition("/")[2] or found[1]
    return Gone("the command", name, "Correct the path and the folder it is started from, or activate its environment")


def _style(line: str) -> Gone | None:
    found = re.search(r"'([\w\-.]+)' (?:is not a valid package style|not found in the style library)", line)
    if found is None:
        return None
    cure = "List matplotlib.style.available: the seaborn styles are now named seaborn-v0_8-..."
    return Gone("the plot style", found[1], cure)


def _cure(line: str, otherwise: str) -> str:
    said = _SAID_REPLACEMENT.search(line)
    return f"Use {said['name']}, as the message says" if said else otherwise[:1].upper() + otherwise[1:]

"""Where the verbs write: stdout for results, stderr for one-line messages, and a reader that may leave early."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from tocsin.findings import dumps
from tocsin.reports.plain import plain

WIDEST = 120


@contextmanager
def steady() -> Iterator[None]:
    """Let no character be unprintable, and no closed pipe be an error, while a verb writes."""
    for stream in (sys.stdout, sys.stderr):  # each is None where the shell closed it
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            write(stream, "")


def say(text: str) -> None:
    """Write a result to stdout; when its reader has gone, quietly nothing."""
    write(sys.stdout, text if text.endswith("\n") else text + "\n")


def say_json(schema: str, data: Mapping[str, Any]) -> None:
    """Write ``data`` as strict JSON with its schema first, e.g. ``tocsin.rules/1``."""
    say(dumps({"schema": schema, **data}, indent=2))


def warn(message: str) -> None:
    """Write one line to stderr, safe to show."""
    write(sys.stderr, f"tocsin: {plain(message)}\n")


def write(stream: TextIO | None, text: str) -> None:
    """Write and flush; when there is no reader (any more), quietly nothing, now and at exit."""
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # The descriptor must stay open and harmless: the interpreter flushes once more at exit.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def nearby(path: Path) -> Path:
    """``path`` as seen from the working folder where it lies below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def width() -> int:
    """Columns to write: those of the terminal, at most 120; 100 where there is none."""
    return min(shutil.get_terminal_size(fallback=(100, 24)).columns, WIDEST)


def colored(stream: TextIO | None = None) -> bool:
    """Whether to use colours: on a terminal, unless NO_COLOR says no; FORCE_COLOR says yes."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or interactive(stream)


def interactive(stream: TextIO | None = None) -> bool:
    """Whether a terminal that can redraw itself is on the other side."""
    shown = stream or sys.stdout
    return shown is not None and shown.isatty() and os.environ.get("TERM") != "dumb"

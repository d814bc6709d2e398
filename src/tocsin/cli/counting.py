"""A progress bar on stderr for work of many parts; nothing where nobody watches or the work is short."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tocsin.cli.output import colored, interactive

_PATIENCE = 1.0  # seconds; what ends before needs no bar


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A function to call with how many parts are done and how many there are; None where no bar is shown."""
    if not interactive(sys.stderr):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, no_color=not colored(sys.stderr))
    bar = Progress(
        TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True
    )
    start, task = time.monotonic(), bar.add_task(what, total=None)

    def show(done: int, of: int) -> None:
        bar.update(task, completed=done, total=of)
        if not bar.live.is_started and time.monotonic() - start > _PATIENCE:
            bar.start()

    try:
        yield show
    finally:
        bar.stop()

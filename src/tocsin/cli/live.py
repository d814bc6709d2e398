"""Showing a training while it goes on: a picture that redraws itself on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from tocsin.cli.frame import History, clock, frame
from tocsin.cli.output import colored, interactive, warn, write
from tocsin.findings import Finding
from tocsin.reports.plain import figure, plain

if TYPE_CHECKING:
    from tocsin.studies.progress import Progress

Show = Callable[["Progress"], None]
REDRAW_S = 1.0  # a picture costs about 4 ms of CPU time, which the training must not feel


@contextmanager
def shown(title: str, stream: TextIO | None) -> Iterator[Show]:
    """What to call with each progress report; ``stream`` is where it shows."""
    if stream is not None and interactive(stream):
        with _screen(title, stream) as show:
            yield shielded(show)
    else:
        write(stream, f"{title}\n")
        yield shielded(lines(lambda text: write(stream, f"{text}\n")))


def shielded(show: Show) -> Show:
    """``show``, but an error in it is said once and ends the showing, never the training."""
    broken = False

    def guarded(progress: Progress) -> None:
        nonlocal broken
        if broken:
            return
        try:
            show(progress)
        except Exception as error:
            broken = True
            warn(f"progress is no longer shown, training goes on: {type(error).__name__}: {error}")

    return guarded


def lines(say: Callable[[str], None]) -> Show:
    """One line an epoch, and one for each finding when it rings."""
    history, news = History(), News()

    def show(progress: Progress) -> None:
        for finding in news.of(progress):
            say(rung(finding))
        if history.add(progress):
            say(epoch_line(progress))

    return show


class News:
    """Remembers which findings have been told."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str, str]] = set()

    def of(self, progress: Progress) -> list[Finding]:
        """The findings not told before."""
        fresh = [finding for finding in progress.findings if finding.identity not in self._told]
        self._told.update(finding.identity for finding in fresh)
        return fresh


def rung(finding: Finding) -> str:
    """One line for a finding that rings."""
    about = f" {plain(finding.subject, 120)}" if finding.subject else ""
    at = finding.step if finding.rang_at is None else finding.rang_at
    return f"step {at}: {finding.severity} {plain(finding.code)} {plain(finding.name)}{about}: {plain(finding.message)}"


def epoch_line(progress: Progress) -> str:
    """One line for an epoch that ends: the main metric first, then the others."""
    names = sorted(progress.metrics, key=lambda name: name != progress.main_metric)
    values = ", ".join(f"{plain(name, 80)} {figure(progress.metrics[name])}" for name in names)
    left = f"{clock(progress.elapsed_s)}, {clock(progress.remaining_s)} left"
    return f"epoch {progress.epoch}/{progress.epochs} step {progress.step}/{progress.steps} ({left}): {values}"


@contextmanager
def _screen(title: str, stream: TextIO) -> Iterator[Show]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from tocsin.reports.terminal import STYLES

    console = Console(file=stream, no_color=not colored(stream), highlight=False, markup=False, emoji=False)
    history, news, drawn = History(), News(), 0.0
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:

        def show(progress: Progress) -> None:
            nonlocal drawn
            fresh = news.of(progress)
            for finding in fresh:
                console.print(Text(rung(finding), STYLES[finding.severity]))
            ended, now = history.add(progress), time.monotonic()
            if fresh or ended or now - drawn >= REDRAW_S or progress.step == progress.steps:
                drawn = now
                live.update(frame(title, progress, history, console.width), refresh=True)

        yield show

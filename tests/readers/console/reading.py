"""Text in, runs out."""

from __future__ import annotations

from pathlib import Path

from tocsin.readers.console.reading import Console
from tocsin.run import Run


def runs(text: str) -> list[Run]:
    """The runs that a console text tells."""
    console = Console("console", Path("train.log"))
    for line in text.split("\n"):
        console.feed(line)
    return [log.run() for log in console.finish()]


def run(text: str) -> Run:
    """The only run of a text."""
    found = runs(text)
    assert len(found) == 1, [one.series.keys() for one in found]
    return found[0]


def table(found: Run) -> dict[str, list[tuple[int, float]]]:
    """Series as lists of (step, value), values rounded to 6 digits."""
    return {
        name: [(int(s), round(float(v), 6)) for s, v in zip(series.step, series.value, strict=True)]
        for name, series in found.series.items()
    }


def kinds(found: Run) -> list[str]:
    """The kinds of its events, in order."""
    return [event.kind for event in found.events]

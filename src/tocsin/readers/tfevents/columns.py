"""What the events of a file hold, by tag, in the order of the file."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tocsin.readers.log import MOST_SERIES
from tocsin.readers.tfevents.events import Event, Note, Scalar
from tocsin.run import Floats, Ints

MOST_NOTES = 1_000
LONGEST_NOTE = 2**20
_MOST_SAID = 3


@dataclass
class Column:
    """Points of one tag: the byte at which each event stands in the file, its step, its time since 1970, its value."""

    place: array[int] = field(default_factory=lambda: array("q"))
    step: array[int] = field(default_factory=lambda: array("q"))
    wall: array[float] = field(default_factory=lambda: array("d"))
    value: array[float] = field(default_factory=lambda: array("d"))

    def ordered(self) -> tuple[Ints, Floats, Floats]:
        """Step, time and value in the order of the file, each of shape (n,)."""
        order = np.argsort(np.asarray(self.place), kind="stable")
        step, wall, value = np.asarray(self.step), np.asarray(self.wall), np.asarray(self.value)
        return step[order], wall[order], value[order]


@dataclass
class Columns:
    """All that was read of a file; ``say`` is told what was not."""

    say: Callable[[str], None]
    by_tag: dict[str, Column] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    left_out: int = 0

    def leave_out(self, place: int, why: str) -> None:
        """Count a record that could not be used; the first ones are said one by one."""
        self.left_out += 1
        if self.left_out <= _MOST_SAID:
            self.say(f"the record at byte {place} was left out: {why}")

    def extend(self, tag: str, place: Ints, step: Ints, wall: Floats, value: Floats) -> None:
        """Add points of one tag; all arrays of shape (n,)."""
        column = self._of(tag)
        column.place.frombytes(place.tobytes())
        column.step.frombytes(step.tobytes())
        column.wall.frombytes(wall.tobytes())
        column.value.frombytes(value.tobytes())

    def take(self, event: Event, place: int) -> None:
        """Add the scalars of one event."""
        for scalar in event.scalars:
            self._append(scalar, event, place)

    def see(self, event: Event) -> None:
        """Keep the texts and plugin payloads of an event, the first ones of bounded length."""
        for note in event.notes:
            if len(self.notes) < MOST_NOTES and len(note.content) <= LONGEST_NOTE:
                self.notes.append(note)

    def _append(self, scalar: Scalar, event: Event, place: int) -> None:
        column = self._of(scalar.tag)
        column.place.append(place)
        column.step.append(event.step)
        column.wall.append(event.wall)
        column.value.append(scalar.number)

    def _of(self, tag: str) -> Column:
        column = self.by_tag.get(tag)
        if column is None:
            if len(self.by_tag) >= MOST_SERIES:
                self.say(f"more than {MOST_SERIES} tags: the later ones were left out")
                return Column()
            column = self.by_tag[tag] = Column()
        return column

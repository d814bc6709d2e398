"""Blocks of results: what Ray prints of a trial, detectron2's lines to copy."""

from __future__ import annotations

import re

from tocsin.readers.console import words
from tocsin.readers.values import number, whole

Points = list[tuple[str, str, float]]
_TRIAL = re.compile(r"^Result for (?P<trial>\S{1,200}):\s*$")
_ENTRY = re.compile(r"^\s{2,40}(?P<key>[\w/.\-]{1,80}): *(?P<value>.*)$")
_COPIED = re.compile(r"(?:^|: )copypaste: (?P<cells>\S.*)$")
_POSITIONS = ("timesteps_total", "training_iteration")
_MOST = 1000


class Result:
    """A block ``Result for <trial>:`` of Ray Tune: indented ``key: value`` lines.

    Attributes:
        trial: The trial's name.
        points: Its quantities.
        step: Time steps, else training iterations; -1 where it says neither.
    """

    def __init__(self, trial: str) -> None:
        self.trial = trial
        self.points: Points = []
        self.step = -1
        self._rank = len(_POSITIONS)

    def feed(self, line: str) -> bool:
        """Take a line; False where it is none of the block."""
        found = _ENTRY.match(line)
        if found is None:
            return not line.strip() or line.startswith("  ")
        key, value = found.group("key"), number(found.group("value"))
        if key in _POSITIONS[: self._rank] and (count := whole(found.group("value"))) is not None:
            self.step, self._rank = count, _POSITIONS.index(key)
        elif value is not None and words.metric(key) and len(self.points) < _MOST:
            self.points.append((key, "", value))
        return True


def result(line: str) -> Result | None:
    """The block that a line begins."""
    found = _TRIAL.match(line)
    return Result(found.group("trial")) if found else None


class Copied:
    """The lines ``copypaste: AP,AP50`` and ``copypaste: 12.3,25.1`` of detectron2."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def read(self, line: str) -> Points | None:
        """Scores in per cent; None where the line is no such one."""
        found = _COPIED.search(line)
        if found is None:
            return None
        cells = found.group("cells").split(",")
        values = [number(cell) for cell in cells]
        if None in values or len(cells) != len(self._names):
            self._names = cells if all(value is None for value in values) else self._names
            return []
        return [(name, "", value) for name, value in zip(self._names, values, strict=True) if value is not None]

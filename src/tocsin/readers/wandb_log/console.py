"""Console text that stands inside another log: its lines of alarm, and the failure that it ends with."""

from __future__ import annotations

import re
from collections.abc import Callable

from tocsin import tracebacks

LONGEST_TAIL = 60_000
_MOST_MESSAGES = 50
_LONGEST_LINE = 500
_ALARM = re.compile(
    r"(?i)\b(?:nan|nans|[+-]?inf|infinite|non-?finite|overflow(?:s|ed)?|diverg(?:ed|ing|ence|es)|gradient explosion)\b"
)


class Console:
    """Takes pieces of console text, torn anywhere; ``hear`` is given each line of alarm, the first ones."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        self.hear = hear
        self._pieces: list[str] = []
        self._kept = 0  # characters in the pieces
        self._line = ""
        self._heard: set[str] = set()

    def take(self, piece: str) -> None:
        """Add the next piece."""
        self._pieces.append(piece)
        self._kept += len(piece)
        if self._kept > 2 * LONGEST_TAIL:
            self._pieces = [self.tail]
            self._kept = len(self._pieces[0])
        *whole, rest = (self._line + piece[-LONGEST_TAIL:]).replace("\r", "\n").split("\n")
        self._line = rest[: _LONGEST_LINE + 1]
        for line in whole:
            quoted = line.startswith("  ")  # code in a traceback
            if line and not quoted and len(self._heard) < _MOST_MESSAGES and _ALARM.search(line[:_LONGEST_LINE]):
                self._say(line.strip()[:_LONGEST_LINE])

    @property
    def tail(self) -> str:
        """The end of what was said so far."""
        return "".join(self._pieces)[-LONGEST_TAIL:]

    def failure(self) -> tuple[str, str]:
        """The text of the failure that the console tells of, from its first traceback on, and its type; else ""."""
        text = self.tail
        told = tracebacks.parse(text)
        if told is None:
            return "", ""
        start = text.find("Traceback (most recent call last)")
        return text[max(start, 0) :].strip(), told.type

    def _say(self, line: str) -> None:
        blurred = re.sub(r"\d+", "#", line)
        if blurred not in self._heard:
            self._heard.add(blurred)
            self.hear(line)

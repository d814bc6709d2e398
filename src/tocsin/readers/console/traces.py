"""Tracebacks and last words: whole blocks of text, of several ranks only the first."""

from __future__ import annotations

import re

_HEADER = re.compile(r"Traceback \(most recent call last\)")
_RANK = re.compile(
    r"^(?P<rank>\[(?:rank|default|gpu)\s?\d+\]:?|\[\d+,\d+\]<std\w+>:|\((?:\S+ )?pid=\d+[^)]{0,40}\)"
    r"|\[[\w.\-]{1,60}:\d{1,5}\]:|\d{1,5}:(?= )) ?",
    re.IGNORECASE,
)
_CHAIN = re.compile(r"During handling of the above|direct cause of the following|^-- Process \d+ terminated")
_TYPE = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(?::|$)")
_MOST = 300
WRAPPERS = ("ChildFailedError", "ProcessExitedException", "CalledProcessError", "ProcessRaisedException", "SystemExit")
KILLS = re.compile(r"slurmstepd|oom-kill|OOM Killer|Killed|Terminated|CANCELLED|DUE TO|SIGTERM|SIGHUP", re.IGNORECASE)


class Trace:
    """Collects one traceback, line by line.

    Attributes:
        lines: The lines so far, without the prefix of their rank.
        column: Where the block starts in its lines (loggers put a date before the first).
    """

    def __init__(self, first: str) -> None:
        found = _RANK.match(first)
        self.rank = found.group("rank") if found else ""
        start = _HEADER.search(first)
        self.lines = [first[start.start() :] if start else first]
        self._ended = False
        self._after = 0

    def feed(self, line: str) -> bool:
        """Take a line; False where it is no longer part of the block."""
        found = _RANK.match(line)
        rank = found.group("rank") if found else ""
        if rank != self.rank and rank:
            return (
                _HEADER.search(line) is not None or line[found.end() : found.end() + 1] in (" ", "") if found else False
            )
        text = line[found.end() :] if found and rank else line
        if len(self.lines) >= _MOST:
            return False
        return self._take(text)

    def _take(self, text: str) -> bool:
        indented = text[:1] in (" ", "\t", "|", "+")
        if self._ended:
            if not text.strip() or _CHAIN.search(text):
                self._after += 1
                self._ended = not _CHAIN.search(text)
            elif _HEADER.search(text):
                self._ended = False
            elif not (indented and self._after == 0):
                return False
        elif not indented and text.strip() and not _CHAIN.search(text) and not _HEADER.search(text):
            self._ended, self._after = True, 0
        if self._after > 3:
            return False
        self.lines.append(text)
        return True

    @property
    def text(self) -> str:
        """The whole block."""
        return "\n".join(self.lines).strip()

    @property
    def type(self) -> str:
        """The exception's type: that of the last line at the left margin that names one."""
        return kind_of(self.lines)


def kind_of(lines: list[str]) -> str:
    """The type of exception that a traceback ends in, "" where none is named."""
    for line in reversed(lines):
        found = _TYPE.match(line)
        if found and re.search(r"Error|Exception|Interrupt|Exit|Warning|Iteration|Failure", found.group(1)):
            return found.group(1)
    return ""


def ending(text: str, kind: str) -> str:
    """The exit that fatal words mean."""
    if kind == "KeyboardInterrupt" or text.lstrip().startswith(("KeyboardInterrupt", "^C")):
        return "interrupted"
    return "killed" if not kind and KILLS.search(text) else "failed"

"""Text from a record made safe and short enough for a terminal: names and messages are hostile input."""

from __future__ import annotations

import math
from collections.abc import Sequence


def plain(text: object, most: int = 2000) -> str:
    """``text`` on one line, with nothing in it that a terminal would obey.

    White space becomes a space; control, format and surrogate characters (escape sequences, direction overrides)
    become visible escapes such as ``\\x1b``; what is longer than ``most`` characters is cut, with a mark.
    """
    words = str(text)[: most + 1]
    if not words.isprintable():
        words = "".join(c if c.isprintable() else " " if c.isspace() else _escaped(c) for c in words)
    return words if len(words) <= most else words[: most - 3] + "..."


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def figure(value: float | str | None) -> str:
    """A number with four significant digits, whole numbers in full, text in quotes, "none" for None."""
    if value is None:
        return "none"
    if isinstance(value, str):
        return repr(plain(value, 80))
    if math.isfinite(value) and value == int(value) and abs(value) < 1e12:
        return str(int(value))
    return f"{value:.4g}"


def listed(names: Sequence[str], noun: str, most: int = 8) -> str:
    """How many there are and the first of their names: ``12 more runs: a, b, ... and 4 more``."""
    shown = ", ".join(plain(name, 80) for name in names[:most])
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} more {noun}{'s' * (len(names) != 1)}: {shown}{rest}"

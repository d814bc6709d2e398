"""Paths and sentences as they may be printed, and the names of runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NUMBER = re.compile(r"(\d{1,18})")


def shown(said: str | Path) -> str:
    """A text without what cannot be printed: odd bytes of file names and control characters become ``\\xNN``."""
    text = os.fspath(said).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which ``version_2`` comes before ``version_10``."""
    return [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in _NUMBER.split(name)]


def in_order(paths: Iterable[Path]) -> list[Path]:
    """The paths in natural order, part by part."""
    return sorted(paths, key=lambda path: [natural(part) for part in path.parts])


def relative(path: Path, top: Path) -> str:
    """``path`` as seen from ``top``, the last part of its real path where they are the same; never ``.``."""
    try:
        inside = path.relative_to(top).as_posix()
    except ValueError:
        inside = path.as_posix()
    return shown(inside if inside != "." else path.resolve().name or path.as_posix())


def stem(path: Path) -> str:
    """A file's name up to its first dot: ``20210112.log.json`` and ``20210112.log`` have one stem."""
    return path.name.lstrip(".").partition(".")[0]

"""Where a run lies, as a report may tell it: a relative path, and what it is relative to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class Place:
    """A relative path of forward slashes; ``inside``: below the working folder, else below a path that was given."""

    path: str
    inside: bool = True


def place_of(path: PurePath, here: PurePath, given: PurePath) -> Place:
    """Where ``path`` lies: below ``here`` where it does, else from the name of ``given`` on, which leads to it.

    All three are absolute. What stands above ``given`` is never told.
    """
    if path.is_relative_to(here):
        return Place(path.relative_to(here).as_posix())
    if path.is_relative_to(given):
        return Place((PurePath(given.name) / path.relative_to(given)).as_posix(), inside=False)
    return Place(path.name, inside=False)

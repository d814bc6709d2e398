"""What a survey finds: ``Found`` files, ``Bundle``s of them; and the ``Runs`` that come of reading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tocsin.run import Run


@dataclass(frozen=True)
class Found:
    """A log that a survey met.

    Attributes:
        path: The file.
        source: The reader that knows it.
        home: The folder of the run that it is part of, by the shape of the tree: its own, or the one around a
            ``checkpoint-500``, ``vis_data``, ``validation``.
    """

    path: Path
    source: str
    home: Path


@dataclass(frozen=True)
class Bundle:
    """Files to be looked at together, because they may tell of one run. Independent of all other bundles.

    Attributes:
        top: What was asked for; names of runs are relative to it.
        logs: The logs.
        settings: Files of configuration beside them.
    """

    top: Path
    logs: tuple[Found, ...]
    settings: tuple[Path, ...] = ()

    @property
    def path(self) -> Path:
        """The folder, or the one file, that it is about."""
        return self.logs[0].path if len(self.logs) == 1 else min((log.home for log in self.logs), key=_length)


def _length(path: Path) -> int:
    return len(path.parts)


class Runs(list[Run]):
    """Runs, and in ``unread`` what could not be read and belongs to none of them, a sentence each."""

    def __init__(self, runs: Iterable[Run] = (), unread: Iterable[str] = ()) -> None:
        super().__init__(runs)
        self.unread: tuple[str, ...] = tuple(unread)

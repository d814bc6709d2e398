"""``Unit``: one run as the files of one format tell it, before the formats are put side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tocsin.readers.labels import shown, stem
from tocsin.readers.log import Log
from tocsin.run import Run


@dataclass(eq=False)
class Unit:
    """One run in one format.

    Attributes:
        log: What the files say.
        rank: The reader's rank: where two formats tell the same, the more particular one is believed.
        home: The folder of the run by the shape of the tree.
        files: The files that it was read from.
        place: Which run of its file it is, from 0.
        alone: Whether its file tells of no other run.
    """

    log: Log
    rank: int
    home: Path
    files: list[Path]
    place: int = 0
    alone: bool = True

    @cached_property
    def run(self) -> Run:
        """The run that this format alone tells."""
        return self.log.run()

    @property
    def folder(self) -> Path:
        """Where its (first) file stands."""
        return self.files[0].parent

    @property
    def source(self) -> str:
        return self.log.source

    @property
    def stems(self) -> set[str]:
        """The names by which files of one run are told in a folder; event files are all named alike."""
        return {stem(path) for path in self.files if "tfevents" not in path.name} if self.alone else set()

    @cached_property
    def size(self) -> int:
        """Points."""
        return sum(len(series) for series in self.run.series.values())

    def absorb(self, other: Unit, split: str = "", suffix: str = "") -> None:
        """Take over another unit of the same run; ``suffix`` is put behind its names."""
        self.log.absorb(other.log, split, (lambda name: f"{name}/{suffix}") if suffix else str)
        self._took(other)

    def configure(self, other: Unit) -> None:
        """Take over the settings of another unit of the same run, and nothing else."""
        self.log.config = {**other.log.config, **self.log.config}
        self._took(other)

    def _took(self, other: Unit) -> None:
        self.files += other.files
        for changed in ("run", "size"):
            self.__dict__.pop(changed, None)


def emptied(like: Unit, folder: Path) -> Unit:
    """A unit without points, to gather those of several folders."""
    return Unit(Log(like.source, folder), like.rank, folder, [])


def from_logs(logs: Iterable[Log], rank: int, home: Path, path: Path) -> list[Unit]:
    """The units of one file."""
    made = [Unit(log, rank, home, [path], place) for place, log in enumerate(logs)]
    for unit in made:
        unit.alone = len(made) == 1
        unit.log.unread = [f"{shown(path.name)}: {sentence}" for sentence in unit.log.unread]
    return made

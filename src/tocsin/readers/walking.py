"""Files below a folder that may be logs: bounded, each once, whatever links and odd entries there are."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tocsin.readers.detection import never_a_log
from tocsin.readers.labels import natural, shown

MOST_FOLDERS = 100_000
MOST_FILES = 2_000_000
MOST_DEPTH = 24
_MOST_SAID = 20  # sentences of one kind before the rest is only counted
_NOT_BELOW = re.compile(r"\.(?!hydra$).*|node_modules|__pycache__|(site|dist)-packages|.*\.(egg-info|mlpackage)")
_IN_OWNED = re.compile(r"rank\d+|checkpoints")


@dataclass
class Tree:
    """What stands below a folder.

    Attributes:
        files: Names of the regular files that may be logs, by folder; folders top-down.
        owned: Folders that the caller claimed whole.
        count: Regular files met, those passed over by their extension included.
        unread: What could not be looked at, a sentence each.
    """

    files: dict[Path, list[str]] = field(default_factory=dict)
    owned: list[Path] = field(default_factory=list)
    count: int = 0
    unread: list[str] = field(default_factory=list)


def walk(top: Path, owned: Callable[[Path], bool] = lambda _: False) -> Tree:
    """Look through ``top``, no more than ``MOST_DEPTH`` folders down; files are listed, none is opened.

    Links are followed once everything else was seen, so that a link to what stands in the tree (``latest-run``) adds
    nothing; a link to a folder around ``top`` is not followed. Hidden folders and those of installed packages are
    passed over; pipes, sockets and devices are never touched.

    Args:
        top: A folder.
        owned: Whether a folder is one that somebody else reads: it is listed, and only searched for more such.
    """
    walk = _Walk(owned)
    walk.run(top)
    return walk.tree


@dataclass
class _Step:
    """A folder to look into, with its real path, found so many folders down."""

    path: Path
    real: str
    depth: int
    inside: bool  # an owned folder


class _Walk:
    def __init__(self, owned: Callable[[Path], bool]) -> None:
        self.owned = owned
        self.tree = Tree()
        self.waiting: deque[_Step] = deque()
        self.links: list[tuple[_Step, str]] = []
        self.seen: set[str] = set()
        self.failures = 0

    def run(self, top: Path) -> None:
        real = os.path.realpath(top)
        self.waiting.append(_Step(top, real, 0, inside=False))
        self._drain()
        while self.links:
            links, self.links = self.links, []
            for step, name in links:
                self._follow(step, name, real)
            self._drain()
        if self.failures > _MOST_SAID:
            self.tree.unread.append(f"{self.failures - _MOST_SAID} more files and folders could not be looked at")

    def _drain(self) -> None:
        while self.waiting:
            step = self.waiting.popleft()
            if step.real in self.seen:
                continue
            if len(self.seen) >= MOST_FOLDERS or self.tree.count >= MOST_FILES:
                self._stop()
                return
            self.seen.add(step.real)
            self._look(step)

    def _stop(self) -> None:
        self.waiting.clear()
        self.links.clear()
        self.tree.unread.append(
            f"only the first {len(self.seen)} folders with {self.tree.count} files were looked at; name a narrower one"
        )

    def _look(self, step: _Step) -> None:
        if self.owned(step.path):
            self.tree.owned.append(step.path)
            step.inside = True
        links: list[str] = []
        folders: list[str] = []
        files: list[str] = []
        try:
            with os.scandir(step.path) as entries:
                for entry in entries:
                    self._sort(step, entry, links, folders, files)
        except OSError as error:
            self._fail(step.path, error)
        if "pyvenv.cfg" in files:  # an environment of installed packages
            return
        self.links += [(step, name) for name in links]
        for name in sorted(folders, key=natural):
            self._enter(step, name, f"{step.real.rstrip(os.sep)}{os.sep}{name}")
        self.tree.count += len(files)
        names = [name for name in files if not never_a_log(name)]
        if names and not step.inside:
            self.tree.files.setdefault(step.path, []).extend(names)

    def _sort(
        self, step: _Step, entry: os.DirEntry[str], links: list[str], folders: list[str], files: list[str]
    ) -> None:
        try:
            if entry.is_symlink():
                links.append(entry.name)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                files.append(entry.name)
        except OSError as error:
            self._fail(step.path / entry.name, error)

    def _enter(self, step: _Step, name: str, real: str) -> None:
        if _NOT_BELOW.fullmatch(name) or (step.inside and _IN_OWNED.fullmatch(name)) or step.depth >= MOST_DEPTH:
            return
        self.waiting.append(_Step(step.path / name, real, step.depth + 1, step.inside))

    def _follow(self, step: _Step, name: str, top: str) -> None:
        path = step.path / name
        try:
            real = path.resolve()
            if real.is_dir():
                if not Path(top).is_relative_to(real):
                    self._enter(step, name, str(real))
            elif real.is_file() and not {str(real), str(real.parent)} & self.seen:
                self.seen.add(str(real))
                self.tree.count += 1
                if not step.inside and not never_a_log(name):
                    self.tree.files.setdefault(step.path, []).append(name)
        except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
            self._fail(path, error)

    def _fail(self, path: Path, error: Exception) -> None:
        self.failures += 1
        if self.failures <= _MOST_SAID:
            reason = error.strerror if isinstance(error, OSError) else None
            self.tree.unread.append(f"{shown(path)}: cannot be looked at ({reason or error})")

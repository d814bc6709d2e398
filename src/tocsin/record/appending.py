"""Append whole lines to a file: ``os.write`` on an O_APPEND descriptor, with no buffer that a fork could copy."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from tocsin.record import layout

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Appender:
    """One JSONL file, opened at its first line. All methods raise OSError when the disk says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def write(self, lines: bytes) -> None:
        """Append whole lines."""
        if self._descriptor is None:
            torn = _ends_torn(self.path)
            self._descriptor = os.open(self.path, _FLAGS, 0o666)
            if torn:  # a killed attempt left half a line: close it, so that ours starts on its own
                _write_all(self._descriptor, b"\n")
        _write_all(self._descriptor, lines)

    def close(self) -> None:
        """Close the descriptor; closing is where some network file systems report a full disk."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


class Segments:
    """The numbered row files of one rank; a new one is begun past ``layout.SEGMENT_BYTES``."""

    def __init__(self, rank_folder: Path, first: int) -> None:
        self.folder = rank_folder
        self.number = first
        self._descriptor: int | None = None
        self._size = 0

    def write(self, lines: bytes) -> None:
        """Append whole lines to the current segment, or to a new one if they would make it too long."""
        if self._size and self._size + len(lines) > layout.SEGMENT_BYTES:
            self.close()
            self.number += 1
        if self._descriptor is None:
            self._descriptor, self._size = self._create(), 0
        _write_all(self._descriptor, lines)
        self._size += len(lines)

    def _create(self) -> int:
        while True:
            with contextlib.suppress(FileExistsError):
                return os.open(layout.segment_path(self.folder, self.number), _FLAGS | os.O_EXCL, 0o666)
            self.number += 1  # one writer a file: another process took this number

    def close(self) -> None:
        """Close the current segment."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


def _ends_torn(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if not size:
                return False
            file.seek(size - 1)
            return file.read(1) != b"\n"
    except FileNotFoundError:
        return False

"""``Reader``: what each file of ``readers/formats`` declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tocsin.readers.file import File
from tocsin.readers.log import Log


@dataclass(frozen=True)
class Reader:
    """How one format is recognised and read. Each module of ``readers/formats`` holds exactly one, as ``READER``.

    Attributes:
        source: Name of the format in reports (``hf-trainer``, ``tensorboard``, ``keras-csv``, ``console``, ...).
        rank: Readers are asked in ascending rank: 10 magic bytes, 20 formats with a particular structure, 30 formats
            told by their columns or keys, 50 generic tables and JSON lines, 90 console text.
        sniffs: Whether a file's head (never its name alone) is of this format. Cheap, never raises on odd bytes.
        read: The logs in the file, in order; several where one file holds several runs. Never raises anything but
            ``ReadError``; a torn or damaged file gives what stands before the damage and says so (``Log.miss``).
    """

    source: str
    rank: int
    sniffs: Callable[[File], bool]
    read: Callable[[File], Iterator[Log]]

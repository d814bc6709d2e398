"""``File``: a bounded, decoded view of one file; the only door through which readers touch the disk."""

from __future__ import annotations

import codecs
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from tocsin.readers.errors import ReadError
from tocsin.readers.values import json_value

HEAD = 64 * 1024
MOST_AT_ONCE = 256 * 2**20  # a file that has to be parsed as a whole (JSON)
MOST_STREAMED = 4 * 2**30  # a file that is read in pieces
LONGEST_LINE = 1_000_000
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class File:
    """One regular file.

    Attributes:
        path: Where it is.
        unread: Sentences on what of it was not read; readers hand them on to their logs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unread: list[str] = []

    @cached_property
    def size(self) -> int:
        """Bytes; 0 for what is no regular file (devices and pipes are never opened).

        Raises:
            ReadError: It cannot be looked at.
        """
        try:
            status = self.path.stat()
        except OSError as error:
            raise ReadError(f"{self.path}: cannot be read ({error.strerror or error})") from error
        return status.st_size if stat.S_ISREG(status.st_mode) else 0

    @cached_property
    def head(self) -> bytes:
        """The first 64 KiB.

        Raises:
            ReadError: It cannot be read.
        """
        return self._bytes(HEAD) if self.size else b""

    @cached_property
    def encoding(self) -> str:
        """Encoding by byte-order mark, else UTF-16 by its zero bytes, else UTF-8, GBK, Latin-1, the first that fits."""
        return encoding_of(self.head, whole=self.size <= HEAD)

    @cached_property
    def binary(self) -> bool:
        """Whether it cannot be text: zero bytes, or many control characters.

        Zeros before and after everything else are holes that a power cut or a file emptied under its writer left.
        """
        return looks_binary(self.head.strip(b"\0"), self.encoding)

    @cached_property
    def start(self) -> str:
        """The head as text, carriage returns kept; undecodable bytes become U+FFFD."""
        return self.head.decode(self.encoding, "replace").replace("\0", "")

    def content(self, most: int = MOST_AT_ONCE) -> bytes:
        """The whole file.

        Raises:
            ReadError: It is larger than ``most``, or cannot be read.
        """
        if self.size > most:
            raise ReadError(f"{self.path}: {self.size} bytes; tocsin reads a file of this format up to {most} bytes")
        return self._bytes(self.size)

    def text(self) -> str:
        """The whole file as text.

        Raises:
            ReadError: It is too large, or cannot be read.
        """
        return self.content().decode(self.encoding, "replace").strip("\0")

    def json(self) -> Any:
        """The whole file as JSON; bare NaN and infinities are taken, as trainers write them.

        Raises:
            ReadError: It is too large, torn or no JSON; says where.
        """
        try:
            return json_value(self.text())
        except RecursionError as error:
            raise ReadError(f"{self.path}: JSON nested too deeply to be a log") from error
        except ValueError as error:  # JSONDecodeError, and an integer of thousands of digits
            where = (
                f"at character {error.pos} of {len(error.doc)}"
                if isinstance(error, json.JSONDecodeError)
                else str(error)
            )
            raise ReadError(f"{self.path}: JSON torn or malformed {where}") from error

    def lines(self, most: int = MOST_STREAMED) -> Iterator[str]:
        """Its lines, decoded, without line ends, in bounded memory; carriage returns inside a line are kept.

        Raises:
            ReadError: It cannot be read.
        """
        if self.size > most:
            self.unread.append(f"only the first {most} of {self.size} bytes were read")
        with self._open() as stream:
            yield from self._split(stream, most)

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file as bytes, for formats that are read in pieces.

        Raises:
            ReadError: It is no regular file, or cannot be read (while it is open, too).
        """
        if not self.size:
            raise ReadError(f"{self.path}: empty, or no regular file")
        with self._open() as stream:
            yield stream

    def _split(self, stream: Any, most: int) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.encoding)("replace")
        rest, read, long, holes = "", 0, 0, 0
        while read < min(self.size, most) and (block := stream.read(min(1 << 20, most - read))):
            read += len(block)
            text = decoder.decode(block)
            if "\0" in text:
                holes += text.count("\0")
                text = text.replace("\0", "")
            *whole, rest = (rest + text).split("\n")
            yield from whole
            if len(rest) > LONGEST_LINE:
                long += 1
                yield rest
                rest = ""
        rest += decoder.decode(b"", final=True)
        if rest:
            yield rest
        if long:
            self.unread.append(f"lines of more than {LONGEST_LINE} characters were split")
        if holes:
            self.unread.append(f"{holes} zeros stand in the text, as a power cut leaves them: they were left out")

    def _bytes(self, most: int) -> bytes:
        with self._open() as stream:
            return stream.read(most)

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        """The file as it is now; what has become a pipe or a device since it was listed is not waited for."""
        try:
            with open(self.path, "rb", opener=_at_once) as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    raise ReadError(f"{self.path}: cannot be read (no regular file)")
                yield stream
        except OSError as error:
            raise ReadError(f"{self.path}: cannot be read ({error.strerror or error})") from error


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def encoding_of(head: bytes, *, whole: bool) -> str:
    """The encoding of a text that starts with ``head``; Latin-1, which takes any bytes, when nothing else does."""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if len(head) >= 4:  # ASCII in UTF-16 has a zero in every other byte
        even, odd = head[0::2].count(0) / len(head[0::2]), head[1::2].count(0) / len(head[1::2])
        if max(even, odd) > 0.4 and min(even, odd) < 0.05:
            return "utf-16-le" if odd > even else "utf-16-be"
    for name in ("utf-8", "gbk"):
        try:
            codecs.getincrementaldecoder(name)("strict").decode(head, final=whole)
        except UnicodeDecodeError:
            continue
        return "gb18030" if name == "gbk" else name
    return "latin-1"


def looks_binary(head: bytes, encoding: str) -> bool:
    """Whether these bytes are no text in this encoding: a zero, or control characters in 5 % of them."""
    if encoding.startswith(("utf-16", "utf-32")):
        return False
    controls = sum(head.count(byte) for byte in range(32) if byte not in (7, 8, 9, 10, 12, 13, 27))
    return b"\0" in head or controls > 0.05 * len(head)

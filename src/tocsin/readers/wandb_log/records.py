"""The LevelDB log format in W&B's dialect: blocks of 32 KiB, chunks with a CRC-32 over type and data."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

MAGIC = b":W&B"
IDENT = struct.pack("<4sHB", MAGIC, 0xBEE1, 0)
BLOCK = 32 * 1024
LONGEST_RECORD = 64 * 2**20
_CHUNK = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


class Records:
    """The records of a stream, in order; what was damaged is passed over and said.

    Attributes:
        torn: The byte at which an incomplete record stands at the end, None where the end is clean.
    """

    def __init__(self, stream: BinaryIO, size: int, say: Callable[[str], None]) -> None:
        self.stream, self.size, self.say = stream, size, say
        self.torn: int | None = None
        self._parts: list[bytes] | None = None  # of a record that is not whole yet
        self._began = self._length = self._damaged = 0

    def __iter__(self) -> Iterator[bytes]:
        at = len(IDENT)
        self.stream.seek(at)
        while block := self.stream.read(max(min(BLOCK - at % BLOCK, self.size - at), 0)):
            yield from self._block(block, at)
            at += len(block)
        if self._parts is not None and self.torn is None:
            self.torn = self._began
        if self.torn is not None:
            self.say(f"truncated: the record at byte {self.torn} of {self.size} is not complete")

    def _block(self, block: bytes, offset: int) -> Iterator[bytes]:
        at, end = 0, len(block)
        while at + _CHUNK.size <= end:
            crc, length, kind = _CHUNK.unpack_from(block, at)
            if not kind and not length:  # preallocated
                return
            data = block[at + _CHUNK.size : at + _CHUNK.size + length]
            if len(data) < length and offset + end == self.size:
                self._cut(offset + at)
                return
            if len(data) < length or zlib.crc32(data, zlib.crc32(bytes([kind]))) != crc:
                self._damage(offset + at)
                return
            whole = self._add(kind, data, offset + at)
            if whole is not None:
                yield whole
            at += _CHUNK.size + length
        if at < end and offset + end == self.size and any(block[at:]):
            self._cut(offset + at)

    def _add(self, kind: int, data: bytes, at: int) -> bytes | None:
        """The record that this chunk completes."""
        if kind == _FULL:
            self._drop()
            return data
        if kind == _FIRST:
            self._drop()
            self._parts, self._began, self._length = [], at, 0
        if self._parts is None or kind > _LAST:
            return None
        self._length += len(data)
        if self._length <= LONGEST_RECORD:
            self._parts.append(data)
        if kind != _LAST:
            return None
        parts, self._parts = self._parts, None
        if self._length > LONGEST_RECORD:
            self.say(f"a record of {self._length} bytes at byte {self._began} was passed over")
            return None
        return b"".join(parts)

    def _drop(self) -> None:
        if self._parts is not None:
            self._parts = None
            self._damage(self._began)

    def _cut(self, at: int) -> None:
        self.torn = at if self._parts is None else self._began
        self._parts = None

    def _damage(self, at: int) -> None:
        self._parts = None
        self._damaged += 1
        if self._damaged <= 3:
            self.say(f"damaged at byte {at} of {self.size}: the rest of its 32 KiB block was passed over")
        elif self._damaged == 4:
            self.say("more than 3 blocks are damaged")

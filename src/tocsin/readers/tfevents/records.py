"""TFRecord framing: length, checksum of the length, payload, checksum of the payload; read in bounded pieces."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from tocsin.readers.tfevents.checksums import Bytes, masked_crc32c, masked_crc32c_rows
from tocsin.run import Ints

HEADER = 12
FOOTER = 4
PIECE = 4 * 2**20
LONGEST_RECORD = 64 * 2**20  # graphs and images; a record of scalars has some hundred bytes
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")


@dataclass(frozen=True)
class Piece:
    """Whole records of a file, side by side.

    Attributes:
        data: The bytes in which they stand.
        start, length: Of each payload in ``data``, shape (n,); its checksum follows it.
        offset: Where ``data`` begins in the file.
    """

    data: bytes
    start: Ints
    length: Ints
    offset: int

    @property
    def raw(self) -> Bytes:
        """``data`` as an array."""
        return np.frombuffer(self.data, np.uint8)


def header_fits(head: bytes) -> bool:
    """Whether ``head`` starts with a record's length and the checksum that belongs to it."""
    return len(head) >= HEADER and _CRC.unpack_from(head, 8)[0] == masked_crc32c(head[:8])


def pieces(stream: BinaryIO, size: int, say: Callable[[str], None]) -> Iterator[Piece]:
    """The records of a stream of ``size`` bytes, up to the first damaged length; ``say`` is told what was not read."""
    offset, rest = 0, b""
    while block := stream.read(min(PIECE, size - offset - len(rest))):
        data = rest + block
        piece, stop = _cut(data, offset)
        sound = _sound(piece)
        if sound.start.size:
            yield sound
        if sound.start.size < piece.start.size:
            return _damaged(offset + int(piece.start[sound.start.size]) - HEADER, size, say)
        offset, rest = offset + stop, data[stop:]
        if len(rest) >= HEADER:
            length = _LENGTH.unpack_from(rest)[0]
            if not header_fits(rest):
                return _damaged(offset, size, say)
            if length > size - offset - HEADER - FOOTER:
                break
            if length > LONGEST_RECORD:
                say(f"a record of {length} bytes at byte {offset} was passed over")
                offset, rest = offset + HEADER + length + FOOTER, b""
                stream.seek(offset)
            elif length > PIECE:
                rest += stream.read(HEADER + length + FOOTER - len(rest))
    if offset < size:
        say(f"truncated: the record at byte {offset} of {size} is not complete")
    return None


def _cut(data: bytes, offset: int) -> tuple[Piece, int]:
    """The records that stand whole in ``data``, taking each length at its word, and where they end."""
    starts, lengths, at, end = [], [], 0, len(data)
    while at + HEADER <= end:
        length = _LENGTH.unpack_from(data, at)[0]
        stop = at + HEADER + length + FOOTER
        if stop > end:
            break
        starts.append(at + HEADER)
        lengths.append(length)
        at = stop
    return Piece(data, np.array(starts, np.int64), np.array(lengths, np.int64), offset), at


def _sound(piece: Piece) -> Piece:
    """The records before the first whose length does not fit its checksum."""
    if not piece.start.size:
        return piece
    heads = np.lib.stride_tricks.sliding_window_view(piece.raw, HEADER)[piece.start - HEADER]
    said = np.ascontiguousarray(heads[:, 8:]).view("<u4")[:, 0]
    wrong = np.flatnonzero(masked_crc32c_rows(heads[:, :8]) != said)
    stop = int(wrong[0]) if wrong.size else piece.start.size
    return Piece(piece.data, piece.start[:stop], piece.length[:stop], piece.offset)


def _damaged(at: int, size: int, say: Callable[[str], None]) -> None:
    say(f"damaged at byte {at} of {size}: the length of a record does not fit its checksum; nothing after it was read")

"""The protobuf wire format: the fields of one message, where they stand, without any schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WHOLE = (1 << 64) - 1


class WireError(ValueError):
    """The bytes are no protobuf message."""


class Field(NamedTuple):
    """One field: its number, wire type, whole number (varints only), and the bytes ``start:stop`` of its value."""

    number: int
    wire: int
    whole: int
    start: int
    stop: int


def fields(data: bytes, start: int = 0, stop: int | None = None) -> Iterator[Field]:
    """The fields of the message ``data[start:stop]``, in order; nothing is copied.

    Raises:
        WireError: The message is torn, or has a group (which no format read here uses).
    """
    at, end = start, len(data) if stop is None else stop
    while at < end:
        key, at = _varint(data, at, end)
        number, wire = key >> 3, key & 7
        begin, whole = at, 0
        if wire == BYTES:
            length, begin = _varint(data, at, end)
            at = begin + length
        elif wire == VARINT:
            whole, at = _varint(data, at, end)
        elif wire == FIXED32:
            at += 4
        elif wire == FIXED64:
            at += 8
        else:
            raise WireError(f"wire type {wire}")
        if at > end or not number:
            raise WireError("torn field")
        yield Field(number, wire, whole, begin, at)


def varints(data: bytes, start: int, stop: int) -> Iterator[int]:
    """The varints packed into ``data[start:stop]``.

    Raises:
        WireError: The last one is torn.
    """
    while start < stop:
        value, start = _varint(data, start, stop)
        yield value


def signed(whole: int) -> int:
    """A varint as the signed 64-bit number that it stands for (int32 and int64 fields)."""
    return whole - (1 << 64) if whole >> 63 else whole


def text(data: bytes, field: Field) -> str:
    """A field's bytes as text; what is no UTF-8 becomes U+FFFD."""
    return data[field.start : field.stop].decode("utf-8", "replace")


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _WHOLE, at
        shift += 7
    raise WireError("torn or endless varint")

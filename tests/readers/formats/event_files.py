"""TensorBoard event files byte by byte, written without any library: the other half of what the reader does."""

from __future__ import annotations

import struct
from collections.abc import Iterable

POLYNOMIAL = 0x82F63B78


def crc32c(data: bytes) -> int:
    """Bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(payload: bytes) -> bytes:
    length = struct.pack("<Q", len(payload))
    return length + masked(length) + payload + masked(payload)


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def key(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def part(number: int, content: bytes) -> bytes:
    return key(number, 2) + varint(len(content)) + content


def simple(tag: str, value: float) -> bytes:
    return part(1, part(1, tag.encode()) + key(2, 5) + struct.pack("<f", value))


def tensor(tag: str, proto: bytes, plugin: str = "scalars") -> bytes:
    metadata = part(9, part(1, part(1, plugin.encode()))) if plugin else b""
    return part(1, part(1, tag.encode()) + part(8, proto) + metadata)


def double(tag: str, value: float) -> bytes:
    return tensor(tag, key(1, 0) + varint(2) + part(2, b"") + part(4, struct.pack("<d", value)))


def whole(tag: str, value: int) -> bytes:
    """An int64 tensor of a typed value, which no column can take."""
    return tensor(tag, key(1, 0) + varint(9) + key(10, 0) + varint(value))


def image(tag: str, content: bytes) -> bytes:
    return part(1, part(1, tag.encode()) + part(4, part(4, content)))


def event(wall: float, step: int, values: bytes) -> bytes:
    head = key(1, 1) + struct.pack("<d", wall) if wall else b""
    return head + (key(2, 0) + varint(step) if step else b"") + part(5, values)


VERSION = record(key(1, 1) + struct.pack("<d", 1.7e9) + part(3, b"brain.Event:2"))


def written(events: Iterable[bytes]) -> bytes:
    return VERSION + b"".join(map(record, events))

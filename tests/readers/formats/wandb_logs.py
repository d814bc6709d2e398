"""W&B logs byte by byte, written without any library."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable
from typing import Any

from readers.formats.event_files import key, part, varint

HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
BLOCK = 32768


def framed(records: Iterable[bytes], block: int = BLOCK) -> bytes:
    out = bytearray(HEADER)
    for record in records:
        first = True
        while first or record:
            left = block - len(out) % block
            if left < 7:
                out += bytes(left)
                continue
            data, record = record[: left - 7], record[left - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not record]
            out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + data), len(data), kind) + data
            first = False
    return bytes(out)


def item(name: str, value: Any, *, nested: bool = False) -> bytes:
    names = b"".join(part(2, k.encode()) for k in name.split("/")) if nested else part(1, name.encode())
    return part(1, names + part(16, json.dumps(value).encode()))


def typed(name: str, number: int, wire: int, raw: bytes) -> bytes:
    return part(1, part(2, name.encode()) + key(number, wire) + raw)


def history(step: int, *items: bytes) -> bytes:
    return part(2, b"".join(items) + part(2, key(1, 0) + varint(step) if step else b""))


def exit_record(code: int) -> bytes:
    return part(18, key(1, 0) + varint(code) if code else b"")


def output(line: str) -> bytes:
    return part(13, part(3, line.encode()))


def config(**values: Any) -> bytes:
    return part(17, part(8, b"name") + part(4, b"".join(item(k, v) for k, v in values.items())))

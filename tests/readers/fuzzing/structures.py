"""Damage inside of a structure that stays sound: other values in JSON, records whose checksums are made anew, SQL.

Without it, checksums and parsers keep nearly all damage away from what stands behind them.
"""

from __future__ import annotations

import copy
import json
import random
import sqlite3
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from readers.fuzzing.damage import BYTES, damaged
from tocsin.readers.tfevents.checksums import masked_crc32c

_LEAVES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**18, 10**30, -(10**30), 1e308, float("nan"), float("inf"), "", "x", "NaN",
    "1e3", " 12 ", "9" * 5000, "\x1b[31m", "a\nb", "\ud800", [], {}, [[]], [None], {"": None}, {"a": {"a": {"a": 1}}},
    [1, "x"], {"_type": "x"}, {"value": 1}, "x" * 50_000, [0] * 3000,
)  # fmt: skip
_CELLS: tuple[Any, ...] = (
    None, "", "x", -1, 2**62, -(2**63), 1e308, 1.5, b"\xff\xfe", b"{", "nan", '{"a": 1e999}', '{"a": {"b": [1]}}',
    "[" * 4000, "9" * 5000, "\0", "\x1b[2J", b'{"loss": 1}', "zeroblob",
)  # fmt: skip


def json_damaged(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Some values of a JSON text, or of JSON lines, become others; keys go, come twice, or change places."""
    try:
        return _dumped(_changed(json.loads(content), rng))
    except (ValueError, RecursionError):
        lines = content.split(b"\n")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(lines))
        try:
            lines[at] = _dumped(_changed(json.loads(lines[at]), rng))
        except (ValueError, RecursionError):
            continue
    return b"\n".join(lines)


def _dumped(data: Any) -> bytes:
    return json.dumps(data).encode()


def _changed(data: Any, rng: random.Random) -> Any:
    top = [data]
    for _ in range(rng.randint(1, 6)):
        places = list(_places(top))
        holder, key = rng.choice(places)
        kind = rng.randrange(6)
        if kind == 0 and isinstance(holder, dict):
            holder[rng.choice(["", "step", "epoch", "loss", "x" * 300, "\x1b[1m", str(key) + " "])] = holder[key]
        elif kind == 1 and len(holder) > 1:
            del holder[key]
        elif kind == 2:
            other, place = rng.choice(places)
            if other is not top and holder is not top and key in _keys(holder):
                holder[key] = copy.deepcopy(other[place]) if place in _keys(other) else None
        elif kind == 3 and isinstance(holder, list):
            holder.extend(copy.deepcopy(holder[:20]))
        else:
            holder[key] = copy.deepcopy(rng.choice(_LEAVES))
    return top[0]


def _keys(holder: Any) -> Any:
    return holder.keys() if isinstance(holder, dict) else range(len(holder))


def _places(holder: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every value."""
    for key in list(_keys(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list) and depth < 30:
            yield from _places(holder[key], depth + 1)


def tfrecords_damaged(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Payloads of an event file are damaged, and their checksums made anew."""
    payloads, at = [], 0
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 8], "little")
        payloads.append(content[at + 12 : at + 12 + length])
        at += 16 + length
    _some_damaged(payloads, rng, lambda payload: damaged(payload, other[:500], rng, BYTES)[:5000])
    return b"".join(_sealed(payload, rng) for payload in payloads)


def _sealed(payload: bytes, rng: random.Random) -> bytes:
    said = len(payload) if rng.random() < 0.999 else rng.choice([0, 2**31, 2**40, 2**63, 2**64 - 1])
    head = struct.pack("<Q", said)
    return head + struct.pack("<I", masked_crc32c(head)) + payload + struct.pack("<I", masked_crc32c(payload))


def wandb_damaged(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Records of W&B's log are damaged and laid out anew."""
    head, at, records = content[:7], 7, []
    while at + 7 <= len(content):
        _, length, kind = struct.unpack_from("<IHB", content, at)
        if kind == 1:
            records.append(content[at + 7 : at + 7 + length])
        at += 7 + length
    _some_damaged(records, rng, lambda record: damaged(record, other[:500], rng, BYTES)[:5000])
    made = bytearray(head)
    for record in records:
        left = 32_768 - len(made) % 32_768
        if left < 7 + len(record):  # records across blocks are left to damage of bytes
            made += bytes(left)
        kind = 1 if rng.random() < 0.99 else rng.randrange(256)
        crc = zlib.crc32(record, zlib.crc32(bytes([kind])))
        made += struct.pack("<IHB", crc, len(record), kind) + record
    return bytes(made)


def _some_damaged(parts: list[bytes], rng: random.Random, damage: Callable[[bytes], bytes]) -> None:
    for _ in range(rng.randint(1, 12) if parts else 0):
        at = rng.randrange(len(parts))
        kind = rng.randrange(8)
        if kind == 0:
            del parts[at : at + 1]
            if not parts:
                return
        elif kind == 1:
            parts.insert(at, rng.choice(parts))
        else:
            parts[at] = damage(parts[at])


def sqlite_damaged(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Cells, columns and tables of a database become others; the file stays sound."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.db")
        path.write_bytes(content)
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA foreign_keys = OFF")
            for _ in range(rng.randint(1, 5)):
                _change_database(connection, rng)
        except (sqlite3.Error, UnicodeError):  # damage before this one left no database
            return content
        finally:
            connection.close()
        return path.read_bytes()


def _change_database(connection: sqlite3.Connection, rng: random.Random) -> None:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    used = [name for name in ("metrics", "runs", "params", "tags", "configs", "alerts") if name in tables] or tables
    table = rng.choice(used)
    columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
    column, kind = rng.choice(columns), rng.randrange(10)
    if kind == 0:
        connection.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO "{column}_"')
    elif kind == 1:
        connection.execute(f'ALTER TABLE "{table}" RENAME TO "{table}_"')
        connection.execute(f'CREATE VIEW "{table}" AS SELECT * FROM "{table}_"')  # noqa: S608
    elif kind == 2:
        connection.execute(f'DELETE FROM "{table}" WHERE random() % 2')  # noqa: S608
    else:
        cell = rng.choice(_CELLS)
        value = bytes(100_000) if cell == "zeroblob" else cell
        some = rng.choice(["1", "rowid % 7 = 0", "rowid = 1"])
        connection.execute(f'UPDATE OR REPLACE "{table}" SET "{column}" = ? WHERE {some}', (value,))  # noqa: S608

"""W&B's protobuf messages, as far as they tell of training; people and machines named in them are not read."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

from tocsin.readers.protobuf import BYTES, FIXED64, VARINT, Field, fields, signed, text

HISTORY, SUMMARY, OUTPUT, CONFIG, OUTPUT_RAW, RUN, EXIT, ENVIRONMENT = 2, 3, 4, 5, 13, 17, 18, 26
KNOWN = frozenset([*range(1, 14), *range(16, 28), 100, 200])
LONGEST_VALUE = 2**20
_MOST_LEAVES = 1_000
_DEEPEST = 8
_NAMED = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
# OS, Python, CUDA, GPU; W&B's other fields of the environment are about the person and the machine.
_SURROUNDINGS = {1: "platform", 2: "python", 18: "gpu", 25: "cuda"}

Item = tuple[tuple[str, ...], Any]


def items(data: bytes, record: Field, number: int = 1) -> Iterator[Item]:
    """(path of keys, value) of the items in field ``number`` of a record: of history, summary, configuration."""
    for field in fields(data, record.start, record.stop):
        if field.number == number and field.wire == BYTES:
            yield _item(data, field)


def _item(data: bytes, item: Field) -> Item:
    keys: list[str] = []
    value: Any = None
    for field in fields(data, item.start, item.stop):
        if field.number <= 2 and field.wire == BYTES:
            keys.append(text(data, field))
        else:
            value = _typed(data, field, value)
    return tuple(key for key in keys if key), value


def _typed(data: bytes, field: Field, before: Any) -> Any:
    """The value in a field of an item: ``value_json``, or the typed ones of newer files; None where it is none."""
    if field.number in (8, 16) and field.wire == BYTES:
        return of_json(data[field.start : field.stop])
    if field.number == 4 and field.wire == VARINT:
        return bool(field.whole)
    if field.number == 5 and field.wire == VARINT:  # zigzag
        return (field.whole >> 1) ^ -(field.whole & 1)
    if field.number == 6 and field.wire == FIXED64:
        return float(struct.unpack_from("<d", data, field.start)[0])
    if field.number == 7 and field.wire == BYTES:
        return text(data, field)
    return before


def of_json(raw: bytes) -> Any:
    """The value that a JSON text states; None for one that is malformed, nested too deeply or very long."""
    if len(raw) > LONGEST_VALUE:
        return None
    try:
        return float(raw) if raw[:1] in b"-0123456789" and b"." in raw else json.loads(raw)
    except (ValueError, RecursionError):
        return None


def numbers(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, float]]:
    """(name, number) of a history value: itself, or the numbers of a nested one, named ``name/key``.

    Media, tables and histograms (a ``_type`` says what they are), texts, lists and booleans hold none.
    """
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        try:
            yield name, float(value)
        except OverflowError:
            yield name, float("inf") if value > 0 else float("-inf")
    elif isinstance(value, str) and value in _NAMED:
        yield name, _NAMED[value]
    elif isinstance(value, dict) and "_type" not in value and depth < _DEEPEST and len(value) <= _MOST_LEAVES:
        for key, inner in value.items():
            yield from numbers(f"{name}/{key}" if name else str(key), inner, depth + 1)


def history_step(data: bytes, record: Field) -> int | None:
    """``HistoryStep.num`` of a history record; None where it has none."""
    for field in fields(data, record.start, record.stop):
        if field.number == 2 and field.wire == BYTES:
            return next((signed(f.whole) for f in fields(data, field.start, field.stop) if f.number == 1), 0)
    return None


def exit_code(data: bytes, record: Field) -> int:
    """The exit code of a run; protobuf leaves out a 0."""
    codes = [signed(f.whole) for f in fields(data, record.start, record.stop) if f.number == 1 and f.wire == VARINT]
    return codes[-1] if codes else 0


def console_text(data: bytes, record: Field) -> str:
    """The console text of an output record."""
    parts = [text(data, f) for f in fields(data, record.start, record.stop) if f.number == 3 and f.wire == BYTES]
    return "".join(parts)


def surroundings(data: bytes, record: Field) -> dict[str, Any]:
    """Versions, device and command of an environment record."""
    found: dict[str, Any] = {}
    arguments: list[str] = []
    program = code_path = ""
    for field in fields(data, record.start, record.stop):
        if field.wire == BYTES and field.number in _SURROUNDINGS:
            found[_SURROUNDINGS[field.number]] = text(data, field)[:200]
        elif field.number == 5 and field.wire == BYTES and len(arguments) < _MOST_LEAVES:
            arguments.append(text(data, field)[:2000])
        elif field.number == 6 and field.wire == BYTES:
            program = text(data, field)
        elif field.number == 7 and field.wire == BYTES:
            code_path = text(data, field)
    if said := command(program, code_path, arguments):
        found["command"] = said
    return found


def command(program: str, code_path: str, arguments: list[str]) -> str:
    """The command line, without the folders in which the program lies."""
    name = code_path or program.replace("\\", "/").rpartition("/")[2]
    quoted = (f"'{said}'" if not said or " " in said else said for said in arguments)
    return " ".join(["python", name[:500], *quoted]) if name else ""

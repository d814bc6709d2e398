"""The configuration as event files hold it: hyper-parameters of the plugin, texts that are settings."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable
from typing import Any

from tocsin.readers.protobuf import BYTES, FIXED64, VARINT, Field, WireError, fields, text
from tocsin.readers.tfevents.events import Note

_SETTINGS = re.compile(
    r"(?:^|[/_ .-])(?:hyper[-_ ]?param(?:eter)?s?|h?params|parameters|conf|config(?:s|uration)?|args|arguments|opts?"
    r"|options|settings|flags|model_config)(?:/text_summary)?(?:/\d+)?$",
    re.IGNORECASE,
)
_ROW = re.compile(r"^\s*\|([^|]{1,200})\|([^|]{0,2000})\|?\s*$")
_RULE = re.compile(r"^[\s:|-]+$")
_DEEPEST = 8


def settings_of(notes: Iterable[Note]) -> tuple[dict[str, Any], bool]:
    """The settings that notes tell, and whether their types are kept (a table in Markdown has texts only)."""
    found: dict[str, Any] = {}
    typed = True
    for note in notes:
        if note.plugin == "hparams":
            found.update(_hparams(note.content))
        elif _SETTINGS.search(note.tag):
            said, whole = _of_text(note.content.decode("utf-8", "replace"))
            typed = typed and whole
            for key, value in said.items():
                found.setdefault(key, value)
    return found, typed


def _of_text(said: str) -> tuple[dict[str, Any], bool]:
    body = re.sub(r"^\s*(?:```\w*|<pre>)|(?:```|</pre>)\s*$", "", said.strip())
    try:
        read = json.loads(body)
        if isinstance(read, dict):
            return {str(key): value for key, value in read.items()}, True
    except (ValueError, RecursionError):
        pass
    rows = [match for line in body.splitlines()[:2000] if not _RULE.match(line) and (match := _ROW.match(line))]
    return {row[1].strip(): row[2].strip() for row in rows[1:]}, False


def _hparams(content: bytes) -> dict[str, Any]:
    """The hyper-parameters of a ``session_start_info``; none for other payloads of the plugin."""
    found: dict[str, Any] = {}
    try:
        for session in fields(content):
            if session.number == 3 and session.wire == BYTES:
                for entry in fields(content, session.start, session.stop):
                    if entry.number == 1 and entry.wire == BYTES:
                        key, value = _entry(content, entry, 0)
                        found[key] = value
    except WireError:
        return found
    return found


def _entry(data: bytes, entry: Field, depth: int) -> tuple[str, Any]:
    key, value = "", None
    for part in fields(data, entry.start, entry.stop):
        if part.number == 1 and part.wire == BYTES:
            key = text(data, part)
        elif part.number == 2 and part.wire == BYTES:
            value = _value(data, part, depth)
    return key, value


def _value(data: bytes, value: Field, depth: int) -> Any:
    """A ``google.protobuf.Value``; whole numbers, which it keeps as floats, become integers again."""
    if depth > _DEEPEST:
        return None
    for part in fields(data, value.start, value.stop):
        if part.number == 2 and part.wire == FIXED64:
            number = float(struct.unpack_from("<d", data, part.start)[0])
            return int(number) if number.is_integer() and abs(number) < 2**53 else number
        if part.number == 3 and part.wire == BYTES:
            return text(data, part)
        if part.number == 4 and part.wire == VARINT:
            return bool(part.whole)
        if part.number == 5 and part.wire == BYTES:
            inner = fields(data, part.start, part.stop)
            return dict(_entry(data, entry, depth + 1) for entry in inner if entry.wire == BYTES)
        if part.number == 6 and part.wire == BYTES:
            inner = fields(data, part.start, part.stop)
            return [_value(data, item, depth + 1) for item in inner if item.wire == BYTES]
    return None

"""Nested configuration and environment as rows of a table, bounded in number and depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST_ROWS = 1000
MOST_DEPTH = 12
MOST_ITEMS = 50
TYPES = {"str": "text", "bool": "boolean", "int": "integer", "float": "float", "NoneType": "null"}


@dataclass(frozen=True)
class Setting:
    """One row: a group (``kind`` "") or a leaf with its value as text and the kind of value that it is."""

    depth: int
    key: str
    dotted: str
    value: str = ""
    kind: str = ""


def settings(nested: Mapping[str, Any], most: int = MOST_ROWS) -> tuple[list[Setting], bool]:
    """Rows of a nested mapping in its own order, and whether all of it is there."""
    rows: list[Setting] = []
    for row in _walk(nested, 0, ""):
        if len(rows) == most:
            return rows, False
        rows.append(row)
    return rows, True


def _walk(nested: Mapping[str, Any], depth: int, above: str) -> Iterator[Setting]:
    for key, value in nested.items():
        dotted = f"{above}{key}"
        if not isinstance(value, Mapping) or not value:
            yield Setting(depth, str(key), dotted, text(value), kind(value))
        elif depth >= MOST_DEPTH:
            yield Setting(depth, str(key), dotted, f"{len(value)} keys, too deep to show", "group")
        else:
            yield Setting(depth, str(key), dotted)
            yield from _walk(value, depth + 1, dotted + ".")


def kind(value: Any) -> str:
    """The type of a value as a reader of configurations names it."""
    if isinstance(value, list | tuple):
        return f"list of {len(value)}"
    return "empty group" if isinstance(value, Mapping) else TYPES.get(type(value).__name__, type(value).__name__)


def text(value: Any, depth: int = 0) -> str:
    """A leaf as text: strings in quotes, so that "5e-5" is seen to be one."""
    if isinstance(value, list | tuple):
        items = [text(v, depth + 1) for v in value[:MOST_ITEMS]] if depth < MOST_DEPTH else ["..."]
        return "[" + ", ".join([*items, *(["..."] if len(value) > MOST_ITEMS else [])]) + "]"
    if isinstance(value, Mapping):
        return "{" + ("" if not value else f"{len(value)} keys") + "}"
    return f'"{value}"' if isinstance(value, str) else str(value)

"""Configurations that a log shows: ``Namespace(...)``, printed dicts, blocks of ``key: value`` lines."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

_PAIR = re.compile(
    r"^\s*[-*|•]{0,2}\s*[\"']?(?P<key>[A-Za-z_][\w.\-/]*(?: [\w.\-]+){0,3})[\"']?\s*(?:\.{2,}\s*|\s*[:="
    r"|]\s*)(?P<value>\S.{0,300}?)[\s|,]*$"
)
MOST_KEYS = 2000
_LONGEST = 20_000


def printed(message: str) -> dict[str, Any]:
    """The settings in a line that prints a ``Namespace``, a dict or a JSON object; typed, since they are repr'd."""
    text = message[:_LONGEST]
    start = re.search(r"[\w.]*(?:Namespace|Arguments|Config)\(", text)
    if start is not None:
        return _namespace(text[start.end() :])
    brace = text.find("{")
    return _mapping(text[brace : text.rfind("}") + 1]) if brace >= 0 else {}


def _namespace(text: str) -> dict[str, Any]:
    """``key=repr, key=repr)``: literals are parsed, anything else stays text."""
    found: dict[str, Any] = {}
    for part in _parted(text):
        key, equals, said = part.partition("=")
        if equals and key.strip().isidentifier() and len(found) < MOST_KEYS:
            found[key.strip()] = literal(said.strip())
    return found


def _parted(text: str) -> list[str]:
    """Split at the commas outside brackets and quotes, up to the closing parenthesis."""
    parts: list[str] = []
    depth, quote, start = 0, "", 0
    for at, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote and text[at - 1] != "\\" else quote
        elif sign in "'\"":
            quote = sign
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
            if depth < 0:
                return [*parts, text[start:at]]
        elif sign == "," and not depth:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def literal(said: str) -> Any:
    """A Python literal; the text itself where it is none."""
    try:
        value = ast.literal_eval(said)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return said
    return value if isinstance(value, str | int | float | bool | list | dict | type(None)) else said


def _mapping(text: str) -> dict[str, Any]:
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
        if isinstance(value, dict):
            return {str(key): inner for key, inner in list(value.items())[:MOST_KEYS]}
    return {}


def setting(line: str) -> tuple[str, str] | None:
    """``key: value``, ``key = value`` or ``| key | value |`` as text; None where the line is neither."""
    found = _PAIR.match(line)
    return (found.group("key").strip(), found.group("value").strip("'\" ")) if found else None

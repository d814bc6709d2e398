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
_SEVERAL = re.compile(r"\s*[A-Za-z_][\w.]*[:=][^\s:=]+(?:\s+[A-Za-z_][\w.]*[:=][^\s:=]+)+\s*")
_WORDS = re.compile(r"[A-Za-z]{2,}")
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_LISTED = re.compile(r"[\w/ ]{2,40}: ?(?=\w+=[^,=]*, )")
_FURTHER = re.compile(r"[,|] ?\w+: | - ")
_CONTINUED = re.compile(
    r"\s*['\"\w.\-]+\s?[=:]\s?\S.{0,2000}[,(\[{)\]}]\s*$|\s+['\"\w.\-]+\s?[=:]\s?\S+\s*$|[\s\])},\[({]+$|\s*\S+,\s*$"
)
_LONGEST_VALUE = 120
_MOST_WORDS = 6
MOST_KEYS = 2000
_LONGEST = 20_000


def printed(message: str) -> dict[str, Any]:
    """The settings in a line that prints a ``Namespace``, a dict or a JSON object; typed, since they are repr'd."""
    text = message[:_LONGEST]
    start = re.search(r"[\w.]*(?:Namespace|Arguments|Config)\(", text)
    if start is not None:
        return _namespace(text[start.end() :])
    listed = _LISTED.match(text)
    if listed is not None:
        return _namespace(text[listed.end() :] + ")")
    brace = text.find("{")
    return _mapping(text[brace : text.rfind("}") + 1]) if brace >= 0 else {}


def open_brackets(text: str) -> int:
    """How many brackets are still open behind a text; those inside quotes do not count."""
    bare = _QUOTED.sub("", text)
    return sum(map(bare.count, "([{")) - sum(map(bare.count, ")]}"))


def continues(line: str) -> bool:
    """Whether a line may be a further one of a configuration that is printed over several."""
    return _CONTINUED.match(line) is not None


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


def settings(line: str) -> list[tuple[str, str]]:
    """``key: value``, ``key = value``, ``| key | value |`` or several ``key:value``, as text; none of other lines."""
    several = _SEVERAL.fullmatch(line)
    if several is not None:
        return [(key, value) for key, _, value in map(_keyed, line.split())]
    found = _PAIR.match(line)
    if found is None:
        return []
    key, value = found.group("key").strip(), found.group("value").strip("'\" ")
    told = len(value) > _LONGEST_VALUE or len(_WORDS.findall(value)) > _MOST_WORDS or _FURTHER.search(value)
    return [] if told else [(key, value)]


def _keyed(part: str) -> tuple[str, str, str]:
    return part.partition(":" if ":" in part.partition("=")[0] else "=")

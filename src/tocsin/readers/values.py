"""Numbers as logs write them."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_MISSING = frozenset({"", "na", "n/a", "none", "null", "-", "--", "undefined"})
LARGEST_STEP = 2**53
_BARE = re.compile(r"([:,\[]\s*)([+-]?)(nan|inf)(?:inity)?(?=\s*[,\]}])", re.IGNORECASE)


def number(said: Any) -> float | None:
    """The number that a log's value states, None where it is none.

    Texts may carry spaces, ``%`` (then the value is divided by 100), thousands commas or ``nan``/``inf`` in any
    spelling; booleans, lists and missing values (``NA``, ``None``) are no numbers. Never raises.
    """
    if isinstance(said, bool) or said is None:
        return None
    if isinstance(said, int | float):
        return _float(said)
    if not isinstance(said, str) or len(said) > 64:
        return None
    text = said.strip().strip("'\"")
    if text.lower() in _MISSING or "_" in text:
        return None
    share = text.endswith("%")
    value = _float(text.removesuffix("%").strip())
    if value is None and "," in text and _grouped(text):
        value = _float(text.removesuffix("%").replace(",", ""))
    return value / 100 if share and value is not None else value


def whole(said: Any) -> int | None:
    """The whole number that a log's value states (``12``, ``"12"``, ``12.0``), None where it is none or too large."""
    value = number(said)
    if value is None or not math.isfinite(value) or value != int(value) or abs(value) > LARGEST_STEP:
        return None
    return int(value)


def _float(said: Any) -> float | None:
    try:
        return float(said)
    except (ValueError, OverflowError):
        return None


def _grouped(text: str) -> bool:
    """Whether commas stand between groups of three digits, as in 1,234,567.8."""
    first, *rest = text.removesuffix("%").partition(".")[0].lstrip("+-").split(",")
    return 0 < len(first) <= 3 and first.isdigit() and all(len(part) == 3 and part.isdigit() for part in rest)


def json_value(text: str) -> Any:
    """What a JSON text states; NaN and infinities may be bare and in any spelling, as ``printf`` writes them.

    Raises:
        ValueError: It is no JSON (``json.JSONDecodeError``), or holds a whole number of thousands of digits.
        RecursionError: It is nested too deeply.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        spelled, bare = _BARE.subn(_spelled, text)
        if not bare:
            raise
        return json.loads(spelled)


def _spelled(bare: re.Match[str]) -> str:
    before, sign, word = bare.groups()
    return before + ("NaN" if word.lower() == "nan" else f"{sign.replace('+', '')}Infinity")

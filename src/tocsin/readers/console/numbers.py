"""Numbers in a line of text, and the shape that is left of the line without them."""

from __future__ import annotations

import re

_DECIMAL = r"\d+(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?"
_WORD_BEFORE = "|".join(rf"(?<={word})" for word in ("[Ee]poch", "EPOCH", r"\b[Ee]p", r"\bE", "[Ii]ter", r"\b[Ss]tep"))
_WORD_NUMBER = r"[-+]?(?:[Nn][Aa][Nn]|[Ii][Nn][Ff](?:inity)?)"
_NO_NUMBER = r"(?![\w.]|\s(?:iter|val|or\b|in\b|loss|grad|found|detect|check|step|batch|is\b|and\b))"
_SET = r"(?:(?<=[:=])|(?<=[:=]\s)|(?<=\bloss\s)|(?<=\bnorm\s))"
NUMBER = re.compile(
    rf"((?:(?<![A-Za-z0-9_.@])(?<!\d-)(?<!\b[Rr]ank-)[-+]?|{_WORD_BEFORE})(?:{_DECIMAL})"
    rf"|{_SET}{_WORD_NUMBER}(?![\w.])|(?<![\w.]){_WORD_NUMBER}{_NO_NUMBER})"
)
_DIGITS = re.compile(r"\d+")


def shape(line: str) -> str:
    """The line with each run of digits as one 0: lines of one shape are read alike, but for digits inside names."""
    return _DIGITS.sub("0", line)


def split(line: str) -> list[str]:
    """Text, number, text, ..., number, text: the even items are what stands between the numbers."""
    return NUMBER.split(line)


def value(text: str) -> float:
    """The number that ``split`` found."""
    try:
        return float(text)
    except ValueError:
        return float(text.replace(",", ""))


def whole(text: str) -> int | None:
    """A found number if it is a whole one of at most 15 digits, as positions are (``7``, ``29.``, ``1,000``)."""
    digits = text.rstrip(".").replace(",", "")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 15 else None

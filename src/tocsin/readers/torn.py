"""JSON that may have been cut off in the middle: what stands before the damage."""

from __future__ import annotations

import json
import re
from typing import Any

from tocsin.readers.errors import ReadError
from tocsin.readers.file import File

_MARKS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{},]', re.DOTALL)  # a text without end goes on to the end
_CLOSING = {"[": "]", "{": "}"}


def json_of(file: File) -> tuple[Any, str]:
    """A file's JSON, and a sentence on what is missing from it ("" where it is whole).

    A torn text is cut after the last value that is whole, and the brackets that stand open there are closed.

    Raises:
        ReadError: It is too large, or no JSON even before the damage.
    """
    try:
        return file.json(), ""
    except ReadError as error:
        text = file.text()
        cut, closing = _last_whole(text)
        if not cut:
            raise
        try:
            data = json.loads(text[:cut] + closing)
        except (ValueError, RecursionError):
            raise error from None
        return data, f"truncated at character {cut} of {len(text)}: the JSON does not end"


def _last_whole(text: str) -> tuple[int, str]:
    """Where the last comma or closing bracket stands, and what closes the text there; (0, "") for no torn JSON."""
    open_, at, closing = [], 0, ""
    for mark in _MARKS.finditer(text):
        sign = mark[0]
        if sign in "[{":
            open_.append(_CLOSING[sign])
        elif sign in "]}":
            if not open_ or open_.pop() != sign:
                break
            at, closing = mark.end(), "".join(reversed(open_))
        elif sign == ",":
            at, closing = mark.start(), "".join(reversed(open_))
        if len(open_) > 200:
            return 0, ""
    return (at, closing) if closing else (0, "")

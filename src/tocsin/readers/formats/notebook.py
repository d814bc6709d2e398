"""Jupyter notebooks: what their code cells printed, tables of transformers' progress among it, errors.

Code is neither run nor parsed. Several trainings in one notebook are several runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

from tocsin.readers.console.reading import Console
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader

SOURCE = "notebook"
_MOST_CELLS = 100_000
_MOST_ROWS = 200_000
_MOST_HTML = 20_000_000
_LONGEST_LINE = 1_000_000
_TAG = re.compile(r"<(?P<ends>/?)(?P<name>table|tr|td|th)\b[^<>]*>", re.IGNORECASE)
_MARKUP = re.compile(r"<[^<>]*>")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def _sniffs(file: File) -> bool:
    """A JSON object with cells of outputs, or the metadata of a kernel."""
    if not file.size or file.binary:
        return False
    start = file.start.lstrip()
    if not start.startswith("{") or '"cells"' not in start:
        return False
    return any(key in start for key in ('"cell_type"', '"nbformat"', '"kernelspec"'))


def _read(file: File) -> Iterator[Log]:
    """Each run that its outputs tell, in the order of the cells. Raises: ReadError where it is torn or no JSON."""
    console = Console(SOURCE, file.path)
    for cell in _cells(file):
        console.boundary()
        for output in _outputs(cell):
            _feed(console, output)
        yield from console.logs()
    yield from console.finish()


def _cells(file: File) -> Iterator[dict[str, Any]]:
    """The cells of any version of the format (version 3 keeps them in worksheets)."""
    content = file.json()
    if not isinstance(content, dict):
        raise ReadError(f"{file.path}: a notebook is a JSON object, this is a {type(content).__name__}")
    sheets = content.get("worksheets")
    lists = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)] if isinstance(sheets, list) else []
    for cells in [content.get("cells"), *lists]:
        if isinstance(cells, list):
            yield from (cell for cell in cells[:_MOST_CELLS] if isinstance(cell, dict))


def _outputs(cell: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The outputs of a cell; pieces of one stream, which the kernel cut anywhere, are joined."""
    outputs = cell.get("outputs")
    pending = ""
    for output in outputs if isinstance(outputs, list) else []:
        if not isinstance(output, dict):
            continue
        if output.get("output_type") == "stream":
            pending += _text(output.get("text"))
            continue
        if pending:
            yield {"output_type": "stream", "text": pending}
            pending = ""
        yield output
    if pending:
        yield {"output_type": "stream", "text": pending}


def _feed(console: Console, output: dict[str, Any]) -> None:
    kind = output.get("output_type")
    if kind == "stream":
        _lines(console, _text(output.get("text")))
    elif kind in ("error", "pyerr"):
        _error(console, output)
    else:
        data = output.get("data") if isinstance(output.get("data"), dict) else output
        html = _text(data.get("text/html", data.get("html"))) if isinstance(data, dict) else ""
        if "<table" in html:
            _tables(console, html)
        elif isinstance(data, dict) and kind == "display_data":
            _lines(console, _text(data.get("text/plain", data.get("text"))))


def _lines(console: Console, text: str) -> None:
    for line in text.split("\n"):
        console.feed(line[:_LONGEST_LINE])


def _error(console: Console, output: dict[str, Any]) -> None:
    trace = output.get("traceback")
    lines = [_ANSI.sub("", part) for part in trace if isinstance(part, str)] if isinstance(trace, list) else []
    name, said = _text(output.get("ename")), _text(output.get("evalue"))
    console.fail("\n".join(lines) or f"{name}: {said}", name)


def _text(said: Any) -> str:
    """Text or a list of its pieces."""
    if isinstance(said, list):
        return "".join(piece for piece in said if isinstance(piece, str))
    return said if isinstance(said, str) else ""


def _tables(console: Console, html: str) -> None:
    header: list[str] = []
    for row in _rows(html[:_MOST_HTML]):
        if not row:
            header = []
        elif not header:
            header = row
        else:
            console.cells(header, row)


def _rows(html: str) -> list[list[str]]:
    """The rows of its tables, an empty one before each table; in one pass, whatever tags are left open."""
    rows: list[list[str]] = []
    cell: int | None = None
    for tag in _TAG.finditer(html):
        name, ends = tag["name"].lower(), bool(tag["ends"])
        if name in ("td", "th"):
            if ends and cell is not None and rows:
                rows[-1].append(" ".join(unescape(_MARKUP.sub("", html[cell : tag.start()])).split()))
            cell = None if ends else tag.end()
        elif not ends and (name == "table" or len(rows) < _MOST_ROWS):
            rows.append([])
    return rows


READER = Reader(SOURCE, 20, _sniffs, _read)

"""Jupyter notebooks: what their code cells printed, tables of transformers' progress among it, errors.

Code is neither run nor parsed. Several trainings in one notebook are several runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
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


class _Tables(HTMLParser):
    """The tables of a piece of HTML: rows of cells, those of ``th`` alone first where there is a header."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag == "table" or (tag == "tr" and len(self.rows) < _MOST_ROWS):
            self.rows.append([])
        elif tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None and self.rows:
            self.rows[-1].append(" ".join("".join(self._cell).split()))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)


def _tables(console: Console, html: str) -> None:
    parser = _Tables()
    parser.feed(html[:_MOST_HTML])
    parser.close()
    header: list[str] = []
    for row in parser.rows:
        if not row:
            header = []
        elif not header:
            header = row
        else:
            console.cells(header, row)


READER = Reader(SOURCE, 20, _sniffs, _read)

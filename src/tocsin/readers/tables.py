"""Tables of text: separated by commas, tabs, semicolons, pipes or blanks; rows to a ``Frame``, a block at a time."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from tocsin.readers.file import File
from tocsin.readers.frame import Frame
from tocsin.readers.values import number
from tocsin.readers.vocabulary import TIMES, plain
from tocsin.run import Floats, Ints

BLANKS = " "
_DELIMITERS = (",", "\t", ";", "|", BLANKS)
_PREAMBLE = 12  # lines that may stand before the header
_WIDEST = 5_000  # columns
_BLOCK = 20_000  # rows turned into numbers at a time
_LONGEST_NUMBER = 64  # characters
_WIDE_BLANKS = re.compile(r"\t+| {2,}")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RULE = re.compile(r"^[\s|+:=_-]*$")
_WORD = re.compile(r"[A-Za-z]")
_UNIT = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s?(?:s|sec|secs|ms|min|h|x|it/s|[kKMG]i?B?)$")
_COMMA = re.compile(r"^[+-]?\d*,\d+(?:[eE][+-]?\d+)?$")
_DIGIT = re.compile(r"^\s*[+-]?\.?\d")
_MISSING = frozenset({"", "na", "n/a", "none", "null", "-", "--", "undefined", "nil"})


@dataclass(frozen=True)
class Layout:
    """How a table is written: its delimiter, the names of its columns, and the line (from 0) that states them."""

    delimiter: str
    names: tuple[str, ...]
    header: int
    decimal_comma: bool = False
    spaced: bool = False  # blanks of two or more separate the cells, single ones belong to them


def layout_of(file: File) -> Layout | None:
    """The layout of the table that a file's head shows, None where it shows none.

    A table has a header of names, and nearly all lines below it have as many cells, numbers among them.
    """
    if file.binary or not file.size:
        return None
    lines = _uncoloured(file.start.splitlines()[:400])
    if len(file.head) < file.size and len(lines) > 1:
        lines.pop()  # cut by the end of the head
    at = [i for i, line in enumerate(lines[:60]) if line.strip() and not _RULE.match(line)][:_PREAMBLE]
    for place in at[:1] if at and not lines[at[0]].lstrip().startswith(("#", "sep=", "//", "%")) else at:
        for delimiter in _DELIMITERS:
            layout = _layout_at(lines, place, delimiter)
            if layout is not None:
                return layout
    return None


def _layout_at(lines: list[str], place: int, delimiter: str) -> Layout | None:
    header = lines[place].strip("\r\n").lstrip("#% \ufeff") if delimiter != "\t" else lines[place].strip("\r\n #")
    spaced = delimiter == BLANKS and bool(_WIDE_BLANKS.search(header.strip()))
    below = [line for line in lines[place + 1 :] if line.strip() and not _RULE.match(line) and not _comment(line)]
    rows = _split(below[:200], delimiter, spaced)
    cells = _split([header], delimiter, spaced)[0]
    if rows and spaced and len(rows[0]) != len(cells):
        spaced = False
        rows, cells = _split(below[:200], delimiter, spaced), _split([header], delimiter, spaced)[0]
    if not rows or not 2 <= len(cells) <= _WIDEST:
        return None
    names = _names(cells, rows)
    if names is None:
        return None
    fitting = [row for row in rows if _fits(row, len(names))]
    numeric = [row for row in fitting if any(_DIGIT.match(cell) for cell in row)]
    if len(fitting) < min(0.8 * len(rows), len(rows) - 1) or len(numeric) < 0.7 * len(rows):
        return None
    return Layout(delimiter, tuple(names), place, _comma_is_decimal(delimiter, fitting), spaced)


def _uncoloured(lines: list[str]) -> list[str]:
    """Lines without colours, which a table printed to a terminal marks its best values with (skorch)."""
    return [_COLOUR.sub("", line) for line in lines] if any("\x1b" in line for line in lines) else lines


def _fits(row: list[str], width: int) -> bool:
    return len(row) >= width and not any(cell.strip() for cell in row[width:])


def _names(cells: list[str], rows: list[list[str]]) -> list[str] | None:
    """Column names, unique; None where the line is no header. One too few (R): the first column has no name."""
    names = [cell.strip().strip("'\"`*").strip() for cell in cells]
    while len(names) > 2 and not names[-1] and all(len(row) <= len(names) and not row[-1].strip() for row in rows):
        names.pop()
    named = [name for name in names if name]
    if any(number(name) is not None for name in named) or len(named) < max(1, len(names) - 1):
        return None
    if not all(_WORD.search(name) or not name.isascii() or name == "#" for name in named):
        return None
    longer = [row for row in rows if len(row) == len(names) + 1 and number(row[0]) is not None]
    if len(longer) > 0.9 * len(rows) and any(row[-1].strip() for row in longer):
        names.insert(0, "")
    seen: dict[str, int] = {}
    for place, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            names[place] = f"{name}.{seen[name] - 1}"
    return names


def _comma_is_decimal(delimiter: str, rows: list[list[str]]) -> bool:
    cells = [cell.strip() for row in rows for cell in row if "," in cell]
    return delimiter != "," and bool(cells) and all(_COMMA.match(cell) for cell in cells)


def _comment(line: str) -> bool:
    return line.lstrip().startswith(("#", "//", "%%"))


def _split(lines: Sequence[str], delimiter: str, spaced: bool) -> list[list[str]]:
    """Cells of each line; quotes are minded where a block has any."""
    if delimiter == BLANKS:
        return [_WIDE_BLANKS.split(line.strip()) if spaced else line.split() for line in lines]
    if delimiter == "|":
        return [_unframed(line.split("|")) for line in lines]
    if any('"' in line for line in lines):
        return _quoted(lines, delimiter)
    return [line.split(delimiter) for line in lines]


def _unframed(cells: list[str]) -> list[str]:
    """Cells without the empty ones outside of the frame of a Markdown table."""
    if len(cells) > 2 and not cells[0].strip() and not cells[-1].strip():
        return cells[1:-1]
    return cells


def _quoted(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        return [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:  # a field without end
        return [line.replace('"', "").split(delimiter) for line in lines]


def read_table(file: File, layout: Layout, *, most_rows: int | None = None) -> Frame:
    """All rows of a table as a frame.

    Missing cells (``NA``, empty, ``None``) give no number; a stated NaN or inf does. Shorter rows end early, longer
    ones keep the cells that the header names; both are counted in ``Frame.unread``. A header that is repeated in the
    middle becomes a break.

    Raises:
        ReadError: The file cannot be read.
    """
    frame = Frame()
    lines = islice(file.lines(), layout.header + 1, None) if most_rows is None else _head_lines(file, layout)
    odd = _Odd()
    for block in _blocks(lines, most_rows):
        kept = _uncoloured([line for line in block if line and not line.isspace()])
        if any(line[:1] in "#/%+=-|: " for line in kept):  # colours alone leave nothing
            kept = [line for line in kept if not _comment(line) and not _RULE.match(line)]
        _take(frame, _split([line.rstrip("\r") for line in kept], layout.delimiter, layout.spaced), layout, odd)
    odd.tell(frame)
    for sentence in file.unread:
        frame.miss(sentence)
    return frame


def _head_lines(file: File, layout: Layout) -> Iterator[str]:
    lines = file.start.splitlines()
    if len(file.head) < file.size:
        lines.pop()
    yield from lines[layout.header + 1 :]


def _blocks(lines: Iterator[str], most: int | None) -> Iterator[list[str]]:
    """Blocks of lines, each with its quoted cells closed."""
    left = most
    while block := list(islice(lines, _BLOCK if left is None else min(_BLOCK, left))):
        if sum(line.count('"') for line in block) % 2:
            block = list(chain(block, islice(lines, 50)))
        yield block
        if left is not None:
            left -= len(block)
            if left <= 0:
                return


class _Odd:
    """Rows that do not fit the header."""

    def __init__(self) -> None:
        self.short = self.long = 0
        self.last_short = False

    def tell(self, frame: Frame) -> None:
        if self.last_short:
            self.short -= 1
            frame.miss("the last row is torn: its last cell was left out")
        if self.short:
            frame.miss(f"{self.short} rows have fewer cells than the header")
        if self.long:
            frame.miss(f"{self.long} rows have more cells than the header: those were left out")


def _take(frame: Frame, rows: list[list[str]], layout: Layout, odd: _Odd) -> None:
    if not rows:
        return
    width, head = len(layout.names), tuple(name.split(".")[0] for name in layout.names)
    start = frame.rows
    repeated = [i for i, row in enumerate(rows) if row[0].strip().strip("'\"") == layout.names[0] and head[0]]
    if repeated:
        frame.breaks.extend(start + i - n for n, i in enumerate(repeated))
        gone = set(repeated)
        rows = [row for i, row in enumerate(rows) if i not in gone]
    odd.last_short = False
    if not rows:
        return
    if any(len(row) != width for row in rows):
        rows = [_fitted(row, width, odd) for row in rows]
    frame.rows += len(rows)
    for name, cells in zip(layout.names, zip(*rows, strict=True), strict=True):
        _take_column(frame, name, cells, start, layout)


def _fitted(row: list[str], width: int, odd: _Odd) -> list[str]:
    odd.last_short = False
    if len(row) > width:
        odd.long += any(cell.strip() for cell in row[width:])
        return row[:width]
    if len(row) < width:
        odd.short += 1
        odd.last_short = True
        return [*row, *[""] * (width - len(row))]
    return row


def _take_column(frame: Frame, name: str, cells: Sequence[str], start: int, layout: Layout) -> None:
    row = np.arange(start, start + len(cells))
    values, present, texts = _numbers(cells, layout, timely=plain(name) in TIMES)
    for place, text in texts:
        frame.say(name, start + place, text)
    if present is None:
        frame.column(name).extend(row, values)
    elif present.size:
        frame.column(name).extend(row[present], values)


def _numbers(
    cells: Sequence[str], layout: Layout, *, timely: bool
) -> tuple[Floats, Ints | None, list[tuple[int, str]]]:
    """Numbers of a column, their places (None: all), and the texts among its cells with their places."""
    if not layout.decimal_comma and "_" not in cells[0]:
        try:
            return np.fromiter(map(float, cells), np.float64, len(cells)), None, []
        except ValueError:
            pass
    places, values, texts = [], [], []
    for place, cell in enumerate(cells):
        if not cell:
            continue
        value = _number(cell, layout, timely)
        if value is not None:
            places.append(place)
            values.append(value)
        elif cell.strip().lower() not in _MISSING:
            texts.append((place, cell.strip().strip("'\"")[:200]))
    return np.array(values, np.float64), np.array(places, np.int64), texts


def _number(cell: str, layout: Layout, timely: bool) -> float | None:
    if layout.decimal_comma and "," in cell:
        cell = cell.replace(",", ".")
    value = number(cell)
    if value is None and not timely and len(cell) <= _LONGEST_NUMBER and (match := _UNIT.match(cell.strip())):
        return float(match[1])
    return value

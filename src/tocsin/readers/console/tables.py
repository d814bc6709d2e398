"""Tables in console text: the header is remembered, the rows of numbers under it are read by its columns."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tocsin.readers.console import words
from tocsin.readers.console.numbers import whole
from tocsin.readers.values import number

_BORDERS = re.compile(r"\s*[|│┃]\s*|\t+| {2,}")
_BAR = re.compile(r":?\s*(?<![\d.])\d{1,3}%(?:\|| ?[~━╸─█]).*$|:?\s+~.*$")
_PARTIAL = re.compile(r"(?<![\d.])\d{1,2}%(?:\|| ?[~━╸─█])")
_RULE = re.compile(r"^[\s\-=+|│┃━─┄╇┡┩╪╞╡├┼┤┌┬┐└┴┘╒╤╕╘╧╛_:]*$")
_COUNT = re.compile(r"^(\d+)\s?/\s?(\d+)$")
_YOLO = {
    "P": "precision",
    "Box(P": "precision",
    "R": "recall",
    "R)": "recall",
    "P)": "precision",
    "Box(P)": "precision",
    "mAP@.5": "mAP50",
    "mAP@0.5": "mAP50",
    "mAP@.5:.95": "mAP50-95",
    "mAP@0.5:0.95": "mAP50-95",
}
_WRAPPED = re.compile(r"^\[?\s*([^\[\],]*?)\s*\]?:?$")  # [0.25], 1881:
_SINGLE = re.compile(r"\s+")
_TERMS = frozenset({"box", "obj", "cls", "dfl", "total", "seg", "mask", "kobj", "pose", "theta"})
_SPANNED = re.compile(r"\S+(?: \S+)*")
_LOST_ESCAPES = re.compile(r"^(?:\[\d{0,2}[A-K])+")
MOST_COLUMNS = 60
_MOST_MISSES = 8
_STEMS = words.listed(
    "loss acc epoch iter step class score err f1 fb1 prec rec auc map iou dice bleu rouge ppl perp rew ret psnr ssim"
    " mae mse nll elbo norm wer cer top kappa corr learn"
)


@dataclass
class Row:
    """One row of a table: its position and its quantities (name, split, value); a partial one will be repeated."""

    epoch: float | None
    total: int
    step: int | None
    points: list[tuple[str, str, float]]
    partial: bool = False


@dataclass
class Header:
    """The columns of a table.

    Attributes:
        columns: Names.
        single: Whether cells are parted by single blanks.
        misses: Lines since the last row; after a few the table is over.
        spans: Where each column's name stands in the header, where its cells are set under it.
    """

    columns: list[str]
    single: bool = False
    misses: int = 0
    spans: list[tuple[int, int]] = field(default_factory=list)

    def row(self, line: str) -> Row | None:
        """What a line says as a row of this table; None where it is none."""
        bare = _BAR.sub("", line).rstrip(": ").strip(" |│┃\t")
        cells = _SINGLE.split(bare) if self.single else _BORDERS.split(bare)
        if len(cells) != len(self.columns):
            cells = _SINGLE.split(bare)
        if len(cells) != len(self.columns):
            return self._with_blanks(line)
        row = self.read(cells)
        if row is not None:
            row.partial = _PARTIAL.search(line) is not None
        return row

    def _with_blanks(self, line: str) -> Row | None:
        """A row of numbers whose empty cells are blank: each stands under the name of its column."""
        cells = [""] * len(self.columns)
        for found in _SPANNED.finditer(_LOST_ESCAPES.sub("", line)):
            shared, at = max(
                (
                    (min(end, found.end()) - max(start, found.start()), -at)
                    for at, (start, end) in enumerate(self.spans)
                ),
                default=(0, 0),
            )
            if shared <= 0 or cells[-at] or number(found.group()) is None:
                return None
            cells[-at] = found.group()
        return self.read(cells) if sum(map(bool, cells)) >= 2 else None

    def read(self, cells: list[str]) -> Row | None:
        """What a row of cells says; None where it says nothing or its cells are not as many as the columns."""
        if len(cells) != len(self.columns):
            return None
        row = Row(None, -1, None, [])
        label = ""
        for at, (name, said) in enumerate(zip(self.columns, cells, strict=True)):
            cell = _WRAPPED.sub(r"\1", said)
            counted = _COUNT.match(cell)
            kind = "step" if name == "#" else words.place(name)
            value = float(counted.group(1)) if counted else number(cell)
            if at == 0 and value is not None and words.parts(name)[:1] == ("class",):
                return None
            if value is None:
                if at == 0 and words.parts(name)[:1] == ("class",) and cell:
                    label = cell
                elif (
                    cell
                    and not re.match(r"^(?:[\d:.]+[a-z]{0,3}|-+|no log|none|n/a|nan)$", cell, re.IGNORECASE)
                    and at == 0
                ):
                    return None
            elif kind == "epoch":
                row.epoch, row.total = value, int(counted.group(2)) if counted else -1
            elif kind:
                row.step = whole(cell)
            elif not words.bookkeeping(name) or name in _YOLO:
                row.points.append((name, "", value))
        if label:
            row.points = [_of_class(name, label, value) for name, _, value in row.points]
        return row if row.points else None


class OpenTables:
    """The table whose rows are being read, and the one before it, to which alternating rows go back."""

    def __init__(self) -> None:
        self._open: list[Header] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    def begin(self, header: Header) -> None:
        """A header was read."""
        self._open = [header, *self._open[:1]]

    def row(self, line: str) -> Row | None:
        """What a line says as a row of an open table; a table is over after some lines that are none of it."""
        for table in self._open:
            row = table.row(line)
            if row is not None:
                self._open.remove(table)
                self._open.insert(0, table)
                table.misses = 0
                return row
        self.missed()
        return None

    def missed(self) -> None:
        """A line was no row."""
        for table in self._open:
            table.misses += 1
        self._open = [table for table in self._open if table.misses <= _MOST_MISSES]

    def close(self) -> None:
        """What follows belongs to no table."""
        self._open = []


def _of_class(name: str, label: str, value: float) -> tuple[str, str, float]:
    name = _YOLO.get(name, name.strip("()"))
    return (name if label.lower() == "all" else f"{name}/{label}", "val", value)


def header(line: str) -> Header | None:
    """The header that a line is, None where it is none: words only, with a position or two metrics among them."""
    if len(line) > 600 or not _hinted(line.lower()):
        return None
    spans = [found.span() for found in _SPANNED.finditer(line)]
    bare = _BAR.sub("", line).strip(" |│┃\t:")
    cells = [cell.strip() for cell in _BORDERS.split(bare)]
    single = False
    if len(cells) < 2 and " " in bare:
        cells, single = _SINGLE.split(bare), True
    elif len(cells) > 1 and any(" " in cell for cell in cells) and words.parts(cells[0])[:1] == ("class",):
        cells = _SINGLE.split(bare)
    found = _header(cells, single)
    if found is not None and len(spans) == len(cells):
        found.spans = spans
    return found


def _hinted(low: str) -> bool:
    """Whether a header's columns may be named in a line; cheap."""
    return any(stem in low for stem in _STEMS)


def of_cells(cells: list[str]) -> Header | None:
    """The header that a row of cells is, None where it is none."""
    return _header(cells, single=False)


def _header(cells: list[str], single: bool) -> Header | None:
    if not 2 <= len(cells) <= MOST_COLUMNS or not all(_worded(cell) for cell in cells):
        return None
    if any(cell.lower() == "gpu_mem" for cell in cells):
        cells = [f"{cell} loss" if cell in _TERMS else cell for cell in cells]
    first = words.place(cells[0]) in ("epoch", "step", "global") or words.parts(cells[0])[:1] == ("class",)
    metrics = sum(words.metric(cell) or cell in _YOLO for cell in cells)
    if metrics >= 1 and first and (not single or metrics >= 2 or len(cells) == 2):
        return Header(cells, single)
    return Header(cells, single) if metrics >= 2 and not single else None


def _worded(cell: str) -> bool:
    return (
        bool(cell)
        and len(cell) <= 40
        and number(cell) is None
        and (cell[0].isalpha() or cell[0] in "_#(")
        and cell.count(" ") <= 3
    )


def rule(line: str) -> bool:
    """Whether a line is only the drawn rule of a table, or blank."""
    return _RULE.match(line) is not None

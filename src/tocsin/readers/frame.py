"""``Frame``: rows of a log by column, sparse, as any table or sequence of records gives them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tocsin.run import Floats, Ints

MOST_COLUMNS = 20_000
MOST_TEXTS = 2_000_000  # texts kept over all columns: times, splits, names of runs


@dataclass
class Column:
    """The numbers of one column: ``row[i]`` holds ``value[i]``; rows ascend and only rows with a number occur."""

    row: array[int] = field(default_factory=lambda: array("q"))
    value: array[float] = field(default_factory=lambda: array("d"))

    def extend(self, row: Ints, value: Floats) -> None:
        """Add cells; both of shape (n,)."""
        self.row.frombytes(np.ascontiguousarray(row, np.int64).tobytes())
        self.value.frombytes(np.ascontiguousarray(value, np.float64).tobytes())

    @property
    def rows(self) -> Ints:
        """Rows with a number, shape (n,), ascending."""
        return np.asarray(self.row, np.int64)

    @property
    def values(self) -> Floats:
        """Their numbers, shape (n,); NaN is a NaN that the log states, never a missing cell."""
        return np.asarray(self.value, np.float64)


Key = tuple[str, str]


class Frame:
    """Rows of a log by column.

    Attributes:
        rows: Number of rows.
        numbers: Columns of numbers by (name as the log writes it, split that the row's context says or "").
        texts: Cells that are no numbers: by name, row -> text.
        breaks: Rows before which the log starts anew by its own word (a header repeated in the middle).
        marks: (row, kind, text, data) of what rows tell besides numbers: kinds of ``Log.event``; ``exit`` with the
            way of ending as text; ``config`` with the configuration as data.
        unread: Sentences on what could not be read.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.numbers: dict[Key, Column] = {}
        self.texts: dict[str, dict[int, str]] = {}
        self.breaks: list[int] = []
        self.marks: list[tuple[int, str, str, dict[str, Any]]] = []
        self.unread: list[str] = []
        self._kept = 0

    def column(self, name: str, split: str = "") -> Column:
        """The column of this name, made where there is none."""
        key = (name, split)
        column = self.numbers.get(key)
        if column is None:
            if len(self.numbers) >= MOST_COLUMNS:
                self.miss(f"more than {MOST_COLUMNS} columns: the later ones were left out")
                return Column()
            column = self.numbers[key] = Column()
        return column

    def put(self, name: str, row: int, value: float, split: str = "") -> bool:
        """Add one number; a second one of the same row and name replaces the first. Always true."""
        column = self.numbers.get((name, split)) or self.column(name, split)
        if column.row and column.row[-1] == row:
            column.value[-1] = value
            return True
        column.row.append(row)
        column.value.append(value)
        return True

    def say(self, name: str, row: int, text: str) -> None:
        """Keep a text cell, up to ``MOST_TEXTS`` of them."""
        if self._kept < MOST_TEXTS:
            self._kept += 1
            self.texts.setdefault(name, {})[row] = text

    def miss(self, sentence: str) -> None:
        """Say once what could not be read."""
        if sentence not in self.unread:
            self.unread.append(sentence)

    def named(self, name: str) -> Column:
        """The numbers of this name whatever their split, in the order of rows."""
        same = [column for (key, _), column in self.numbers.items() if key == name]
        if len(same) == 1:
            return same[0]
        merged = Column()
        if same:
            rows = np.concatenate([column.rows for column in same])
            order = np.argsort(rows, kind="stable")
            merged.extend(rows[order], np.concatenate([column.values for column in same])[order])
        return merged

    def dense(self, name: str, missing: float = float("nan")) -> Floats:
        """The column of this name over all rows, shape (rows,), ``missing`` where it has no number."""
        full = np.full(self.rows, missing)
        column = self.named(name)
        full[column.rows] = column.values
        return full

    @property
    def names(self) -> list[str]:
        """Names of all columns, of numbers and of texts, each once, in the order of the log."""
        return list(dict.fromkeys([*(name for name, _ in self.numbers), *self.texts]))

    def take(self, rows: Any) -> Frame:
        """The frame of these rows alone, renumbered; ``rows`` of shape (m,), ascending."""
        part = Frame()
        kept = np.asarray(rows, np.int64)
        part.rows, part.unread = int(kept.size), list(self.unread)
        for (name, split), column in self.numbers.items():
            inside = np.isin(column.rows, kept, assume_unique=True)
            if inside.any():
                renumbered = np.searchsorted(kept, column.rows[inside])
                part.column(name, split).extend(renumbered, column.values[inside])
        places = {int(row): place for place, row in enumerate(kept)}
        for name, texts in self.texts.items():
            mine = {places[row]: text for row, text in texts.items() if row in places}
            if mine:
                part.texts[name] = mine
        part.marks = [(places[row], kind, text, data) for row, kind, text, data in self.marks if row in places]
        part.breaks = [int(np.searchsorted(kept, row)) for row in self.breaks]
        return part

    def items(self) -> Iterator[tuple[str, str, Column]]:
        """(name, split, column) of all columns of numbers."""
        for (name, split), column in self.numbers.items():
            yield name, split, column

"""One segment of rows -> columns by series name, from JSONL or from Parquet."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tocsin.record.decoding import BAD, Lines, integer, real
from tocsin.record.layout import MAX_STEP, segment_path
from tocsin.run import Floats, Ints


@dataclass(frozen=True, eq=False)
class Column:
    """The points of one series in one segment; NaN where epoch or time is unknown."""

    step: Ints
    epoch: Floats
    time: Floats
    value: Floats


@dataclass(frozen=True, eq=False)
class Segment:
    """What one segment holds; ``unread`` says what could not be read, ``torn`` that its last line is unfinished."""

    columns: Mapping[str, Column] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    torn: bool = False


def read_segment(rank_folder: Path, number: int) -> Segment:
    """A segment from its Parquet if that is complete, else from its JSONL."""
    parquet, jsonl = (segment_path(rank_folder, number, kind) for kind in ("parquet", "jsonl"))
    unread: tuple[str, ...] = ()
    for attempt in range(2):  # a run that closes meanwhile turns JSONL into Parquet between two looks
        if parquet.is_file():
            try:
                return Segment(read_parquet(parquet))
            except ValueError as error:
                unread = (f"{parquet}: {error}",)
        try:
            segment = read_jsonl(jsonl)
        except FileNotFoundError:
            if attempt or unread:
                break
        except OSError as error:
            return Segment(unread=(*unread, f"{jsonl}: {error.strerror or error}"))
        else:
            return Segment(segment.columns, unread + segment.unread, segment.torn)
    return Segment(unread=unread)


class _Rows:
    """Rows gathered into flat arrays: each row once, and for each name (row, value)."""

    def __init__(self) -> None:
        self.step, self.epoch, self.time = array("q"), array("d"), array("d")
        self.by_name: dict[str, tuple[array[int], array[float]]] = {}

    def add(self, data: dict[str, Any]) -> None:
        step, epoch, t, values = data["step"], data.get("epoch"), data.get("t"), data["v"]
        try:
            numbers = array("d", values.values())
        except TypeError:
            numbers = array("d", [real(v) for v in values.values()])
        row = len(self.step)
        when = float("nan") if epoch is None else real(epoch), float("nan") if t is None else real(t)
        self.step.append(integer(step))
        self.epoch.append(when[0])
        self.time.append(when[1])
        for name, value in zip(values, numbers, strict=True):
            column = self.by_name.get(name)
            if column is None:
                column = self.by_name[name] = (array("q"), array("d"))
            column[0].append(row)
            column[1].append(value)

    def columns(self) -> dict[str, Column]:
        step, epoch, time = np.array(self.step, np.int64), np.array(self.epoch), np.array(self.time)
        found = {}
        for name, (rows, values) in self.by_name.items():
            at = np.array(rows, np.int64)
            found[name] = Column(step[at], epoch[at], time[at], np.array(values))
        return found


def read_jsonl(path: Path) -> Segment:
    """The rows of a JSONL segment.

    Raises:
        OSError: It cannot be read.
    """
    rows, lines, bad = _Rows(), Lines(path), 0
    for data in lines:
        try:
            rows.add(data)
        except BAD:
            bad += 1
    return Segment(rows.columns(), unread_lines(path, lines.bad + bad), lines.torn)


def unread_lines(path: Path, bad: int) -> tuple[str, ...]:
    """The sentence about lines that could not be read, if there are any."""
    return (f"{path}: {bad} line{'s' if bad > 1 else ''} could not be read",) if bad else ()


def connect() -> Any:
    """A DuckDB in memory that downloads nothing, in one thread: the machine belongs to the training."""
    import duckdb  # here, since it takes 0.1 s and only large records need it

    off = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    return duckdb.connect(config={"threads": "1", "memory_limit": "2GB", **off})


_MOST_POINTS = 2**24  # a segment of JSONL could not hold as many
_INDEX = """SELECT name, min(file_row_number), count(*), max(file_row_number)
            FROM read_parquet($path, file_row_number = true) GROUP BY name ORDER BY 2"""
_VALUES = """SELECT step::BIGINT AS step, value::DOUBLE AS value,
             coalesce(epoch, 'nan'::DOUBLE) AS epoch, coalesce(time, 'nan'::DOUBLE) AS time
             FROM read_parquet($path) LIMIT $limit"""


def read_parquet(path: Path) -> dict[str, Column]:
    """The columns of a compacted segment, in which the points of a name stand together.

    Raises:
        ValueError: It is not a whole Parquet file of tocsin's.
    """
    import duckdb

    literal = {"path": _literal(path)}
    limited = {**literal, "limit": _MOST_POINTS + 1}
    try:
        with connect() as connection:
            index = connection.execute(_INDEX, literal).fetchall()
            found = connection.execute(_VALUES, limited).fetchnumpy()
    except (duckdb.Error, RuntimeError, UnicodeDecodeError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise ValueError(f"expected a compacted segment, got something unreadable ({first[:200]})") from error
    if len(found["value"]) > _MOST_POINTS:
        raise ValueError(f"expected at most {_MOST_POINTS} points in a segment")
    whole = Column(*(np.ma.getdata(found[name]) for name in ("step", "epoch", "time", "value")))
    if any(np.ma.is_masked(found[name]) for name in found) or np.any((whole.step < 0) | (whole.step > MAX_STEP)):
        raise ValueError("expected steps and values, got gaps or steps out of range")
    columns = {}
    for name, first, count, last in index:
        if not isinstance(name, str) or last - first + 1 != count:
            raise ValueError("expected the points of each series to stand together")
        part = slice(first, first + count)
        columns[name] = Column(whole.step[part], whole.epoch[part], whole.time[part], whole.value[part])
    return columns


def _literal(path: Path) -> str:
    """``path`` for ``read_parquet``, which takes * ? [ as wildcards."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in str(path.absolute()))

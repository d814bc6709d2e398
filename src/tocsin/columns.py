"""The growing run in memory: append points a step at a time, take a ``Run`` of it at each look.

Memory is bounded: of a long run only what ``thinning`` shows is held. Step, epoch and time are held once a row.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from tocsin.run import Floats, Ints, Parameter, Run, Series
from tocsin.thinning import (
    Dyadic,
    cap_of,
    evaluations_shown,
    events_shown,
    group_of,
    shown,
)

Row = tuple[int, int | None, float, Mapping[str, float]]
Table = tuple[int, tuple[Parameter, ...]]
TABLE_BYTES = 2**22
FRESH = 2**18


def _names(row: Row) -> tuple[str, ...]:
    return tuple(row[3])


def _bytes(table: Table) -> int:
    return 300 * len(table[1])


class Columns:
    """What the record holds so far, in the form that rules read; equal to what ``thinned`` makes of the record."""

    def __init__(self, name: str, config: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        self.name = name
        self.config = config
        self.environment = environment
        self.evaluations = evaluations_shown()
        self.events = events_shown()
        self.tables: Dyadic[Table] = Dyadic((), key=lambda _: None, size=_bytes, most=TABLE_BYTES, latest=1)
        self._step, self._time, self._epoch = array("q"), array("d"), array("d")
        self._series: dict[str, _Column] = {}
        self._members: Counter[str] = Counter()
        self._fresh, self._most_fresh = 0, FRESH

    def extend(self, rows: Sequence[Row]) -> None:
        """Lines of the record; runs of lines with the same names, the common case, are appended a column at a time."""
        for names, group in groupby(rows, key=_names):
            lines = list(group)
            first = len(self._step)
            self._step.extend([line[0] for line in lines])
            self._epoch.extend([math.nan if line[1] is None else line[1] for line in lines])
            self._time.extend([line[2] for line in lines])
            if len(lines) == 1:  # as where every step is sampled between evaluations
                for name, value in lines[0][3].items():
                    column = self._series.get(name) or self._new(name)
                    column.rows.append(first)
                    column.values.append(value)
                self._fresh += len(names)
                continue
            numbers = range(first, first + len(lines))
            for name in names:
                column = self._series.get(name) or self._new(name)
                column.rows.extend(numbers)
                column.values.extend([line[3][name] for line in lines])
            self._fresh += len(names) * len(lines)
        if self._fresh > self._most_fresh:
            self._forget()

    def load(self, run: Run) -> None:
        """Take over an earlier attempt of this run."""
        self.evaluations.extend(run.evaluations)
        self.events.extend(run.events)
        self.tables.extend(run.tables)
        for name in run.series:
            self._new(name)
        for name, series in run.series.items():
            kept, first = self._series[name].load(series, self._cap(name)), len(self._step)
            self._step.frombytes(kept.step.astype(np.int64).tobytes())
            self._time.frombytes(kept.time.astype(np.float64).tobytes())
            self._epoch.frombytes(kept.epoch.astype(np.float64).tobytes())
            self._series[name].rows.extend(range(first, len(self._step)))

    def run(self, **fields: Any) -> Run:
        """The run as it stands; the arrays are copies."""
        steps, times, epochs = np.array(self._step), np.array(self._time), np.array(self._epoch)
        ends = [e.step for e in self.events if e.kind == "end_epoch"]
        if ends:
            epochs = np.where(np.isnan(epochs), np.searchsorted(ends, steps, side="left") + 1.0, epochs)
        series = {}
        for name, column in self._series.items():
            at, values = column.shown(self._cap(name))
            series[name] = Series(name, steps[at], values, epochs[at], times[at])
        tables = tuple(self.tables)
        return Run(
            name=self.name,
            series=series,
            evaluations=tuple(self.evaluations),
            events=tuple(self.events),
            parameters=tables[-1][1] if tables else (),
            tables=tables,
            config=self.config,
            environment=self.environment,
            source="tocsin",
            **fields,
        )

    def _new(self, name: str) -> _Column:
        self._members[group_of(name)] += 1
        column = self._series[name] = _Column()
        return column

    def _cap(self, name: str) -> int:
        return cap_of(self._members[group_of(name)])

    def _forget(self) -> None:
        """Drop the points that are not shown any more, and the rows that no series holds."""
        held = np.zeros(len(self._step), dtype=bool)
        for name, column in self._series.items():
            column.forget(self._cap(name))
            held[column.rows] = True
        number = (np.cumsum(held) - 1).astype(np.uint32)
        for column in self._series.values():
            column.rows = array("I", number[column.rows].tobytes())
        self._step = array("q", np.array(self._step)[held].tobytes())
        self._time, self._epoch = (array("d", np.array(a)[held].tobytes()) for a in (self._time, self._epoch))
        self._fresh, self._most_fresh = 0, FRESH + sum(len(c.rows) for c in self._series.values()) // 4


class _Column:
    """One series: the points held of the first ``past`` ones, by their place among all, then every one since."""

    def __init__(self) -> None:
        self.rows, self.values = array("I"), array("d")
        self._past = 0
        self._index = np.zeros(0, np.uint32)

    def load(self, series: Series, cap: int) -> Series:
        """Take over a series; the points of it that are held."""
        n = self._past = len(series)
        self._index = shown(np.arange(n), np.isfinite(series.value), n, cap).astype(np.uint32)
        self.values = array("d", series.value[self._index].astype(np.float64).tobytes())
        return series[self._index.astype(np.int64)]

    def shown(self, cap: int) -> tuple[Ints, Floats]:
        """Rows and values of the points that rules are shown."""
        rows, values = np.array(self.rows), np.array(self.values)
        index = self._places()
        n = self._past + len(rows) - self._index.size
        if n <= cap:
            return rows, values
        at = shown(index, np.isfinite(values), n, cap)
        return rows[at], values[at]

    def forget(self, cap: int) -> None:
        """Hold no more than is shown."""
        index, values = self._places(), np.array(self.values)
        n = self._past + index.size - self._index.size
        if n <= cap:
            return
        at = shown(index, np.isfinite(values), n, cap)
        self.rows = array("I", np.array(self.rows)[at].tobytes())
        self.values = array("d", values[at].tobytes())
        self._index, self._past = index[at].astype(np.uint32), n

    def _places(self) -> Ints:
        since = len(self.rows) - self._index.size
        return np.concatenate([self._index, np.arange(self._past, self._past + since)]).astype(np.int64)

"""The growing run in memory: append points a step at a time, take a ``Run`` of it at each look."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from tocsin.run import Evaluation, Event, Parameter, Run, Series

Row = tuple[int, int | None, float, Mapping[str, float]]


def _names(row: Row) -> tuple[str, ...]:
    return tuple(row[3])


class Columns:
    """What the record holds so far, in the form that rules read; equal to what reading the record gives."""

    def __init__(self, name: str, config: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        self.name = name
        self.config = config
        self.environment = environment
        self.evaluations: list[Evaluation] = []
        self.events: list[Event] = []
        self.tables: list[tuple[int, tuple[Parameter, ...]]] = []
        self._step, self._time, self._epoch = array("q"), array("d"), array("d")
        self._series: dict[str, tuple[array[int], array[float]]] = {}

    def extend(self, rows: Sequence[Row]) -> None:
        """Lines of the record; runs of lines with the same names, the common case, are appended a column at a time."""
        for names, group in groupby(rows, key=_names):
            lines = list(group)
            first = len(self._step)
            self._step.extend([line[0] for line in lines])
            self._epoch.extend([math.nan if line[1] is None else line[1] for line in lines])
            self._time.extend([line[2] for line in lines])
            numbers = range(first, first + len(lines))
            for name in names:
                column = self._series.get(name)
                if column is None:
                    column = self._series[name] = (array("q"), array("d"))
                column[0].extend(numbers)
                column[1].extend([line[3][name] for line in lines])

    def load(self, run: Run) -> None:
        """Take over an earlier attempt of this run."""
        self.evaluations, self.events, self.tables = list(run.evaluations), list(run.events), list(run.tables)
        for name, series in run.series.items():
            columns = (series.step.tolist(), series.epoch.tolist(), series.time.tolist(), series.value.tolist())
            for step, epoch, time, value in zip(*columns, strict=True):
                self.extend([(step, None if math.isnan(epoch) else int(epoch), time, {name: value})])

    def run(self, **fields: Any) -> Run:
        """The run as it stands; the arrays are copies."""
        steps, times, epochs = np.array(self._step), np.array(self._time), np.array(self._epoch)
        ends = [e.step for e in self.events if e.kind == "end_epoch"]
        if ends:
            epochs = np.where(np.isnan(epochs), np.searchsorted(ends, steps, side="left") + 1.0, epochs)
        series = {}
        for name, (rows, values) in self._series.items():
            at = np.array(rows)
            series[name] = Series(name, steps[at], np.array(values), epochs[at], times[at])
        return Run(
            name=self.name,
            series=series,
            evaluations=tuple(self.evaluations),
            events=tuple(self.events),
            parameters=self.tables[-1][1] if self.tables else (),
            tables=tuple(self.tables),
            config=self.config,
            environment=self.environment,
            source="tocsin",
            **fields,
        )

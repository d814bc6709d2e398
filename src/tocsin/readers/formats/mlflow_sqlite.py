"""MLflow's SQLite store (``mlflow.db``): one log a run; NaN and infinities as they were logged."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from tocsin.readers.file import File
from tocsin.readers.log import MOST_SERIES, Log
from tocsin.readers.mlflow import Metric, exit_of, fill, take_tags
from tocsin.readers.reader import Reader
from tocsin.readers.sqlite import Database, database, has_table

_LARGEST = 1.7976931348623157e308  # stands for infinity, which the column cannot hold
_RUN = ("run_uuid", "name", "status", "lifecycle_stage")
_MOST_KEYS = 10_000
_LONGEST_TEXT = 64 * 1024
Texts = dict[str, dict[str, str]]


@dataclass
class _Points:
    value: array[float] = field(default_factory=lambda: array("d"))
    step: array[int] = field(default_factory=lambda: array("q"))
    time: array[float] = field(default_factory=lambda: array("d"))

    def metric(self) -> Metric:
        return Metric(np.asarray(self.value), np.asarray(self.step), np.asarray(self.time))


def sniffs(file: File) -> bool:
    """Whether the file is a database with MLflow's tables of runs and metrics."""
    return has_table(file, "runs", *_RUN[:1], "lifecycle_stage") and has_table(
        file, "metrics", "key", "value", "run_uuid"
    )


def read(file: File) -> Iterator[Log]:
    """A log for each run that was not deleted, those with metrics first."""
    with database(file) as opened:
        yield from _Store(file, opened).logs()


class _Store:
    def __init__(self, file: File, opened: Database) -> None:
        self.file, self.opened = file, opened
        self.said = list(opened.unread)
        self.runs = {str(row[0]): row for row in opened.rows("runs", _RUN) if row[0] is not None}
        deleted = {run for run, row in self.runs.items() if str(row[3]).lower() == "deleted"}
        for run in deleted:
            del self.runs[run]
        if deleted:
            self.said.append(f"{len(deleted)} runs deleted in MLflow were not read")
        self.tags, self.params = self._texts("tags"), self._texts("params")
        self.parents = {tags.get("mlflow.parentRunId") for tags in self.tags.values()}

    def _texts(self, table: str) -> Texts:
        found: Texts = defaultdict(dict)
        if not self.opened.has(table, "run_uuid", "key", "value"):
            return found
        for run, key, value in self.opened.rows(table, ("run_uuid", "key", "value")):
            mine = found[str(run)] if str(run) in self.runs and str(key) != "mlflow.user" else {}
            if len(mine) < _MOST_KEYS:
                mine[str(key)[:500]] = str(value)[:_LONGEST_TEXT]
        return found

    def logs(self) -> Iterator[Log]:
        rows = self.opened.rows(
            "metrics", ("run_uuid", "key", "value", "timestamp", "step", "is_nan"), order=("run_uuid",)
        )
        for run, its in groupby(rows, key=itemgetter(0)):
            if str(run) in self.runs:
                yield self._log(str(run), its)
        bare = [run for run in self.runs if run not in self.parents]
        for run in bare:
            yield self._log(run, ())
        if self.said:
            yield self._told(Log("mlflow-sqlite", self.file.path))

    def _log(self, run: str, rows: Any) -> Log:
        _, name, status, _ = self.runs.pop(run)
        log = self._told(Log("mlflow-sqlite", self.file.path, name=str(name or "")[:200], config_typed=False))
        log.exit = exit_of(status)
        take_tags(log, self.tags.pop(run, {}))
        log.config = dict(self.params.pop(run, {}))
        metrics: dict[str, _Points] = {}
        for row in rows:
            _take(metrics, row, log)
        fill(log, {name: points.metric() for name, points in metrics.items()})
        if log.empty:
            log.miss("no metric was logged")
        return log

    def _told(self, log: Log) -> Log:
        """The log with what there is to say of the whole database, which the first one says."""
        log.unread += self.said
        self.said = []
        return log


def _take(metrics: dict[str, _Points], row: tuple[Any, ...], log: Log) -> None:
    _, key, value, time, step, is_nan = row
    points = metrics.get(key)
    if points is None:
        if len(metrics) >= MOST_SERIES or not isinstance(key, str):
            log.miss(f"metrics without a name, or after the first {MOST_SERIES}, were left out")
            return
        points = metrics[key] = _Points()
    if not isinstance(value, int | float):
        if not is_nan:
            log.miss(f"metric {key[:100]}: a value that is no number was left out")
            return
        value = 0.0
    infinite = abs(value) >= _LARGEST
    points.value.append(float("nan") if is_nan else float("inf") * (1 if value > 0 else -1) if infinite else value)
    points.step.append(step if isinstance(step, int) else 0)
    points.time.append(time if isinstance(time, int | float) else float("nan"))


READER = Reader("mlflow-sqlite", 10, sniffs, read)

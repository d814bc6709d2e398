"""Trackio's SQLite store: one database a project, one log a run; metrics are JSON objects."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np

from tocsin.readers.clock import seconds_of
from tocsin.readers.file import File
from tocsin.readers.frame import Frame
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader
from tocsin.readers.rows import fill
from tocsin.readers.sqlite import Database, database, has_table
from tocsin.readers.wandb_log.messages import numbers, of_json

_ROW = ("run_id", "run_name", "step", "timestamp", "metrics")
_MOST_CONFIGS = 100_000


def sniffs(file: File) -> bool:
    """Whether the file is a database with Trackio's table of metrics."""
    return has_table(file, "metrics", "timestamp", "run_name", "step", "metrics")


def read(file: File) -> Iterator[Log]:
    """A log for each run of the project."""
    with database(file) as opened:
        configs, alerts = _configs(opened), _alerts(opened)
        said = list(opened.unread)
        rows = opened.rows("metrics", _ROW, order=("run_id", "run_name", "step", "id"))
        for key, its in groupby(rows, key=_key):
            log = Log("trackio", file.path)
            log.unread += said
            said = []
            log.config = {name: value for name, value in configs.pop(key, {}).items() if not name.startswith("_")}
            log.environment["project"] = file.path.stem
            _fill(log, its)
            for step, text in alerts.pop(key, ()):
                log.event("warning", text, step=step)
            yield log


def _key(row: tuple[Any, ...]) -> str:
    """What tells runs apart: the id, in databases before 0.24 the name."""
    return str(row[0] if row[0] is not None else row[1])


def _json(said: Any) -> Any:
    """The value of a JSON column, which holds bytes or text."""
    raw = said.encode() if isinstance(said, str) else said
    return of_json(raw) if isinstance(raw, bytes) and raw else None


def _fill(log: Log, rows: Iterator[tuple[Any, ...]]) -> None:
    frame, steps, times = Frame(), array("q"), array("d")
    malformed = 0
    for row, (_, name, step, time, metrics) in enumerate(rows):
        log.name = log.name or str(name or "")[:200]
        said = _json(metrics)
        malformed += not isinstance(said, dict)
        for leaf, number in numbers("", said):
            frame.put(leaf, row, number)
        steps.append(step if isinstance(step, int) and 0 <= step < 2**53 else row)
        times.append(seconds_of(time) if isinstance(time, str) else float("nan"))
        frame.rows += 1
    fill(log, frame, np.asarray(steps), np.asarray(times))
    for sentence in frame.unread:
        log.miss(sentence)
    if malformed:
        log.miss(f"{malformed} of {frame.rows} rows hold no JSON object of metrics")


def _configs(opened: Database) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    if opened.has("configs", "run_name", "config"):
        for row in opened.rows("configs", ("run_id", "run_name", "config")):
            said = _json(row[2]) if len(found) < _MOST_CONFIGS else None
            if isinstance(said, dict):
                found[_key(row)] = said
    return found


def _alerts(opened: Database) -> dict[str, list[tuple[int, str]]]:
    found: dict[str, list[tuple[int, str]]] = {}
    if opened.has("alerts", "run_name", "title"):
        for row in opened.rows("alerts", ("run_id", "run_name", "step", "level", "title", "text")):
            mine = found.setdefault(_key(row), [])
            if len(found) < _MOST_CONFIGS and len(mine) < 100:
                step = row[2] if isinstance(row[2], int) and row[2] >= 0 else 0
                mine.append((step, ": ".join(str(part)[:1000] for part in row[3:] if part)))
    return found


READER = Reader("trackio", 10, sniffs, read)

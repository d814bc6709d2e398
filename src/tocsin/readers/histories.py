"""Training histories inside of JSON: lists by quantity, rows, nested by split, one a model or fold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tocsin.readers.arranging import split_word
from tocsin.readers.clock import clock_of
from tocsin.readers.frame import Frame
from tocsin.readers.frame_logs import looks_like_log
from tocsin.readers.likeness import strongly, words
from tocsin.readers.naming import SPLITS
from tocsin.readers.records import frame_of
from tocsin.readers.values import number
from tocsin.readers.vocabulary import EPOCHS, STEPS, plain

_DEPTH = 4
_MOST_RUNS = 500
_MOST_KEYS = 2_000
_CONFIGS = ("config", "args", "hparams", "hyperparameters", "params", "parameters", "settings")
_WRAPPERS = frozenset(
    {"history", "logs", "log", "metrics", "data", "results", "training_history", "train_history", "training", "stats"}
)
_NUMBERED = re.compile(r"^(?:epoch|step|iter|iteration|ep|e)?[ _-]?(\d{1,9})$", re.IGNORECASE)


def histories(data: Any) -> Iterator[tuple[str, Frame, dict[str, Any]]]:
    """(name, frame, configuration) of each training history in some JSON; none where it holds none."""
    found = 0
    for name, frame, config in _search(data, "", {}, _DEPTH):
        if found < _MOST_RUNS and frame.rows and looks_like_log(frame):
            found += 1
            yield name, frame, config


def _search(data: Any, name: str, config: dict[str, Any], depth: int) -> Iterator[tuple[str, Frame, dict[str, Any]]]:
    if isinstance(data, list):
        if data and sum(isinstance(row, dict) for row in data) > 0.9 * len(data):
            yield name, frame_of(data), config
    elif isinstance(data, dict) and len(data) <= _MOST_KEYS:
        beside = {key: data[key] for key in _CONFIGS if isinstance(data.get(key), dict)}
        config = next(iter(beside.values()), config)
        if (rows := _numbered(data)) is not None:
            yield name, frame_of(rows), config
            return
        columns = _columns(data)
        if _is_history(columns):
            yield name, _frame_of_columns(columns), config
        if depth:
            for key, value in data.items():
                if key not in beside and not _merges(key, value):
                    yield from _search(value, name if key in _WRAPPERS else str(key), config, depth - 1)


def _numbered(data: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Rows by their number: ``{"1": {...}, "2": {...}}`` or ``{"epoch_1": {...}}``."""
    places = [_NUMBERED.match(key) for key in data]
    if len(data) < 2 or not all(places) or not all(isinstance(row, dict) for row in data.values()):
        return None
    counted = [(int(place[1]), row) for place, row in zip(places, data.values(), strict=True) if place]
    told = any(plain(key) in EPOCHS or plain(key) in STEPS for _, row in counted for key in row)
    return [row if told else {"epoch": place, **row} for place, row in sorted(counted, key=lambda pair: pair[0])]


def _columns(data: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Lists of numbers by name, those of a split or a quantity one level down included."""
    columns: dict[str, list[Any]] = {}
    for key, value in data.items():
        if _numbers(value):
            columns[str(key)] = value
        elif _merges(key, value):
            columns.update({f"{key}/{inner}": item for inner, item in value.items() if _numbers(item)})
    return columns


def _merges(key: str, value: Any) -> bool:
    """Whether a dict's lists belong to the level above: of a split, of a quantity, or by split."""
    if not isinstance(value, dict) or not value:
        return False
    return plain(str(key)) in SPLITS or strongly(str(key)) or all(plain(str(inner)) in SPLITS for inner in value)


def _numbers(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return (
        all(isinstance(item, int | float | str | None) and not isinstance(item, bool) for item in value)
        and any(number(item) is not None for item in value)
        and sum(isinstance(item, str) and number(item) is None for item in value) <= 0.1 * len(value)
    )


def _is_history(columns: dict[str, list[Any]]) -> bool:
    """A loss, or a metric of training and of evaluation, over more than one row, or rows that are counted."""
    named = [name for name, values in columns.items() if strongly(name) and len(values) > 1]
    counted = any(plain(name) in EPOCHS or plain(name) in STEPS for name in columns)
    splits = {split_word(name) for name in named}
    losses = any("loss" in word for name in named for word in words(name))
    return losses or (bool(named) and counted) or len(splits) > 1


def _frame_of_columns(columns: dict[str, list[Any]]) -> Frame:
    """Lists side by side; a shorter one of an evaluation every k-th row stands at each k-th row."""
    frame = Frame()
    mains = [len(values) for name, values in columns.items() if strongly(name)] or [0]
    longest = max(mains)
    frame.rows = longest
    for name, values in columns.items():
        rows = _rows_of(name, len(values), longest, frame)
        if rows is None:
            continue
        said = [(int(row), n) for row, value in zip(rows, values, strict=True) if (n := number(value)) is not None]
        frame.column(name).extend(
            np.array([row for row, _ in said], np.int64), np.array([value for _, value in said], np.float64)
        )
    clock = clock_of(frame)
    if clock.step is None and clock.epoch is None:
        whole = sum(length == longest for length in mains)
        counted = "epoch" if whole > 1 or longest < 1000 else "step"
        frame.column(counted).extend(np.arange(longest), np.arange(1.0, longest + 1))
    return frame


def _rows_of(name: str, length: int, longest: int, frame: Frame) -> Any:
    if length == longest:
        return np.arange(longest)
    if not strongly(name) and plain(name) not in EPOCHS and plain(name) not in STEPS:
        return None  # class weights, a confusion matrix: no curve
    if length > longest:
        return None
    if longest % length == 0 and longest < 100_000_000:
        every = longest // length
        return np.arange(1, length + 1) * every - 1
    frame.miss(f"{name}: {length} values for {longest} rows: taken as those of the first {length}")
    return np.arange(length)

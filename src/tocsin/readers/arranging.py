"""From rows as a log writes them to rows as they are meant: columns of splits, of names, of runs side by side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tocsin.readers.clock import clock_of
from tocsin.readers.frame import Frame
from tocsin.readers.naming import SPLITS
from tocsin.readers.vocabulary import GROUP_COLUMNS, NAME_COLUMNS, SPLIT_COLUMNS, plain

_MOST_GROUPS = 1000


def arranged(frame: Frame) -> Frame:
    """The frame with splits and quantity names taken from the columns that state them; the frame itself if none."""
    return _by_split(_unstacked(frame))


def split_word(text: str) -> str:
    """``train``, ``val``, ``test`` where a mark names a split (``eval_epoch``, ``TRAIN``), else ""."""
    for word in plain(text[:64]).split("_"):
        if word in SPLITS:
            return SPLITS[word]
    return ""


def _by_split(frame: Frame) -> Frame:
    best: dict[int, str] = {}
    for name, texts in frame.texts.items():
        if plain(name) in SPLIT_COLUMNS:
            splits = {row: word for row, text in texts.items() if (word := split_word(text))}
            best = max(best, splits, key=len)
    return _rekeyed(frame, best) if best else frame


def _rekeyed(frame: Frame, splits: dict[int, str]) -> Frame:
    by_row = np.array([splits.get(row, "") for row in range(frame.rows)], dtype=object)
    made = _empty_like(frame)
    for name, split, column in frame.items():
        rows, values = column.rows, column.values
        here = by_row[rows]
        for mine in sorted(set(here)):
            made.column(name, split or mine).extend(rows[here == mine], values[here == mine])
    return made


def _unstacked(frame: Frame) -> Frame:
    """Long tables (metric, value, step) turned into a column a metric."""
    value = next((n for n, _ in frame.numbers if plain(n) in ("value", "values", "metric_value")), None)
    tag = next((n for n, t in frame.texts.items() if plain(n) in NAME_COLUMNS and len(t) > 0.9 * frame.rows), None)
    if value is None or tag is None:
        return frame
    made = _empty_like(frame)
    for name, split, column in frame.items():
        if name != value:
            made.column(name, split).extend(column.rows, column.values)
            continue
        tags = frame.texts[tag]
        for row, number in zip(column.row, column.value, strict=True):
            made.put(tags.get(row, value), row, number, split)
    made.texts.pop(tag)
    return made


def _empty_like(frame: Frame) -> Frame:
    made = Frame()
    made.rows, made.texts, made.unread = frame.rows, dict(frame.texts), frame.unread
    made.breaks, made.marks = frame.breaks, frame.marks
    return made


def groups(frame: Frame) -> Iterator[tuple[str, Frame]]:
    """(name, rows) of the runs that a column keeps apart (model, fold, seed); one without name where none does."""
    for name in frame.names:
        if plain(name) not in GROUP_COLUMNS:
            continue
        labels = _labels(frame, name)
        kinds = list(dict.fromkeys(labels))
        if not (1 < len(kinds) <= _MOST_GROUPS and frame.rows >= 2 * len(kinds)):
            continue
        rows = {kind: np.array([row for row, label in enumerate(labels) if label == kind]) for kind in kinds}
        if all(_counted(frame.take(part)) for part in list(rows.values())[:20]):
            for kind, part in rows.items():
                mine = frame.take(part)
                mine.numbers = {key: column for key, column in mine.numbers.items() if key[0] != name}
                yield kind if not kind.replace(".", "").isdigit() else f"{name.strip()} {kind}", mine
            return
    yield "", frame


def _labels(frame: Frame, name: str) -> list[str]:
    if name in frame.texts:
        texts = frame.texts[name]
        return [texts.get(row, "") for row in range(frame.rows)]
    return [f"{value:g}" if np.isfinite(value) else "" for value in frame.dense(name)]


def _counted(frame: Frame) -> bool:
    """Whether each row of a group stands later than the one before it."""
    clock = clock_of(frame)
    line = clock.epoch if clock.step is None else np.where(clock.step >= 0, clock.step, np.nan)
    if line is None:
        return False
    gaps = np.diff(line[np.isfinite(line)])
    return gaps.size > 0 and float(np.mean(gaps >= 0)) > 0.9

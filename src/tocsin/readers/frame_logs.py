"""From a ``Frame`` to the ``Log``s of the runs that its rows tell of."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tocsin.readers.arranging import arranged, groups
from tocsin.readers.attempts import Attempt, attempts, forward, quiet_falls, unroll
from tocsin.readers.clock import Clock, clock_of
from tocsin.readers.frame import Frame
from tocsin.readers.likeness import line_of, tells_training
from tocsin.readers.log import Log
from tocsin.readers.naming import spelling
from tocsin.readers.vocabulary import TIMES, plain
from tocsin.run import Exit, Floats, Ints

_EXITS: dict[str, Exit] = {"finished": "finished", "failed": "failed", "interrupted": "interrupted"}


def looks_like_log(frame: Frame, *, lone: bool = False) -> bool:
    """Whether the rows are a training log: see ``likeness``; runs that a column keeps apart are judged one by one."""
    return any(tells_training(part, lone=lone) for _, part in groups(arranged(frame)))


def logs_of(frame: Frame, made: Callable[[], Log]) -> Iterator[Log]:
    """The logs of a frame: one a run, where a column keeps runs apart or the count of rows starts again.

    Args:
        frame: All rows of one file.
        made: A new, empty log with source and path.
    """
    for name, part in groups(arranged(frame)):
        clock = clock_of(part)
        per_epoch = None
        line = _line(clock, part)
        spans = attempts(line, part.breaks)
        if clock.step is not None:
            clock.step = np.where(np.isfinite(line) | (clock.epoch is line), clock.step, -1)
            per_epoch = unroll(clock)
        for span in spans:
            log = made()
            log.name = name or log.name
            log.unread.extend(part.unread)
            if clock.planned:
                log.planned(steps=int(clock.planned.get("steps", 0)), epochs=clock.planned.get("epochs"))
            if per_epoch:
                log.environment["steps_per_epoch"] = per_epoch
            _fill(log, part, clock, span)
            if log.told:
                yield log


def _line(clock: Clock, frame: Frame) -> Floats:
    if clock.step is None and clock.epoch is None:
        return np.full(frame.rows, np.nan) if not frame.breaks else np.zeros(frame.rows)
    return quiet_falls(line_of(clock), _tests_only(frame, clock))


def _tests_only(frame: Frame, clock: Clock) -> NDArray[np.bool_]:
    """Rows that hold numbers of the test split alone."""
    tests, others = np.zeros(frame.rows, bool), np.zeros(frame.rows, bool)
    for name, split, column in frame.items():
        if name not in clock.used:
            (tests if spelling(name, split).name.startswith("test/") else others)[column.rows] = True
    return np.asarray(tests & ~others)


def _fill(log: Log, frame: Frame, clock: Clock, span: Attempt) -> None:
    steps, at = _steps(clock, frame, span), None
    for name, split, column in frame.items():
        rows = column.rows
        inside = slice(*np.searchsorted(rows, (span.start, span.stop)))
        rows = rows[inside]
        if not rows.size or name in clock.used:
            continue
        log.extend(
            name or "value",
            column.values[inside],
            step=None if steps is None else steps[rows],
            epoch=None if clock.epoch is None else clock.epoch[rows],
            time=None if clock.time is None else clock.time[rows],
            split=split,
        )
    for row in span.resumed:
        at = int(steps[row]) if steps is not None else 0
        log.event("resume", "the count of the log goes back to an earlier one", step=max(at, 0))
    _tell(log, frame, span, steps)
    for name, value in _fixed_texts(frame, span).items():
        log.config.setdefault(name, value)


def _steps(clock: Clock, frame: Frame, span: Attempt) -> Ints | None:
    """Step of each row: the last one said before it where it says none; the row's number where nothing counts."""
    if clock.step is None:
        return None if clock.epoch is not None else np.arange(1 - span.start, frame.rows + 1 - span.start)
    known = np.where(clock.step >= 0, clock.step, np.nan).astype(np.float64)
    known[: span.start] = np.nan
    return np.nan_to_num(forward(known), nan=-1.0).astype(np.int64)


def _tell(log: Log, frame: Frame, span: Attempt, steps: Ints | None) -> None:
    """What rows tell besides numbers: events, the configuration, the end."""
    for row, kind, text, data in frame.marks:
        if not span.start <= row < span.stop:
            continue
        if kind == "config":
            log.config.update(data)
        elif kind == "exit":
            log.exit = _EXITS.get(text, "unknown")
        else:
            log.event(kind, text, step=None if steps is None else max(0, int(steps[row])), data=data)


def _fixed_texts(frame: Frame, span: Attempt) -> dict[str, str]:
    """Texts that are one and the same in all rows of a run: its configuration."""
    fixed = {}
    for name, texts in frame.texts.items():
        mine = {text for row, text in texts.items() if span.start <= row < span.stop}
        if len(mine) == 1 and len(texts) == frame.rows and plain(name) and plain(name) not in TIMES:
            fixed[name.strip()] = mine.pop()
    return fixed

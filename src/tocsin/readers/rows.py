"""From rows that are known to be of one run to its log: which column counts them, where none of them does."""

from __future__ import annotations

import numpy as np

from tocsin.readers.clock import clock_of
from tocsin.readers.frame import Frame
from tocsin.readers.log import Log
from tocsin.run import Floats, Ints

_KNOWN = 0.5  # of the rows: a column that counts only a few of them is no clock of the run


def fill(log: Log, frame: Frame, own: Ints, time: Floats) -> Ints:
    """Put the rows of one run into its log.

    Args:
        log: Takes the points.
        frame: The rows, without the format's own bookkeeping.
        own: The count that the format itself keeps, shape (rows,); it stands where the user logged no better one.
        time: Seconds since 1970 of each row, shape (rows,), NaN where unknown.

    Returns:
        The step of each row, shape (rows,).
    """
    clock = clock_of(frame)
    step = own if clock.step is None or not _counts(clock.step) else _forward(clock.step)
    if clock.planned:
        log.planned(steps=int(clock.planned.get("steps", 0)), epochs=clock.planned.get("epochs"))
    for name, split, column in frame.items():
        if name not in clock.used and column.row:
            rows = column.rows
            epoch = None if clock.epoch is None else clock.epoch[rows]
            log.extend(name or "value", column.values, step=step[rows], epoch=epoch, time=time[rows], split=split)
    return step


def _counts(step: Ints) -> bool:
    """Whether the count is known for most rows and never falls."""
    known = step[step >= 0]
    return known.size >= _KNOWN * step.size and bool((np.diff(known) >= 0).all())


def _forward(step: Ints) -> Ints:
    """Each row's count, the last one before it where it has none; 0 before the first."""
    return np.maximum(np.maximum.accumulate(step), 0)

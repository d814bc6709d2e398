"""Where one file holds several runs, where a run goes on from a checkpoint, and steps that count within an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tocsin.readers.clock import Clock
from tocsin.run import Floats


@dataclass
class Attempt:
    """The rows ``start`` (in) to ``stop`` (out) of one run; ``resumed``: rows at which it went on from earlier."""

    start: int
    stop: int
    resumed: list[int] = field(default_factory=list)


def attempts(line: Floats, breaks: list[int]) -> list[Attempt]:
    """The runs that follow one another in a log.

    Args:
        line: What counts the rows, shape (rows,), NaN where unknown.
        breaks: Rows before which the log says that it starts anew; they count where ``line`` does not go on.
    """
    found = [Attempt(0, line.size)]
    known = np.flatnonzero(np.isfinite(line))
    value = line[known]
    begin = 0  # the place in ``known`` at which the current attempt starts
    falls = set(np.flatnonzero(np.diff(value) < 0) + 1) | {int(np.searchsorted(known, row)) for row in breaks}
    for place in sorted(int(p) for p in falls):
        if not begin < place < value.size:
            continue
        said_anew = int(known[place]) in breaks
        kind = _kind_of_fall(value, begin, place) if not said_anew else _kind_of_break(value, begin, place)
        if kind == "restart":
            row = int(known[place])
            found[-1].stop = row
            found.append(Attempt(row, line.size))
            begin = place
        elif kind == "resume":
            found[-1].resumed.append(int(known[place]))
    return found


def _kind_of_fall(value: Floats, begin: int, place: int) -> str:
    """``restart``, ``resume`` or "" (a row that stands out of order)."""
    before, now = value[place - 1], value[place]
    out_of_order = place + 1 < value.size and value[place + 1] > before
    if now <= value[begin] + _gap(value[begin:place]) and not out_of_order:
        return "restart"
    if out_of_order or now < value[begin]:
        return "" if out_of_order else "restart"
    later = value[place : place + 3]
    return "resume" if later.size > 1 and bool((later < before).all()) else ""


def _kind_of_break(value: Floats, begin: int, place: int) -> str:
    if value[place] > value[place - 1]:
        return ""
    return "restart" if value[place] <= value[begin] + _gap(value[begin:place]) else "resume"


def _gap(value: Floats) -> float:
    """The usual distance between two rows, 0 where all stand at one."""
    gaps = np.diff(value)
    return float(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 0.0


def counts_within_epochs(clock: Clock) -> bool:
    """Whether the steps start again with each epoch."""
    if clock.step is None or clock.epoch is None:
        return False
    both = (clock.step >= 0) & np.isfinite(clock.epoch)
    step, epoch = np.diff(clock.step[both]), np.diff(np.floor(clock.epoch[both]))
    falls, turns = step < 0, epoch > 0
    if not falls.any() or not turns.any():
        return False
    return bool(np.mean(turns[falls] | (epoch[falls] < 0)) > 0.8 and np.mean(falls[turns]) > 0.5)


def unroll(clock: Clock) -> float | None:
    """Count steps over the whole run where they start again with each epoch; gives the steps of an epoch.

    An epoch is taken to be as long as the longest that the log shows.
    """
    if clock.step is None or clock.epoch is None or not counts_within_epochs(clock):
        return None
    epoch = forward(np.floor(clock.epoch))
    known = clock.step >= 0
    per_epoch = int(clock.step[known].max()) + int(clock.step[known].min() == 0)
    first = 0.0 if np.nanmin(epoch) == 0 else 1.0
    done = np.where(np.isfinite(epoch), epoch - first, 0.0).astype(np.int64) * per_epoch
    clock.step = np.where(known, clock.step + done, -1)
    return float(per_epoch)


def forward(values: Floats) -> Floats:
    """Unknown entries replaced by the last known one before them, shape as given."""
    known = np.isfinite(values)
    last = np.maximum.accumulate(np.where(known, np.arange(values.size), -1))
    return np.where(last >= 0, values[np.maximum(last, 0)], np.nan)


def quiet_falls(line: Floats, quiet: NDArray[np.bool_]) -> Floats:
    """``line`` without the falls of ``quiet`` rows: a test after the training is often logged at step 0."""
    if not quiet.any():
        return line
    cleaned = line.copy()
    top = -np.inf
    for row in np.flatnonzero(np.isfinite(line)):
        if quiet[row] and line[row] < top:
            cleaned[row] = np.nan
        else:
            top = line[row]
    return cleaned

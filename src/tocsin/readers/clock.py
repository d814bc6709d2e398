"""What counts the rows of a log: which of its columns are step, epoch and time, and how long the run was to be."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field

import numpy as np

from tocsin.readers.frame import Frame
from tocsin.readers.naming import SPLITS
from tocsin.readers.values import LARGEST_STEP, number
from tocsin.readers.vocabulary import (
    BOOKKEEPING,
    EPOCHS,
    INDEX,
    PLANNED_EPOCHS,
    PLANNED_STEPS,
    STEPS,
    TIMES,
    TIMES_OF_EACH,
    plain,
)
from tocsin.run import Floats, Ints

_FEW = 8  # rows
_ODD = 0.05  # of the rows
_CLOCK_TEXT = re.compile(r"^(?:(\d+) days?,? *)?(\d+):(\d\d)(?::(\d\d(?:\.\d+)?))?$")


@dataclass
class Clock:
    """Which columns count the rows, and what they say, each of shape (rows,).

    Attributes:
        step: -1 where a row has none; None where no column counts steps.
        epoch: NaN where a row has none; None where no column counts epochs.
        time: Seconds (a date: since 1970), NaN where unknown; None where no column tells it.
        used: Names of columns that are the clock's, or bookkeeping: no quantities of the run.
        planned: ``steps`` and ``epochs`` that the log declares.
    """

    step: Ints | None = None
    epoch: Floats | None = None
    time: Floats | None = None
    used: set[str] = field(default_factory=set)
    planned: dict[str, float] = field(default_factory=dict)


def clock_of(frame: Frame) -> Clock:
    """The clock of a frame's rows: the most telling column that counts upwards, restarts allowed."""
    clock = Clock()
    names = {name: _unsplit(plain(name)) for name, _ in frame.numbers}
    for name, said in names.items():
        _take_plan(frame, name, said, clock)
    _take_steps(frame, names, clock)
    _take_epochs(frame, names, clock)
    if clock.step is None and clock.epoch is None:
        _take_index(frame, names, clock)
    _take_time(frame, names, clock)
    clock.used |= {name for name, said in names.items() if said in BOOKKEEPING}
    return clock


def _unsplit(said: str) -> str:
    """``train_num_updates`` -> ``num_updates``: fairseq gives the split to the clock, too."""
    head, _, rest = said.partition("_")
    return rest if head in SPLITS and rest in ("num_updates", "wall") else said


def _take_plan(frame: Frame, name: str, said: str, clock: Clock) -> None:
    kind = "steps" if said in PLANNED_STEPS else "epochs" if said in PLANNED_EPOCHS else ""
    values = frame.named(name).values if kind else np.empty(0)
    if values.size and values.min() == values.max() > 0 and (values.size > 1 or said != "total_steps"):
        clock.planned[kind] = float(values[0])
        clock.used.add(name)


def _take_steps(frame: Frame, names: dict[str, str], clock: Clock) -> None:
    ranked = sorted((STEPS[said], name) for name, said in names.items() if said in STEPS and name not in clock.used)
    for _, name in ranked:
        values = _without_odd(frame.dense(name))
        if not _whole(values):
            if clock.step is not None and names[name] == "update":  # fairseq: the share of the epoch that is done
                clock.used.add(name)
            continue
        ascends = counts_up(values)
        if clock.step is None and (ascends or _within_epochs(frame, names, values)):
            clock.step = np.where(np.isfinite(values), values, -1).astype(np.int64)
            clock.used.add(name)
        elif ascends:  # a second way of counting
            clock.used.add(name)


def _without_odd(values: Floats) -> Floats:
    """Counts of which the odd one, torn or overwritten on its way to the disk, can be none."""
    odd = np.isfinite(values) & ~((values >= 0) & (values <= LARGEST_STEP) & (values == np.floor(values)))
    return np.where(odd, np.nan, values) if odd.sum() <= _ODD * np.isfinite(values).sum() else values


def _within_epochs(frame: Frame, names: dict[str, str], step: Floats) -> bool:
    """Whether the step counts up within the epochs and starts again with each."""
    for name, said in names.items():
        if said in EPOCHS:
            epoch = frame.dense(name)
            both = np.isfinite(epoch) & np.isfinite(step)
            same = np.diff(epoch[both]) == 0
            return bool(same.any() and np.mean(np.diff(step[both])[same] >= 0) > 0.95)
    return False


def _take_epochs(frame: Frame, names: dict[str, str], clock: Clock) -> None:
    ranked = sorted((EPOCHS[said], name) for name, said in names.items() if said in EPOCHS and name not in clock.used)
    for _, name in ranked:
        values = frame.dense(name)
        known = values[np.isfinite(values)]
        if (
            not known.size
            or known.min() < 0
            or known.max() > 1e7
            or not (counts_up(values, least=0.5) or _stands(known, clock))
        ):
            continue
        if clock.epoch is None:
            clock.epoch = values
        clock.used.add(name)


def _stands(known: Floats, clock: Clock) -> bool:
    """Whether all rows are of one epoch, whose steps are counted."""
    return clock.step is not None and bool(known.min() == known.max())


def _take_index(frame: Frame, names: dict[str, str], clock: Clock) -> None:
    """An index column without name (pandas) that numbers the rows."""
    for name, said in names.items():
        if said in INDEX:
            values = frame.dense(name)
            if values.size > 1 and np.array_equal(np.diff(values), np.ones(values.size - 1)) and 0 <= values[0] <= 1:
                clock.epoch = values
                clock.used.add(name)
                return


def _take_time(frame: Frame, names: dict[str, str], clock: Clock) -> None:
    for name in frame.texts:
        if plain(name) in TIMES and (seconds := _times_of(frame, name)) is not None:
            clock.time = clock.time if clock.time is not None else seconds
            clock.used.add(name)
    each: Floats | None = None
    for name, said in names.items():
        if said not in TIMES or name in clock.used:
            continue
        values = frame.dense(name)
        clock.used.add(name)
        if clock.time is None and said not in TIMES_OF_EACH and counts_up(values, strictly=True):
            clock.time = values
        elif each is None and said != "timestamp":
            each = values
    if clock.time is None and each is not None:
        clock.time = _summed(names, clock, each)


def _summed(names: dict[str, str], clock: Clock, each: Floats) -> Floats | None:
    """Time since the start where the log gives seconds an epoch, or (beside ``data_time``) seconds a step."""
    if not np.all(each[np.isfinite(each)] >= 0):
        return None
    known = np.where(np.isfinite(each), each, 0.0)
    if clock.step is not None and "data_time" in names.values():
        gaps = np.diff(clock.step, prepend=0)
        return np.asarray(np.cumsum(known * np.clip(gaps, 0, None)), np.float64)
    epochs_only = clock.epoch is not None and clock.step is None
    return np.asarray(np.cumsum(known), np.float64) if epochs_only else None


def _times_of(frame: Frame, name: str) -> Floats | None:
    seconds = frame.dense(name)
    for row, text in frame.texts[name].items():
        seconds[row] = seconds_of(text)
    return seconds if np.isfinite(seconds).any() else None


def seconds_of(text: str) -> float:
    """Seconds of a date (since 1970, UTC where it names no zone) or of ``[d days, ]h:mm[:ss]``; NaN otherwise."""
    text = text.strip()[:64]
    if (value := number(text)) is not None:
        return value
    if match := _CLOCK_TEXT.match(text):
        days, hours, minutes, rest = match.groups()
        return int(days or 0) * 86400.0 + int(hours) * 3600 + int(minutes) * 60 + float(rest or 0)
    for form in (text, text.replace(",", "."), text.replace("/", "-")):
        try:
            when = dt.datetime.fromisoformat(form)
            return when.replace(tzinfo=when.tzinfo or dt.UTC).timestamp()
        except (ValueError, OverflowError):
            continue
    return float("nan")


def counts_up(values: Floats, *, least: float = 0.0, strictly: bool = False) -> bool:
    """Whether known values rise or stand from row to row in this share of rows at least: all but restarts.

    ``strictly``: nearly always, and do not stand still for long. Noise of whole numbers (steps of an episode) rises
    or stands in 50 to 60 % of its rows, a count that starts again every fourth row in 75 %.
    """
    known = values[np.isfinite(values)]
    if known.size < 2:
        return known.size == 1
    gaps = np.diff(known)
    rises = float(np.mean(gaps >= 0))
    if strictly:
        return rises > 0.95 and float(np.mean(gaps > 0)) > 0.3
    return rises >= (least or (0.6 if known.size < _FEW else 0.75)) and bool((gaps > 0).any())


def _whole(values: Floats) -> bool:
    known = values[np.isfinite(values)]
    return bool(
        known.size
        and known.min() >= 0
        and known.max() <= LARGEST_STEP
        and float(np.mean(known == np.floor(known))) > 0.99
    )

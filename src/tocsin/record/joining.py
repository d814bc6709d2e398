"""Attempts of one rank -> one history: a later attempt wins from its first step on; epochs are filled in."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tocsin.record.decoding import moment
from tocsin.record.segments import Column
from tocsin.run import Evaluation, Event, Floats, Ints, Series

Attempted = tuple[int, Mapping[str, Column]]


@dataclass(frozen=True)
class History:
    """When each attempt began and from where it stands.

    Attributes:
        attempts: Numbers of the attempts that stand anywhere, ascending.
        from_step: For each of them, the step from which it or a later one replaces all earlier ones.
        offset: By attempt, seconds from the start of the first attempt to its own.
    """

    attempts: Sequence[int]
    from_step: Sequence[float]
    offset: Mapping[int, float]

    def until(self, attempt: int) -> float:
        """The step from which later attempts replace ``attempt``; infinity for the last one."""
        later = bisect_right(self.attempts, attempt)
        return self.from_step[later] if later < len(self.attempts) else math.inf

    def shift(self, attempt: int) -> float:
        """Seconds to add to the times of ``attempt``."""
        return self.offset.get(attempt, 0.0)


def history(
    segments: Sequence[Attempted], evaluations: Iterable[tuple[int, Evaluation]], attempts: Sequence[Mapping[str, Any]]
) -> History:
    """Work out which attempt stands where.

    An attempt stands from the step after the one that it resumed from, if it says so and got further; else from the
    least positive step of its rows, or of its evaluations if it has no rows. One that began at step 1 began from
    scratch, so what earlier ones said about step 0 goes too. Clocks may have been set back between attempts: a later
    one never starts before the end of what is kept.
    """
    resumed = {n: after for n, a in enumerate(attempts, 1) if type(after := a.get("after")) is int and after >= 0}
    rows: dict[int, float] = {}
    seen: dict[int, float] = {}
    last: dict[int, float] = {}
    for attempt, columns in segments:
        for column in columns.values():
            later = column.step[column.step > resumed.get(attempt, 0)]
            if later.size:
                rows[attempt] = min(rows.get(attempt, np.inf), float(later.min()))
            times = column.time[np.isfinite(column.time)]
            if times.size:
                last[attempt] = max(last.get(attempt, 0.0), float(times.max()))
    for attempt, evaluation in evaluations:
        if evaluation.step > resumed.get(attempt, 0):
            seen[attempt] = min(seen.get(attempt, np.inf), float(evaluation.step))
    first = {n: float(resumed[n] + 1) if n in resumed else step for n, step in (seen | rows).items()}
    order = sorted(first)
    least = np.minimum.accumulate([first[n] if first[n] > 1 else 0.0 for n in reversed(order)])[::-1].tolist()
    return History(order, least, _offsets(attempts, last))


def _offsets(attempts: Sequence[Mapping[str, Any]], last: Mapping[int, float]) -> dict[int, float]:
    starts = [moment(a.get("start")) for a in attempts]
    offsets: dict[int, float] = {}
    at_least = 0.0
    for number, start in enumerate(starts, 1):
        offsets[number] = max(start - starts[0], at_least)
        at_least = offsets[number] + last.get(number, 0.0)
    return offsets


def join(segments: Sequence[Attempted], past: History) -> dict[str, Column]:
    """One column a series, in order of step; rows of an attempt that a later one replaces are left out."""
    parts: dict[str, list[Column]] = {}
    for attempt, columns in segments:
        until, shift = past.until(attempt), past.shift(attempt)
        for name, column in columns.items():
            keep = column.step < until
            kept = column if keep.all() else _pick(column, keep)
            parts.setdefault(name, []).append(replace(kept, time=kept.time + shift) if shift else kept)
    return {name: _concatenate(columns) for name, columns in sorted(parts.items())}


def _pick(column: Column, which: Any) -> Column:
    return Column(column.step[which], column.epoch[which], column.time[which], column.value[which])


def _concatenate(columns: list[Column]) -> Column:
    names = ("step", "epoch", "time", "value")
    whole = Column(*(np.concatenate([getattr(c, name) for c in columns]) for name in names))
    if np.any(whole.step[1:] < whole.step[:-1]):
        whole = _pick(whole, np.argsort(whole.step, kind="stable"))
    return whole


class Epochs:
    """The epoch of a step from the events that end epochs: up to the first end is its epoch, and so on."""

    def __init__(self, events: Iterable[Event]) -> None:
        ends: dict[int, int] = {}
        for event in events:
            if event.kind == "end_epoch":
                epoch = event.data.get("epoch")
                ends.setdefault(event.step, epoch if type(epoch) is int and 0 < epoch < 2**53 else len(ends) + 1)
        self._steps = np.array(sorted(ends), dtype=np.int64)
        self._epochs = np.array([ends[step] for step in sorted(ends)], dtype=np.float64)

    def of(self, step: Ints) -> Floats:
        """Epoch of each step, shape (n,); after the last end the next epoch, NaN if no epoch ended."""
        if not self._steps.size:
            return np.full(step.shape, np.nan)
        return np.append(self._epochs, self._epochs[-1] + 1)[np.searchsorted(self._steps, step, side="left")]

    def series(self, name: str, column: Column) -> Series:
        """The series of a column, with the epochs that its rows did not say."""
        unknown = np.isnan(column.epoch)
        epoch = np.where(unknown, self.of(column.step), column.epoch) if unknown.any() else column.epoch
        return Series(name, column.step, column.value, epoch, column.time)

    def evaluation(self, evaluation: Evaluation) -> Evaluation:
        """The evaluation with its epoch, where it did not say."""
        if not np.isnan(evaluation.epoch):
            return evaluation
        return replace(evaluation, epoch=float(self.of(np.array([evaluation.step]))[0]))

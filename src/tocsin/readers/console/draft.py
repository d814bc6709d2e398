"""``Draft``: one run while its lines are being read; its steps are settled when its last line is known."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tocsin.readers.console.steps import Frames, settle
from tocsin.readers.log import NAN, Log
from tocsin.readers.values import LARGEST_STEP

KINDS = ("", "global", "step", "batch", "bar")
_MOST_OF_A_KIND = 400


@dataclass
class Frame:
    """Where a line stands: its own position, or that of the lines before it.

    ``kind`` says what ``count`` counts (see ``plan.Place``); ``train`` is False for lines of an evaluation.
    """

    epoch: float = NAN
    count: int = -1
    kind: str = ""
    total: int = -1
    time: float = NAN
    train: bool = True


@dataclass
class _Column:
    frame: array[int] = field(default_factory=lambda: array("q"))
    value: array[float] = field(default_factory=lambda: array("d"))


@dataclass
class _Event:
    kind: str
    text: str
    data: dict[str, Any]
    frame: int


class Draft:
    """One run while its lines are being read.

    Attributes:
        log: What is known of it besides its points and events.
        fatal: The last thing that ended it or could have: its text, its type and the exit that it means.
        survived: Lines of training since then.
        over: The words that say that training is over, "" for none.
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self.fatal: tuple[str, str, str] | None = None
        self.survived = 0
        self.over = ""
        self._epoch, self._time = array("d"), array("d")
        self._count, self._total = array("q"), array("q")
        self._kind, self._train = array("b"), array("b")
        self._columns: dict[tuple[str, str], _Column] = {}
        self._spelt: dict[tuple[str, str], tuple[str, str]] = {}
        self._events: list[_Event] = []
        self._kinds: dict[str, int] = {}
        self._said: set[tuple[str, str]] = set()

    def add(self, frame: Frame, points: list[tuple[str, str, float]]) -> None:
        """Keep the points (name, split, value) of one line."""
        at = len(self._epoch)
        self._epoch.append(frame.epoch if abs(frame.epoch) <= LARGEST_STEP else NAN)
        self._time.append(frame.time)
        self._count.append(frame.count)
        self._total.append(frame.total)
        self._kind.append(KINDS.index(frame.kind))
        self._train.append(frame.train)
        for name, split, value in points:
            column = self._columns.get((name, split)) or self._columns.get(
                self._spelt.get((name.lower(), split), ("", ""))
            )
            if column is None:
                if len(self._columns) >= 2000:
                    self.log.miss("more than 2000 names in console text: the later ones were left out")
                    continue
                column = self._columns[name, split] = _Column()
                self._spelt[name.lower(), split] = (name, split)
            column.frame.append(at)
            column.value.append(value)

    def event(self, kind: str, text: str, data: Mapping[str, Any] | None = None, *, once: str = "") -> None:
        """Keep something that was said; of texts with the same ``once`` only the first."""
        if once and (kind, once) in self._said:
            return
        if once:
            self._said.add((kind, once))
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if self._kinds[kind] > _MOST_OF_A_KIND:
            self.log.miss(f"more than {_MOST_OF_A_KIND} lines of the kind {kind!r}: the later ones were left out")
            return
        self._events.append(_Event(kind, text, dict(data or {}), len(self._epoch) - 1))

    def absorb(self, other: Draft) -> None:
        """Take over what another draft without points says: the launch of a run that goes on."""
        for event in other._events:
            self.event(event.kind, event.text, event.data)
        for key, value in other.log.config.items():
            self.log.config.setdefault(key, value)
        for key, value in other.log.environment.items():
            self.log.environment.setdefault(key, value)
        self.log.unread.extend(sentence for sentence in other.log.unread if sentence not in self.log.unread)

    @property
    def resumes(self) -> bool:
        """Whether it says that it goes on from a checkpoint."""
        return "resume" in self._kinds

    @property
    def empty(self) -> bool:
        """Whether it has no point."""
        return not self._columns

    @property
    def told(self) -> bool:
        """Whether it says anything of a run: a point, an event, a configuration, a plan, an ending."""
        log = self.log
        return bool(
            self._columns
            or self._events
            or log.config
            or log.environment
            or self.fatal
            or self.over
            or log.exit != "unknown"
        )

    def close(self) -> Log:
        """The log, with each point and event at its step."""
        self._count_overflows()
        frames = Frames(
            np.frombuffer(self._epoch, np.float64), np.frombuffer(self._count, np.int64),
            np.frombuffer(self._kind, np.int8), np.frombuffer(self._total, np.int64),
            np.frombuffer(self._train, np.int8) > 0,
        )  # fmt: skip
        settled = settle(frames, self._repeats())
        time = np.frombuffer(self._time, np.float64)
        for (name, split), column in self._columns.items():
            at = np.frombuffer(column.frame, np.int64)
            self.log.extend(
                name, np.frombuffer(column.value, np.float64), step=settled.step[at], epoch=frames.epoch[at],
                time=time[at], split=split,
            )  # fmt: skip
        if settled.per_epoch > 0:
            self.log.environment.setdefault("steps_per_epoch", settled.per_epoch)
        for event in self._events:
            step = int(settled.step[event.frame]) if event.frame >= 0 else 0
            self.log.event(event.kind, event.text, step=max(step, 0), data=event.data)
        self._end()
        return self.log

    def _count_overflows(self) -> None:
        """Each overflow was a skipped step, unless the log counts those itself."""
        overflows = self._columns.pop(("overflows", ""), None)
        if overflows is not None:
            self._columns.setdefault(("count/skipped", ""), overflows)

    def _repeats(self) -> bool:
        """Whether some quantity of training has several points in one epoch, without a count to tell them apart."""
        epoch, train = np.frombuffer(self._epoch, np.float64), np.frombuffer(self._train, np.int8) > 0
        for column in self._columns.values():
            at = np.frombuffer(column.frame, np.int64)
            own = epoch[at][train[at]]
            own = np.nan_to_num(own, nan=-1.0)
            if own.size > np.unique(own).size * 1.2 + 1:
                return True
        return False

    def _end(self) -> None:
        if self.over:
            self.log.event("exit", self.over)
            self.log.exit = "finished"
        if self.fatal is None:
            return
        text, kind, ending = self.fatal
        self.log.event("exception", text, data={"type": kind})
        self.log.exit = ending  # type: ignore[assignment]  # one of the five, by endings.py

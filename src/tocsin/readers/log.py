"""``Log``: what one source says about one run, while it is being read; every reader fills one or several."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tocsin.readers.naming import Spelling, spelling
from tocsin.readers.values import LARGEST_STEP
from tocsin.run import Event, Exit, Run, Series

MOST_SERIES = 20_000  # a run of more names is cut, and said so: memory stays bounded whatever a file holds
MOST_EVENTS = 2_000
MOST_TEXT = 20_000
_NO_STEP = -1
_UNIX = 1e8  # seconds; larger times are dates, smaller ones durations
NAN = float("nan")


@dataclass
class Points:
    """The points of one foreign name in the order of reading; step ``_NO_STEP`` where the log gives none."""

    step: array[int] = field(default_factory=lambda: array("q"))
    value: array[float] = field(default_factory=lambda: array("d"))
    epoch: array[float] = field(default_factory=lambda: array("d"))
    time: array[float] = field(default_factory=lambda: array("d"))


@dataclass
class Log:
    """One run as one source tells it.

    Attributes:
        source: Format, e.g. ``keras-csv``; the run's ``source``.
        path: The file (or the folder of a folder format) that it was read from.
        name: The run's own name where the source gives one (W&B display name, MLflow run name), else "".
        config: The configuration, nested; ``config_typed`` is False where the source keeps only text.
        environment: Versions, device, ``command``; ``planned`` = {"steps": n, "epochs": n} as the log declares them;
            ``steps_per_epoch``.
        exit: How it ended.
        events: See ``event``.
        unread: What could not be read, a sentence each, without the path.
        claims: Files and folders that this log has used up, besides ``path``: no other reader looks at them.
    """

    source: str
    path: Path
    name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    config_typed: bool = True
    environment: dict[str, Any] = field(default_factory=dict)
    exit: Exit = "unknown"
    events: list[Event] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    claims: list[Path] = field(default_factory=list)
    at: int = 0
    _points: dict[tuple[str, str], Points] = field(default_factory=dict)

    def add(
        self,
        name: str,
        value: float,
        *,
        step: int | None = None,
        epoch: float | None = None,
        time: float | None = None,
        split: str = "",
    ) -> None:
        """Add one point under its foreign name; the canonical one is found here (``naming.spelling``).

        Args:
            name: As the log writes it; a canonical name is kept as it is.
            value: NaN and inf are kept.
            step: As the log counts it; None: none given, then the point stands at the last step seen (``at``), or,
                in a log that never gives one, at its epoch. Negative or absurdly large ones are taken for none.
            epoch: As the log counts it; logs whose whole-numbered epochs start at 0 are shifted to start at 1.
            time: Seconds, since the start or since 1970 (recognised by size); None where unknown.
            split: The split that the context says, see ``naming.spelling``.
        """
        points = self._column(name, split)
        if points is None:
            return
        known = step is not None and 0 <= step <= LARGEST_STEP
        if known and step is not None:
            self.at = max(self.at, step)
        points.step.append(step if known and step is not None else (self.at or _NO_STEP))
        points.value.append(value)
        points.epoch.append(NAN if epoch is None else epoch)
        points.time.append(NAN if time is None else time)

    def extend(
        self, name: str, value: Any, *, step: Any = None, epoch: Any = None, time: Any = None, split: str = ""
    ) -> None:
        """Add a whole column at once: arrays of shape (n,); steps below 0 are "none given"; as ``add`` otherwise."""
        points = self._column(name, split)
        if points is None:
            return
        values = np.ascontiguousarray(value, np.float64)
        steps = np.full(values.size, _NO_STEP, np.int64) if step is None else _sound(np.asarray(step))
        if steps.size:
            self.at = max(self.at, int(steps.max()))
        points.step.frombytes(steps.tobytes())
        points.value.frombytes(values.tobytes())
        for column, given in ((points.epoch, epoch), (points.time, time)):
            full = np.full(values.size, np.nan) if given is None else np.ascontiguousarray(given, np.float64)
            column.frombytes(full.tobytes())

    def event(
        self,
        kind: str,
        text: str = "",
        *,
        step: int | None = None,
        time: float = NAN,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep something that was said once. Kinds that rules know:

        ``exception`` (``text`` = the whole traceback or fatal message; ``data["type"]`` = its type) · ``exit`` ·
        ``launch`` (``text`` = the command line) · ``warning`` · ``message`` (lines that speak of NaN, inf, overflow,
        divergence, skipped steps) · ``early-stop`` · ``best`` (``data``: any of step, epoch, metric, value) ·
        ``resume`` · ``truncated`` (the source ends in the middle of a record).
        """
        if len(self.events) < MOST_EVENTS:
            self.events.append(
                Event(kind, text[-MOST_TEXT:], self.at if step is None else step, time, dict(data or {}))
            )
        else:
            self.miss(f"more than {MOST_EVENTS} events: the later ones were left out")

    def miss(self, sentence: str) -> None:
        """Say once what could not be read."""
        if sentence not in self.unread:
            self.unread.append(sentence)

    def planned(self, *, steps: int | None = None, epochs: float | None = None) -> None:
        """Note how long the log says that the run was to be; the first word counts."""
        plan = self.environment.setdefault("planned", {})
        for key, value in (("steps", steps), ("epochs", epochs)):
            if value is not None and value > 0:
                plan.setdefault(key, value)

    def absorb(self, later: Log, split: str = "", rename: Callable[[str], str] = str) -> None:
        """Take over what a later file of the same format says of the same run.

        Where both have a name, the later file counts from its first step on: what stood behind it was trained again.

        Args:
            later: The other log; it is not changed.
            split: The split that its place gives to names without one (TensorBoard's ``validation/``).
            rename: The foreign name here of a foreign name there.
        """
        for (name, its_split), points in later._points.items():
            mine = self._column(rename(name), its_split or split)
            if mine is not None:
                _append(mine, points)
        for event in later.events:
            self.event(event.kind, event.text, step=event.step, time=event.time, data=event.data)
        for sentence in later.unread:
            self.miss(sentence)
        self.config = {**later.config, **self.config}
        self.environment = {**later.environment, **self.environment}
        self.config_typed = self.config_typed and later.config_typed
        self.exit = later.exit if later.exit != "unknown" else self.exit
        self.claims += later.claims
        self.at = max(self.at, later.at)
        self.name = self.name or later.name

    @property
    def names(self) -> list[str]:
        """The foreign names that have a point."""
        return [name for (name, _), points in self._points.items() if points.value]

    @property
    def empty(self) -> bool:
        """Whether it holds no point."""
        return not any(points.value for points in self._points.values())

    @property
    def told(self) -> bool:
        """Whether it says anything about a run at all: a point, an event, a way of ending."""
        return not self.empty or bool(self.events) or self.exit != "unknown"

    def run(self) -> Run:
        """The run that this log alone tells."""
        start = self._start()
        shift = self._epoch_shift()
        named = self._named()
        stepless = all(step == _NO_STEP for points in self._points.values() for step in points.step[:1])
        series = {name: _series(name, points, start, shift, stepless) for name, points in sorted(named.items())}
        return Run(
            self.name or self.path.stem,
            series={name: s for name, s in series.items() if len(s)},
            events=tuple(self.events),
            config=self.config,
            config_typed=self.config_typed,
            environment=self.environment,
            exit=self.exit,
            path=self.path,
            source=self.source,
            unread=tuple(self.unread),
        )

    def _column(self, name: str, split: str) -> Points | None:
        key = (name, split)
        points = self._points.get(key)
        if points is None:
            if len(self._points) >= MOST_SERIES:
                self.miss(f"more than {MOST_SERIES} names: the later ones were left out")
                return None
            points = self._points[key] = Points()
        return points

    def _start(self) -> float:
        """The earliest date, so that times count from it; 0 where times are durations."""
        dates = [t for points in self._points.values() for t in points.time[:1] if _UNIX < t < math.inf]
        return min(dates, default=0.0)

    def _epoch_shift(self) -> float:
        """1 where the log's whole-numbered epochs start at 0."""
        epochs = np.concatenate([np.asarray(p.epoch) for p in self._points.values()] or [np.empty(0)])
        epochs = epochs[np.isfinite(epochs)]
        return float(epochs.size > 0 and epochs.min() == 0 and bool(np.all(epochs == np.floor(epochs))))

    def _named(self) -> dict[str, Points]:
        """Points by canonical name. Two foreign names of one meaning stay apart: the finer, longer one takes it."""
        ranked: dict[str, list[tuple[tuple[bool, int], str, Points]]] = {}
        known = {spelling(*key).name for key in self._points}
        for (name, split), points in self._points.items():
            said = _with_split(spelling(name, split), known)
            ranked.setdefault(said.name, []).append(((said.per_epoch, -len(points.value)), name, points))
        named: dict[str, Points] = {}
        for canonical, rivals in ranked.items():
            for place, (_, name, points) in enumerate(sorted(rivals, key=lambda rival: rival[0])):
                extra = "" if not place else "_" + "_".join(name.lower().replace("/", " ").split())
                named[canonical + extra] = points
        return named


def _sound(step: Any) -> Any:
    """Steps as integers; what is none, negative or absurdly large becomes ``_NO_STEP``."""
    return np.where((step >= 0) & (step <= LARGEST_STEP), step, _NO_STEP).astype(np.int64)


def _append(mine: Points, later: Points) -> None:
    """Put the later points behind those of ``mine`` that stand before their first step."""
    first = min(later.step, default=_NO_STEP)
    keep = np.asarray(mine.step) < first if first >= 0 else np.ones(len(mine.step), bool)
    mine.step = array("q", np.concatenate([np.asarray(mine.step)[keep], later.step]).tobytes())
    mine.value = array("d", np.concatenate([np.asarray(mine.value)[keep], later.value]).tobytes())
    mine.epoch = array("d", np.concatenate([np.asarray(mine.epoch)[keep], later.epoch]).tobytes())
    mine.time = array("d", np.concatenate([np.asarray(mine.time)[keep], later.time]).tobytes())


def _with_split(said: Spelling, known: set[str]) -> Spelling:
    """A metric without split is of training where the same log has its ``val`` twin (Keras)."""
    mine = "/" not in said.name and f"val/{said.name}" in known
    return Spelling(f"train/{said.name}", said.per_epoch) if mine else said


def _series(name: str, points: Points, start: float, shift: float, stepless: bool) -> Series:
    step, value = np.asarray(points.step, np.int64), np.asarray(points.value, np.float64)
    epoch, time = np.asarray(points.epoch, np.float64) + shift, np.asarray(points.time, np.float64)
    time = np.where(np.isfinite(time), time, np.nan)
    if stepless:
        whole = np.isfinite(epoch) & (epoch == np.floor(epoch)) & (np.abs(epoch) < LARGEST_STEP)
        by_epoch = bool(whole.all()) and np.unique(epoch).size == epoch.size
        step = epoch.astype(np.int64) if by_epoch else np.arange(1, value.size + 1)
    order = np.argsort(np.maximum(step, 0), kind="stable")
    since = np.where(time > _UNIX, time - start, time)
    return Series(name, np.maximum(step, 0)[order], value[order], epoch[order], since[order])

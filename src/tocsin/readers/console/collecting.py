"""``Collecting``: what is open while lines are read: positions, tables, boxes, blocks of settings, the run."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path

from tocsin.readers.console import configs, results, tables
from tocsin.readers.console.bars import Points, States, Turns
from tocsin.readers.console.draft import Frame
from tocsin.readers.console.runs import Runs
from tocsin.readers.console.shapes import Shapes
from tocsin.readers.console.traces import Trace
from tocsin.readers.log import NAN, Log

_ROW = -2  # in place of the total: a row of a table that a bar will repeat
_KEPT_LINES = 16
_MOST_SETTINGS = 500
_FEWEST_SETTINGS = 4
NEAR = 6  # lines: a heading speaks of the block right below it


class Collecting:
    """What lines told so far.

    Attributes:
        evidence: How sure it is that this is a log of training: a point each for what only such logs hold.
        metric_lines: Lines that stated quantities, those with a position counted twice.
        sure_lines: Those among them that hardly anything but such a log holds.
    """

    def __init__(self, source: str, path: Path) -> None:
        self._runs = Runs(lambda: Log(source, path))
        self._shapes = Shapes()
        self.evidence = 0
        self.metric_lines = self.sure_lines = 0
        self._epoch, self._new_epoch = NAN, False
        self._split, self._announced = "", False
        self._rank = -1
        self._skip = False
        self._trace: Trace | None = None
        self._tables = tables.OpenTables()
        self._report = ""
        self._result: results.Result | None = None
        self._copied = results.Copied()
        self._counted: tuple[int, str, int] | None = None
        self._bars: dict[int, int] = {}
        self._bar_done: tuple[float, int] = (NAN, -1)
        self._states = States()
        self._turns = Turns()
        self._recent: deque[tuple[object, ...]] = deque(maxlen=_KEPT_LINES)
        self._place: tuple[float, int] = (NAN, -1)
        self._block: list[tuple[int, str, str]] = []
        self._open: list[str] = []
        self._before_cell = 0
        self._mishap: tuple[str, str] | None = None
        self._boxed: Points = []
        self._boxed_at: Frame | None = None
        self._scales = 0
        self._skipped = 0.0
        self._lines = 0
        self._training_at = -NEAR

    @property
    def _nowhere(self) -> bool:
        """Whether no position is known yet."""
        return math.isnan(self._epoch) and self._counted is None

    def _tabled(self, row: tables.Row) -> None:
        if row.epoch is not None:
            self._epoch, self._new_epoch = row.epoch, True
            if row.total > 0:
                self._runs.saying.log.planned(epochs=row.total)
        evaluation = bool(row.points) and all(split for _, split, _ in row.points)
        count = -1 if row.step is None else row.step
        self.metric_lines += 1
        self.sure_lines += row.epoch is not None or row.step is not None or evaluation
        frame = Frame(self._epoch, count, "step" if count >= 0 else "", train=not evaluation)
        held = self._states.held
        if held is not None and held[2] == _ROW and held[0].epoch == frame.epoch:
            self._states.held = None
        self._release()
        if row.partial:
            self._states.held = (frame, row.points, _ROW)
        else:
            self._add(frame, row.points)

    def _evaluated(self, points: Points) -> None:
        """Scores of an evaluation: of the announced split, else of validation."""
        if not points:
            return
        self.metric_lines += 2
        split = self._split or ("train" if self._lines - self._training_at < NEAR else "val")
        self._add(Frame(epoch=self._epoch, train=False), [(name, split, number) for name, _, number in points])

    def _setting(self, key: str, said: str) -> None:
        if len(self._block) < _MOST_SETTINGS:
            self._block.append((self._lines, key, said))

    def _settings(self, message: str) -> None:
        for key, said in configs.settings(message):
            self._setting(key, said)

    def _end_block(self) -> None:
        """Lines of ``key: value`` before the first step are the configuration, where several stand together."""
        block, self._block = self._block, []
        draft = self._runs.saying
        if draft.log.config or draft.fatal:
            return
        found: dict[str, str] = {}
        together: dict[str, str] = {}
        last = -NEAR
        for line, key, said in [*block, (last, "", "")]:
            if not 0 <= line - last <= 2:
                found |= together if len(together) >= _FEWEST_SETTINGS else {}
                together = {}
            together[key] = said
            last = line
        if found:
            draft.log.config, draft.log.config_typed = found, False

    def _end_box(self) -> None:
        """The rows of a boxed table (``| ep_rew_mean | 12 |``) are of the position that one of them states."""
        points, self._boxed = self._boxed, []
        frame, self._boxed_at = self._boxed_at, None
        if frame is None and self._runs.draft.empty and self._nowhere and not self._split:
            for name, _, number in points:
                self._setting(name, repr(number))
        elif points:
            self.metric_lines += 2
            self._add(frame or Frame(epoch=self._epoch), points)

    def _end_result(self) -> None:
        """A block of results of one trial of several is over."""
        found, self._result = self._result, None
        if found is not None and found.points:
            self.metric_lines += 2
            self.sure_lines += 1
            self._runs.of(found.trial)
            self._add(Frame(NAN, found.step, "global" if found.step >= 0 else ""), found.points)

    def _set_epoch(self, epoch: float, total: int) -> None:
        if epoch != self._epoch:
            self._new_epoch = True
        self._epoch = epoch
        if total > 0:
            self._runs.saying.log.planned(epochs=total)
        if epoch == 1 or epoch == 0:
            self._new_epoch = True

    def _release(self) -> None:
        held = self._states.release()
        if held is not None:
            self._add(held[0], held[1])

    def _add(self, frame: Frame, points: Points, tag: str = "") -> None:
        began = self._runs.tracked(frame, tag)
        if began and not tag:
            self._counted = None if frame.count < 0 else self._counted
            self._turns = Turns()
            self._scales, self._skipped, self._recent = 0, 0.0, deque(maxlen=_KEPT_LINES)
            if math.isfinite(frame.epoch) and not self._new_epoch and frame.epoch != self._epoch:
                frame.epoch = NAN
        self._new_epoch = False
        self._runs.draft.add(frame, points)

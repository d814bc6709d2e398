"""``Measuring``: keeps the position, the split and the run that lines stand in, and the quantities that they state."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path

from tocsin.readers.console import configs, results, tables
from tocsin.readers.console.bars import Points, States, Turns, fractional, fresh
from tocsin.readers.console.draft import Frame
from tocsin.readers.console.numbers import value, whole
from tocsin.readers.console.plan import Pair, Place, Plan
from tocsin.readers.console.prefixes import seconds
from tocsin.readers.console.runs import Runs
from tocsin.readers.console.shapes import Shapes
from tocsin.readers.console.traces import Trace
from tocsin.readers.log import NAN, Log

Numbers = list[str] | tuple[str, ...]
_SCALES = frozenset({"loss scale", "loss_scale", "Loss scale", "grad_scale", "Loss Scale", "Fp16 Grad Scale"})
_SCORES = frozenset({"precision", "recall", "f1", "f", "fscore", "f-score", "f1-score", "f1 score", "f1_score"})
_UNDEFINED = -1.0
_ROW = -2  # in place of the total: a row of a table that a bar will repeat
_SKIPPED = frozenset({"number of skipped iterations"})
_KEPT_LINES = 16
_MOST_SETTINGS = 500
_FEWEST_SETTINGS = 4
_FINE = 7  # digits
NEAR = 6  # lines: a heading speaks of the block right below it


class Measuring:
    """What lines measure.

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

    def _measured(self, plan: Plan, numbers: Numbers, line: str) -> None:
        if plan.rank >= 0 and not self._heard(plan):
            return
        if line[0] == "|" and line.rstrip()[-1:] == "|" and line.count("|") == 3:
            self._box(plan, numbers)
            return
        if ("%" in line or "Class" in line) and "Images" in line and (found := tables.header(line)) is not None:
            self._tables.begin(found)
            return
        if plan.header:
            self._header(plan, numbers)
            return
        if plan.brief and self._runs.draft.empty and self._nowhere and not self._split and not plan.pairs[0].split:
            self._setting(plan.pairs[0].name, numbers[plan.pairs[0].at])
            return
        if plan.weak and self._runs.draft.empty and self._nowhere:
            return
        if self._skip:
            self._skip = False
            return
        self._end_block()
        frame = Frame(self._epoch, train=False) if plan.aside else self._frame(plan, numbers)
        if plan.dated:
            frame.time = NAN if (time := seconds(line)) is None else time
        points = self._points(plan, numbers, frame)
        self.sure_lines += plan.sure
        if points and (plan.bar or not self._repeated(plan, frame, points)):
            self._progress(plan, frame, points)

    def _heard(self, plan: Plan) -> bool:
        """Of several ranks only the first that prints quantities is kept."""
        if self._rank < 0 and plan.pairs:
            self._rank = plan.rank
        if plan.rank == self._rank or not plan.pairs:
            return plan.rank == self._rank or self._rank < 0
        self._runs.draft.log.miss(f"lines of ranks other than {self._rank} were left out")
        return False

    def _box(self, plan: Plan, numbers: Numbers) -> None:
        for place in plan.places:
            count = whole(numbers[place.at])
            if count is not None and place.kind == "epoch":
                self._set_epoch(count, -1)
            elif count is not None:
                kind = "global" if place.kind == "global" else "step"
                if self._boxed_at is None or (kind == "global" != self._boxed_at.kind):
                    self._boxed_at = Frame(self._epoch, count, kind)
        self._boxed.extend(
            (pair.name, pair.split or self._split, value(numbers[pair.at]))
            for pair in plan.pairs
            if len(self._boxed) < 500
        )

    def _header(self, plan: Plan, numbers: Numbers) -> None:
        """A line that only says where the following ones stand."""
        for place in plan.places:
            if place.kind == "bar":
                count, total = whole(numbers[place.at]), whole(numbers[place.total])
                if count is not None and total and len(self._bars) < 64:
                    self._bars[total] = count
                return
            if place.kind == "epoch":
                self._set_epoch(value(numbers[place.at]), self._total(place, numbers))
                self.evidence += place.total >= 0
                self._split, self._announced = "", False
                self._counted = None
            elif (count := whole(numbers[place.at])) is not None:
                self._counted = (count, place.kind, self._total(place, numbers))
                self._split, self._announced = "", False
        if plan.split:
            self._split, self._announced = plan.split, True

    def _set_epoch(self, epoch: float, total: int) -> None:
        if epoch != self._epoch:
            self._new_epoch = True
        self._epoch = epoch
        if total > 0:
            self._runs.saying.log.planned(epochs=total)
        if epoch == 1 or epoch == 0:
            self._new_epoch = True

    @staticmethod
    def _total(place: Place, numbers: Numbers) -> int:
        total = whole(numbers[place.total]) if place.total >= 0 else None
        return -1 if total is None else total

    def _frame(self, plan: Plan, numbers: Numbers) -> Frame:
        frame = Frame(epoch=self._epoch)
        told_epoch = False
        for place in plan.places:
            if place.kind == "epoch":
                frame.epoch, told_epoch = value(numbers[place.at]), True
                total = self._total(place, numbers)
                if total > 0:
                    self._runs.saying.log.planned(epochs=total)
            elif frame.kind == place.kind == "step" and frame.total > 0 > place.total:
                continue  # keras-rl: 11087/50000: episode: 81
            elif frame.kind != "global" and (count := whole(numbers[place.at])) is not None:
                frame.count, frame.kind, frame.total = count, place.kind, self._total(place, numbers)
        if not plan.places and self._counted is not None:
            frame.count, frame.kind, frame.total = self._counted
        elif frame.count >= 0:
            self._counted = None
        frame.train = self._trains(plan, frame, told_epoch)
        if told_epoch:
            self._epoch = frame.epoch
            self._turns.told(frame.epoch)
        if frame.kind == "bar":
            self._on_bar(frame, told_epoch, numbers)
        elif frame.count < 0 and frame.train and fractional(frame.epoch) and self._bars:
            frame.total = max(self._bars)  # the progress bar of transformers stands beside its dicts
            frame.count, frame.kind = self._bars[frame.total], "step"
        if (
            frame.kind in ("global", "step")
            and frame.total > 0
            and frame.train
            and not (plan.bar and self._turns.turn)
            and (math.isnan(frame.epoch) or fractional(frame.epoch))
        ):
            self._runs.saying.log.planned(steps=frame.total)
        return frame

    def _on_bar(self, frame: Frame, told_epoch: bool, numbers: Numbers) -> None:
        if not told_epoch and (self._turns.turn or math.isnan(self._epoch)):
            if self._turns.place(frame, tuple(numbers)):
                self._runs.passed(frame.epoch - 1)
            return
        frame.kind = "step" if math.isnan(frame.epoch) or fractional(frame.epoch) else "batch"
        self._after_bar(frame, told_epoch)

    def _after_bar(self, frame: Frame, told_epoch: bool) -> None:
        """A further bar when the one of the epoch is full is an evaluation's (Keras ``evaluate``)."""
        epoch, total = self._bar_done
        if not told_epoch and epoch == frame.epoch and not self._new_epoch and total > 0 and frame.kind == "batch":
            frame.train = False
            if not self._split:
                self._split, self._announced = "test", False
        elif frame.count == frame.total:
            self._bar_done = (frame.epoch, frame.total)

    def _trains(self, plan: Plan, frame: Frame, told_epoch: bool) -> bool:
        """Whether a line is of training, by its own words, else by the section that it stands in."""
        if plan.split:
            self._split, self._announced = ("", False) if plan.split == "train" else (plan.split, False)
            return plan.split == "train" or any(pair.split == "train" for pair in plan.pairs)
        splits = {pair.split for pair in plan.pairs}
        if plan.bar and told_epoch and not self._split:
            return True
        if "" not in splits:
            return "train" in splits
        if plan.summary and not self._split:
            self._split, self._announced = "val", False
            return False
        if not self._split:
            return True
        grown = told_epoch and frame.epoch > self._epoch
        if plan.places and (grown or not self._announced) and frame.kind != "bar":
            self._split, self._announced = "", False
            return True
        return False

    def _points(self, plan: Plan, numbers: Numbers, frame: Frame) -> Points:
        split = "" if frame.train else self._split or ("val" if plan.bar else "")
        averaged = not frame.train and frame.kind == "batch"
        points = [self._point(pair, split, _value(pair, numbers, averaged)) for pair in plan.pairs]
        if any(number == _UNDEFINED and name.lower() in _SCORES for name, _, number in points):
            points = [self._defined(*point) for point in points]
        return points

    def _defined(self, name: str, split: str, number: float) -> tuple[str, str, float]:
        """A score of -1 is how scorers write 0/0."""
        if number != _UNDEFINED or name.lower() not in _SCORES:
            return name, split, number
        self._runs.draft.log.miss("scores of -1 were read as undefined (NaN): nothing was there to score")
        return name, split, NAN

    def _point(self, pair: Pair, split: str, number: float) -> tuple[str, str, float]:
        if pair.name in _SCALES:
            return "amp/scale", "", number
        if pair.name in _SKIPPED:  # Megatron counts those since the line before
            self._skipped = number + (self._skipped if math.isfinite(self._skipped) else 0)
            return "count/skipped", "", self._skipped
        return pair.name, pair.split or split, number

    def _repeated(self, plan: Plan, frame: Frame, points: Points) -> bool:
        """Whether another rank just printed the same line."""
        if not plan.places:
            return False
        place = (frame.epoch, frame.count)
        if place != self._place:
            self._place = place
            self._recent.clear()
        key = tuple((name, split, repr(number)) for name, split, number in points)
        if key in self._recent and not self._new_epoch and (frame.count >= 0 or _telling(points)):
            self._runs.draft.log.miss("lines printed several times, as by several ranks, were counted once")
            return True
        self._recent.append(key)
        return False

    def _progress(self, plan: Plan, frame: Frame, points: Points) -> None:
        """Of the batches of one evaluation, and of the states of one bar, the last counts."""
        self.metric_lines += 1 + (bool(plan.places) or not frame.train)
        bar = plan.bar and (plan.running or not (frame.train and self._turns.turn))
        placed = frame.total > 0 and (frame.kind == "batch" or plan.running)
        if not placed or (frame.train and not bar):
            self._release()
            self._add(frame, points, plan.tag)
            return
        held = self._states.take(frame, fresh(frame, points) if bar else points, plan.running)
        if held is not None:
            self._add(held[0], held[1])

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


def _telling(points: Points) -> bool:
    """Whether numbers are written so finely that two lines hold the same ones only if they are one."""
    said = {f"{number:.12g}".lstrip("-0.") for _, _, number in points}
    return len(points) > 1 and sum(map(len, said)) >= _FINE


def _value(pair: Pair, numbers: Numbers, averaged: bool) -> float:
    at = pair.mean if averaged and pair.mean >= 0 else pair.at
    number = value(numbers[at])
    if pair.over >= 0:
        over = value(numbers[pair.over])
        return number / over if over else NAN
    return number / 100 if pair.share else number

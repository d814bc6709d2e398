"""``Measuring``: the position, the split and the values of each line that states quantities."""

from __future__ import annotations

import math

from tocsin.readers.console import tables
from tocsin.readers.console.bars import Points, fractional, fresh
from tocsin.readers.console.collecting import Collecting
from tocsin.readers.console.draft import Frame
from tocsin.readers.console.numbers import value, whole
from tocsin.readers.console.plan import Pair, Place, Plan
from tocsin.readers.console.prefixes import seconds
from tocsin.readers.log import NAN

Numbers = list[str] | tuple[str, ...]
_SCALES = frozenset({"loss scale", "loss_scale", "Loss scale", "grad_scale", "Loss Scale", "Fp16 Grad Scale"})
_SCORES = frozenset({"precision", "recall", "f1", "f", "fscore", "f-score", "f1-score", "f1 score", "f1_score"})
_UNDEFINED = -1.0
_SKIPPED = frozenset({"number of skipped iterations"})
_FINE = 7  # digits


class Measuring(Collecting):
    """Acts on plans (``grammar.py``): finds the position, the split and the values of each line."""

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

"""Progress bars: which epoch one is of that does not say so, and which of its states count."""

from __future__ import annotations

import math

from tocsin.readers.console.cleaning import LONG_BAR
from tocsin.readers.console.draft import Frame
from tocsin.readers.log import NAN

Points = list[tuple[str, str, float]]
Held = tuple[Frame, Points, int]  # with the total of its bar
_SHOWN = 50  # states of a long bar


class Turns:
    """Bars that name no epoch: each one of training that starts again is the next epoch.

    Attributes:
        turn: Which bar of training it is, from 1; 0 before the first.
    """

    def __init__(self) -> None:
        self.turn = 0
        self._ahead = 0.0
        self._count = self._total = -1
        self._last: tuple[str, ...] = ()

    def told(self, epoch: float) -> None:
        """A line named the epoch of the bars before it."""
        self._ahead = epoch - self.turn

    def place(self, frame: Frame, numbers: tuple[str, ...]) -> bool:
        """Give a bar's frame its epoch, NaN while there was one bar alone; whether another epoch begins with it."""
        frame.kind = "batch"
        began = False
        if frame.train and self._total > 0 and frame.total != self._total and self._count == self._total:
            frame.train = False
        elif frame.train:
            again = frame.count < self._count or (frame.count == self._count == frame.total and numbers != self._last)
            began = again and self.turn > 0
            self.turn += again or not self.turn
            self._count, self._total, self._last = frame.count, frame.total, numbers
        if self.turn > 1:
            frame.epoch = self.turn + self._ahead
        elif frame.train:
            frame.epoch, frame.kind = NAN, "step"
        return began


class States:
    """Of the states of a bar that names its epoch, the last counts, of a long bar some more.

    Attributes:
        held: The state that a later one may replace.
    """

    def __init__(self) -> None:
        self.held: Held | None = None
        self._shown = -1
        self._filled: tuple[float, int, Points] | None = None

    def take(self, frame: Frame, points: Points, running: bool) -> Held | None:
        """Hold a state; the one before it, if that one counts as well."""
        if not points or (frame.epoch, frame.count, points) == self._filled:
            return None
        before = None if self.held is not None and self._superseded(frame, running, self.held) else self.release()
        if self._filled is not None and self._filled[0] != frame.epoch:
            self._filled = None
        self.held = (frame, points, frame.total)
        return before

    def release(self) -> Held | None:
        """The state that is held, which no other one replaces."""
        held, self.held = self.held, None
        if held is not None:
            self._filled = (held[0].epoch, held[0].count, held[1])
        return held

    def _superseded(self, frame: Frame, running: bool, held: Held) -> bool:
        before, _, total = held
        same = total == frame.total and before.count <= frame.count and before.train == frame.train
        elsewhere = before.epoch != frame.epoch and not (math.isnan(before.epoch) and math.isnan(frame.epoch))
        if not same or (frame.train and elsewhere):
            return False
        if not frame.train or running or total < LONG_BAR:
            return True
        if self._shown < before.count < self._shown + total // _SHOWN:
            return True
        self._shown = before.count
        return False


def fresh(frame: Frame, points: Points) -> Points:
    """Of the quantities in a bar of training those that are of this epoch: scores come when it is full."""
    if not frame.train or frame.count >= frame.total:
        return points
    return [point for point in points if point[1] in ("", "train")] if frame.count else []


def fractional(epoch: float) -> bool:
    """Whether an epoch is told as a fraction, as transformers does."""
    return math.isfinite(epoch) and epoch != math.floor(epoch)

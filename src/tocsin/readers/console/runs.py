"""Which run a line is of: positions that start again are the next run, ones that go back a little a resumed one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tocsin.readers.console.draft import Draft, Frame
from tocsin.readers.log import NAN, Log

_MOST_TAGS = 64
_LAGGING = 3  # lines of training behind something fatal
_UNTAGGED = ""


@dataclass
class _Track:
    """How far the training lines of a run have come."""

    first_epoch: float = NAN
    epoch: float = NAN
    first: int = -1
    count: int = -1
    most: int = -1
    kind: str = ""

    def verdict(self, frame: Frame) -> str:
        """``on``, ``again`` (the next run) or ``back`` (the run was resumed) for a line at ``frame``."""
        if math.isnan(self.epoch) and frame.epoch > 1:  # the start of the log is cut off
            return "on"
        grew = frame.epoch > self.epoch
        fell = frame.epoch < self.epoch
        at_start = not frame.epoch > self.first_epoch
        if frame.count >= 0 and self.count >= 0 and frame.kind:
            if frame.count > self.most:
                return "back" if fell and frame.kind in ("global", "step") else "again" if fell and at_start else "on"
            if fell:
                return "again" if at_start else "back"
            if grew and frame.kind != "global":
                return "on"
            if frame.count < self.count:
                return "again" if frame.count <= max(self.first, 1) else "back"
            return "on"
        if fell:
            return "again" if at_start else "back"
        return "on"

    def move(self, frame: Frame) -> None:
        """The line at ``frame`` was of this run."""
        if math.isfinite(frame.epoch):
            self.first_epoch = frame.epoch if math.isnan(self.first_epoch) else self.first_epoch
            self.epoch = frame.epoch
        if frame.count >= 0 and frame.kind:
            self.first = frame.count if self.first < 0 else self.first
            self.count, self.kind, self.most = frame.count, frame.kind, max(self.most, frame.count)


class Runs:
    """The runs of one text, in order.

    Attributes:
        draft: The run being read.
        done: The logs of runs that are over.
    """

    def __init__(self, new: Callable[[], Log]) -> None:
        self._new = new
        self.done: list[Log] = []
        self.draft = Draft(new())
        self._track, self._evaluated = _Track(), _Track()
        self._pending: Draft | None = None
        self._tags: dict[str, tuple[Draft, _Track, _Track]] = {}
        self._tag = _UNTAGGED

    @property
    def saying(self) -> Draft:
        """The draft that events and settings belong to: that of a launch whose first step is not yet seen, if any."""
        return self._pending or self.draft

    def launched(self) -> None:
        """A launch was logged: what follows is the next run, unless its steps go on where the last one stood."""
        if self._pending is not None and self._pending.fatal:  # that start failed
            self._next(self._pending)
            self._pending = Draft(self._new())
        elif self._pending is None and (not self.draft.empty or self.draft.fatal or self.draft.over):
            self._pending = Draft(self._new())

    def passed(self, epoch: float) -> None:
        """Training is through with an epoch that no line named."""
        if not self._track.epoch >= epoch:
            self._track.epoch = epoch

    def of(self, name: str) -> None:
        """What follows is of the run of this name: the log keeps several apart itself."""
        if name != self._tag and not self.draft.empty:
            self._turn_to(name)
        self._tag = self.draft.log.name = name

    def _turn_to(self, tag: str) -> None:
        """Put the run being read aside and take up that of another tag, a new one where it has none yet."""
        self._tags[self._tag] = (self.draft, self._track, self._evaluated)
        if tag not in self._tags:
            draft = Draft(self._new())
            draft.log.name = tag
            self._tags[tag] = (draft, _Track(), _Track())
        self.draft, self._track, self._evaluated = self._tags[tag]
        self._tag = tag

    def tracked(self, frame: Frame, tag: str = "") -> bool:
        """Find the run of a line with points; True where a next run began with it."""
        track = self._track if frame.train else self._evaluated
        fresh = self._pending is not None
        verdict = "on" if self.draft.empty else track.verdict(frame)
        if not frame.train and math.isfinite(self._track.epoch):
            verdict = "on"
        if tag and tag != self._tag and self._switch(tag, track, frame, verdict):
            return True
        began = False
        if self._pending is not None:
            began = self._resolve(frame, track, verdict)
        elif verdict == "again":
            self._next(Draft(self._new()))
            began = True
        elif verdict == "back":
            self.draft.event("resume", f"goes on from {_position(frame)}", once=_position(frame))
        stated = frame.count >= 0 or math.isfinite(frame.epoch)
        if frame.train and stated and not began:
            self.draft.over = ""  # it was only a part of the training
        if self.draft.fatal and frame.train and not fresh:
            self._survived(track, frame)
        (self._track if frame.train else self._evaluated).move(frame)
        return began

    def _survived(self, track: _Track, frame: Frame) -> None:
        """Training went on: what looked fatal was caught. One line may yet come from another stream that lagged."""
        self.draft.survived += frame.epoch > track.epoch or frame.count > track.count
        if self.draft.survived >= _LAGGING and self.draft.fatal is not None:
            text, kind, _ = self.draft.fatal
            self.draft.event("message", text, {"type": kind})
            self.draft.fatal, self.draft.survived = None, 0

    def _switch(self, tag: str, track: _Track, frame: Frame, verdict: str) -> bool:
        """Another model speaks: go to its run, if it has one or both are at one epoch."""
        known = self._tags.get(tag)
        conflict = verdict != "on" or (
            not self.draft.empty and frame.epoch == track.epoch and frame.count <= track.count
        )
        if known is None and (not conflict or len(self._tags) >= _MOST_TAGS or self.draft.empty or not self._tag):
            if self.draft.empty:
                self._tag, self.draft.log.name = tag, tag
            return False
        self._turn_to(tag)
        (self._track if frame.train else self._evaluated).move(frame)
        return True

    def _resolve(self, frame: Frame, track: _Track, verdict: str) -> bool:
        """The first line after a launch: the next run begins, or the last one goes on."""
        pending, self._pending = self._pending, None
        if pending is None:
            return False
        stated = frame.count >= 0 or math.isfinite(frame.epoch)
        started = (frame.count >= 0 or track.count < 0) and verdict == "on"
        resumed = pending.resumes and not (frame.epoch <= track.first_epoch)
        if (
            (not stated and not self.draft.empty)
            or resumed
            or (started and not self.draft.empty and not (frame.count < 0 and frame.epoch == track.epoch))
        ):
            self.draft.absorb(pending)
            if stated:
                self.draft.fatal, self.draft.over = None, ""
                self.draft.event("resume", f"goes on from {_position(frame)}")
            return False
        self._next(pending)
        return True

    def _next(self, draft: Draft) -> None:
        self._close(self.draft)
        self.draft = draft
        self._track, self._evaluated, self._tag = _Track(), _Track(), _UNTAGGED

    def _close(self, draft: Draft) -> None:
        if draft.told:
            self.done.append(draft.close())

    def finish(self) -> None:
        """Close all that is open."""
        tagged = [draft for draft, _, _ in self._tags.values() if draft is not self.draft]
        for draft in [*tagged, self.draft, *([self._pending] if self._pending else [])]:
            self._close(draft)
        self._tags.clear()
        self._pending = None


def _position(frame: Frame) -> str:
    parts = [f"epoch {frame.epoch:g}"] if math.isfinite(frame.epoch) else []
    return ", ".join([*parts, *([f"{frame.kind} {frame.count}"] if frame.count >= 0 else [])])

"""How long a step takes and how long it waits for data, on sampled steps.

The clock runs from one ``losses`` call to the next, less what tocsin itself used. Waiting begins where the optimizer's
step ended, or where the call returned if that was later, and ends with the next training forward. On CUDA the host
runs ahead of the device, and a host that waits for a copy really waits for the device: there both are taken between
events on the stream, which are read later and never waited for.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import torch

from tocsin.probes.hook import Meter


class Pace:
    """One interval at a time: ``open`` after a call, ``stepped`` and ``forward`` in it, ``close`` at the next call.

    Attributes:
        running: An interval is open.
        waiting: No training forward has come in it since the last step.
    """

    def __init__(self, meter: Meter, device: str) -> None:
        self.meter = meter
        self.device = device
        self.waiting = False
        self.running = False
        self._marks: dict[str, Any] = {}

    def open(self, before: bool) -> None:
        """The call is over; ``before``: it came before backward, so waiting begins only with a completed step."""
        if self.device == "cuda" and torch.cuda.is_current_stream_capturing():
            return
        self.running, self.waiting, self._marks = True, not before, {}
        self._mark("opened")
        if not before:
            self._mark("free")

    def stepped(self) -> None:
        """An optimizer step was completed: what follows is waiting, until a training forward comes."""
        if self.running and "forward" not in self._marks:
            self.waiting = True
            self._mark("free")

    def forward(self) -> None:
        """A training forward begins; only the first one after a step counts."""
        if self.waiting:
            self.waiting = False
            self._mark("forward")

    def close(self) -> None:
        """The next call has come."""
        if self.running:
            self.running = self.waiting = False
            self._mark("closed")

    def drop(self) -> None:
        """Something else happened in the interval, such as an evaluation: forget it."""
        self.running, self.waiting, self._marks = False, False, {}

    def read(self) -> dict[str, float]:
        """``time/step_s`` and, where a wait was seen, ``time/data_s`` of the last closed interval; forgets it.

        Empty while its end is still to come on the device.
        """
        if "closed" not in self._marks or not self._arrived():
            return {}
        marks, self._marks = self._marks, {}
        values = {"time/step_s": self._between(marks["opened"], marks["closed"])}
        if "forward" in marks and self.device in ("cpu", "cuda"):
            values["time/data_s"] = min(self._between(marks["free"], marks["forward"]), values["time/step_s"])
        return values

    def _mark(self, name: str) -> None:
        if self.device == "cuda":
            cuda: Any = torch.cuda  # untyped in part
            event = cuda.Event(enable_timing=True)
            event.record()
            self._marks[name] = event
        else:
            self._marks[name] = perf_counter() - self.meter.seconds

    def _arrived(self) -> bool:
        return self.device != "cuda" or all(event.query() for event in self._marks.values())

    def _between(self, first: Any, last: Any) -> float:
        seconds = first.elapsed_time(last) / 1000 if self.device == "cuda" else last - first
        return max(0.0, float(seconds))

"""The writer: a bounded queue in front of one daemon thread. No method raises, waits for a disk, or outlives a fork."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tocsin.findings import Finding
from tocsin.record import encoding, layout
from tocsin.record.appending import Appender, Segments
from tocsin.record.compaction import compact
from tocsin.record.encoding import Row
from tocsin.run import Evaluation, Event, Exit, Parameter

FLUSH_SECONDS = 0.5
QUEUE_POINTS = 200_000
QUEUE_SAYINGS = 20_000
CLOSE_SECONDS = 60.0
_BURST_BYTES = 2**16
_URGENT = {"exception", "warning"}

Keep = Callable[[dict[str, Any]], None]


class Writer:
    """Writes one attempt of one run; made by ``open_record``.

    Attributes:
        folder: The run's folder.
        attempt: Number of this attempt, from 1.
        start: When it began, seconds since 1970.
        renamed_from: The folder that was asked for, where a finished or still running run lives there.
        dropped: Points that could not be kept: the queue was full, a value was no number, or the disk refused.
        trouble: The first error of the disk as one sentence; from then on everything is counted and discarded.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rank: int = 0,
        attempt: int = 1,
        segment: int = 1,
        start: float,
        keep_end: Keep | None = None,
        renamed_from: Path | None = None,
        trouble: str | None = None,
    ) -> None:
        self.folder, self.rank, self.attempt, self.start = folder, rank, attempt, start
        self.renamed_from, self.trouble = renamed_from, trouble
        self.dropped = 0
        self._keep_end = keep_end
        self._began = time.monotonic()
        self._rank_folder = folder / f"rank{rank}"
        self._segments = Segments(self._rank_folder, segment)
        base = folder if rank == 0 else self._rank_folder
        sayings = (layout.EVALUATIONS, layout.EVENTS, layout.FINDINGS, layout.PARAMETERS)
        self._files = {name: Appender(base / name) for name in sayings}
        self._queue: deque[Any] = deque()
        self._points = self._last_step = 0
        self._lock = threading.RLock()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # its put may be interrupted by a signal handler's
        self._closing = self._closed = self._forked = False
        self._thread = threading.Thread(target=self._work, name="tocsin-writer", daemon=True)
        if trouble is None:
            self._begin()

    def _begin(self) -> None:
        try:
            self._thread.start()
            _open.add(self)
        except RuntimeError as error:
            self.trouble = f"the record in {self.folder} is not written: no thread could be started ({error})"

    @property
    def dead(self) -> bool:
        """Whether nothing more will be written: trouble, closed, or a forked child."""
        return self.trouble is not None or self._closed or self._forked

    # What the training process calls ------------------------------------------------------------------------------

    def rows(self, rows: list[Row]) -> None:
        """Record rows of (step, epoch or None, seconds since start, {name: value}); they are the writer's from now on.

        Only counts and queues: about a microsecond a call. Rows that would make the queue exceed ``QUEUE_POINTS``
        points are dropped and counted.
        """
        if self._forked or not rows:
            return
        try:
            points = sum([len(row[3]) for row in rows])
        except (TypeError, IndexError):  # no rows at all
            self.dropped += 1
            return
        with self._lock:
            if self.dead or self._points + points > QUEUE_POINTS:
                self.dropped += points
                return
            self._queue.append(rows)
            self._points += points
            self._last_step = rows[-1][0]
            crowded = self._points > QUEUE_POINTS // 4
        if crowded:
            self._wake.put(None)

    def evaluation(self, evaluation: Evaluation) -> None:
        """Record one evaluation, at once."""
        self._say(layout.EVALUATIONS, lambda: encoding.evaluation_data(evaluation), urgent=True)

    def event(self, event: Event) -> None:
        """Record one event; exceptions and warnings at once."""
        self._say(layout.EVENTS, lambda: encoding.event_data(event), urgent=event.kind in _URGENT)

    def finding(self, finding: Finding) -> None:
        """Record one finding as it rang, at once."""
        self._say(layout.FINDINGS, lambda: encoding.finding_data(finding), urgent=True)

    def parameters(self, parameters: Sequence[Parameter], step: int) -> None:
        """Record the table of parameters as it stands from ``step`` on."""
        table = tuple(parameters)
        self._say(layout.PARAMETERS, lambda: encoding.parameters_data(table, step), urgent=False)

    def _say(self, file: str, data: Callable[[], dict[str, Any]], *, urgent: bool) -> None:
        if self.dead:
            return
        with self._lock:
            if len(self._queue) >= QUEUE_SAYINGS:
                self.dropped += 1
                return
            self._queue.append((file, data))
        if urgent:
            self._wake.put(None)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was given so far has been passed to the operating system; False if time ran out."""
        if self.dead:
            return False
        reached = threading.Event()
        with self._lock:
            self._queue.append(reached)
        self._wake.put(None)
        return reached.wait(timeout) and self.trouble is None

    def close(self, exit: Exit, error: str | None = None) -> None:  # noqa: A002 (the word of the API)
        """Write what is queued, the exit and its error, then compact. A second call does nothing."""
        if self._closed or self._forked:
            return
        self._closing = True
        self._wake.put(None)
        if self._thread.ident is not None:
            self._thread.join(CLOSE_SECONDS)
        self._closed = True
        _open.discard(self)
        if self._thread.is_alive():  # its descriptors stay open: closed, their numbers could come to mean other files
            self._fail(TimeoutError(f"the disk took longer than {CLOSE_SECONDS:.0f} s"))
        else:
            self._close_files()
        self._record_end(exit, error)
        if self.trouble is None:
            self._compact()

    # What the thread does -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._forked:
            closing = self._closing  # read first: what was queued before it was set is still drained
            self._drain()
            if closing:
                return
            with contextlib.suppress(queue.Empty):
                self._wake.get(timeout=FLUSH_SECONDS)
                while True:
                    self._wake.get_nowait()

    def _drain(self) -> None:
        with self._lock:
            items, self._queue = self._queue, deque()
            points = self._points
        burst = _Burst(self._segments)
        try:
            for item in items:
                if isinstance(item, threading.Event):
                    burst.write()
                    item.set()
                elif isinstance(item, tuple):
                    burst.write()
                    self._write_saying(*item)
                elif self.trouble is None:
                    burst.add(item)
            burst.write()
        except Exception as error:  # whatever the disk or a user's value does, training goes on
            self._fail(error)
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()
        with self._lock:
            self._points -= points
            self.dropped += points - burst.written

    def _write_saying(self, file: str, data: Callable[[], dict[str, Any]]) -> None:
        if self.trouble is not None:
            return
        try:
            text = encoding.line({"attempt": self.attempt, **data()})
        except (ValueError, TypeError, OverflowError, AttributeError):
            self.dropped += 1
            return
        if len(text) > layout.LINE_BYTES:
            self.dropped += 1
            what = f"a line of {len(text)} bytes for {file} was not kept; the limit is {layout.LINE_BYTES}"
            file, text = (
                layout.EVENTS,
                encoding.line({"attempt": self.attempt, **encoding.event_data(Event("record", what))}),
            )
        self._files[file].write(text)

    def _fail(self, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        self.trouble = self.trouble or f"the record in {self.folder} cannot be written any more: {reason}"

    # The end ------------------------------------------------------------------------------------------------------

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _close_files(self) -> None:
        files: tuple[Segments | Appender, ...] = (self._segments, *self._files.values())
        for file in files:
            try:
                file.close()
            except OSError as error:
                self._fail(error)

    def _record_end(self, how: Exit, error: str | None) -> None:
        if self._keep_end is None:
            return
        end = {"end": self.start + self._seconds(), "exit": how, "error": error, "dropped": self.dropped}
        try:
            self._keep_end({k: encoding.plain(v) for k, v in end.items()})
        except (OSError, layout.RecordError) as failure:
            self._fail(failure)

    def _compact(self) -> None:
        said = compact(self._rank_folder)
        if said is None:
            return
        event = Event("record", said, self._last_step, self._seconds())
        with contextlib.suppress(OSError, ValueError):
            self._files[layout.EVENTS].write(encoding.line({"attempt": self.attempt, **encoding.event_data(event)}))
            self._files[layout.EVENTS].close()


class _Burst:
    """Encoded rows on their way to one ``os.write``; short, so that the thread never holds the interpreter for long."""

    def __init__(self, segments: Segments) -> None:
        self.written = 0
        self._segments = segments
        self._lines: list[bytes] = []
        self._bytes = self._waiting = 0

    def add(self, rows: list[Row]) -> None:
        for row in rows:
            try:
                line = encoding.row_line(row)
            except (ValueError, TypeError, OverflowError, AttributeError):
                continue  # not numbers: counted as dropped, since it is not counted as written
            if len(line) > layout.LINE_BYTES:
                continue
            self._lines.append(line)
            self._bytes += len(line)
            self._waiting += len(row[3])
            if self._bytes >= min(_BURST_BYTES, layout.SEGMENT_BYTES):
                self.write()

    def write(self) -> None:
        if self._lines:
            self._segments.write(b"".join(self._lines))
            self.written += self._waiting
            self._lines, self._bytes, self._waiting = [], 0, 0


_open: weakref.WeakSet[Writer] = weakref.WeakSet()


def _disable_in_child() -> None:
    for writer in list(_open):
        writer._forked = True


def _flush_at_exit() -> None:
    for writer in list(_open):
        writer.flush(2.0)


os.register_at_fork(after_in_child=_disable_in_child)
atexit.register(_flush_at_exit)

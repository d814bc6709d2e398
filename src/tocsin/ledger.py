"""The rows of a live run on their way: from device scalars to the columns in memory and to the record on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, cast

from torch import Tensor

from tocsin.columns import Columns
from tocsin.probes.transfer import to_host
from tocsin.record import Writer
from tocsin.run import Evaluation, Event

Row = dict[str, "Tensor | float"]
SETTLE_ROWS, SETTLE_S = 64, 0.25


class Ledger:
    """Collects what is measured at the current step and hands it on in batches.

    Attributes:
        row: Values of the current step so far.
        step: The current step.
        epoch: Its epoch, None until a first ``end_epoch`` shows that epochs are counted.
    """

    def __init__(self, writer: Writer, columns: Columns, say: Callable[[str], None]) -> None:
        self.writer, self.columns, self.say = writer, columns, say
        self.row: Row = {}
        self.step = 0
        self.epoch: int | None = None
        self._rows: list[tuple[int, int | None, float, Row]] = []
        self._began = self._settled_at = perf_counter()
        self._troubled = False

    def now(self) -> float:
        """Seconds since the start."""
        return perf_counter() - self._began

    def begin(self, step: int, epoch: int | None) -> None:
        """The next step begins: what follows belongs to it."""
        self._end_row()
        now = perf_counter()
        if len(self._rows) >= SETTLE_ROWS or now - self._settled_at > SETTLE_S:
            self.settle()
        self.step, self.epoch = step, epoch

    def put(self, values: Mapping[str, Tensor | float]) -> None:
        """Add values to the current step; a name that it has already opens a second row of the step."""
        if any(name in self.row for name in values):
            self._end_row()
        self.row.update(values)

    def put_at(self, step: int, epoch: int | None, values: Row) -> None:
        """A row of its own, for this or the coming step."""
        self._rows.append((step, epoch, self.now(), values))

    def event(self, kind: str, text: str = "", data: Mapping[str, Any] | None = None) -> None:
        """Something said once, at the current step."""
        event = Event(kind, text, self.step, self.now(), data or {})
        self.columns.events.append(event)
        self.writer.event(event)

    def evaluation(self, closed: Evaluation) -> None:
        """A closed evaluation."""
        self.columns.evaluations.append(closed)
        self.writer.evaluation(closed)

    def settle(self, until: int | None = None) -> None:
        """Bring waiting values to the host, in one transfer a device, and hand rows on: all, or those up to a step."""
        self._end_row()
        rows, self._rows = self._rows, []
        if until is not None:  # a look sees nothing of the coming step, whose inputs may be here already
            rows, self._rows = [r for r in rows if r[0] <= until], [r for r in rows if r[0] > until]
        waiting = {
            f"{k} {name}": v for k, row in enumerate(rows) for name, v in row[3].items() if isinstance(v, Tensor)
        }
        for key, value in to_host(waiting).items():
            k, _, name = key.partition(" ")
            rows[int(k)][3][name] = value
        rows.sort(key=_step_of)  # inputs of the next step may have come before the last values of this one
        done = cast("list[tuple[int, int | None, float, dict[str, float]]]", rows)
        self.columns.extend(done)
        self.writer.rows(done)
        self._settled_at = perf_counter()
        if self.writer.trouble and not self._troubled:
            self._troubled = True
            self.say(f"tocsin: cannot write the record, training goes on: {self.writer.trouble}")

    def _end_row(self) -> None:
        if self.row:
            self._rows.append((self.step, self.epoch, self.now(), self.row))
            self.row = {}


def _step_of(row: tuple[int, int | None, float, Row]) -> int:
    return row[0]

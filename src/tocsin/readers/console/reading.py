"""``Console``: the reader of a stream of lines; files and the outputs of notebooks are fed to it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.readers.console import reports, results, tables
from tocsin.readers.console.cleaning import clean
from tocsin.readers.console.collecting import NEAR
from tocsin.readers.console.prefixes import prefix
from tocsin.readers.console.saying import Saying
from tocsin.readers.console.sections import section
from tocsin.readers.log import Log

_TRAINS = re.compile(r"\b(?:fit\w*|train\w*|backward|epochs?)\(|\.fit\b|\btrainer\b", re.IGNORECASE)


class Console(Saying):
    """Reads lines, one after another; ``finish`` gives the runs that they told."""

    def feed(self, raw: str) -> None:
        """Take one raw line."""
        for line in clean(raw):
            self._line(line)

    def logs(self) -> Iterator[Log]:
        """The runs that are over so far; each is given once."""
        while self._runs.done:
            yield self._runs.done.pop(0)

    def finish(self) -> Iterator[Log]:
        """All runs that are left."""
        self._end_trace()
        if self._mishap is not None and not self.metric_lines:
            self._fatal(*self._mishap)
        self._end_block()
        self._end_box()
        self._end_result()
        self._release()
        self._runs.finish()
        yield from self.logs()

    def boundary(self) -> None:
        """A new cell of a notebook: what follows may be another run."""
        self._end_trace()
        self._tables.close()
        self._report, self._split = "", ""
        self._before_cell = self.metric_lines

    def fail(self, text: str, kind: str) -> None:
        """An error that ended a cell of a notebook: that of a run if the cell trained, or if nothing else did."""
        self._end_trace()
        if self.metric_lines > self._before_cell:
            self._fatal(text, kind)
        elif _TRAINS.search(text):
            self._mishap = (text, kind)

    def cells(self, header: list[str], row: list[str]) -> None:
        """A row of a table that the source gives as such; rows of tables that measure nothing are passed over."""
        found = tables.of_cells(header)
        if found is not None and (read := found.read(row)) is not None:
            self._end_block()
            self._tabled(read)

    def _line(self, line: str) -> None:
        self._lines += 1
        if self._in_block(line):
            return
        if not line.strip():
            self._end_box()
            return
        if (line[0] in "R[" and self._blocked(line)) or ((self._tables or self._report) and self._row(line)):
            return
        if self._boxed and line.lstrip()[0] not in "|+-│┃":
            self._end_box()
        read = self._shapes.read(line)
        if read is None:
            self._text(line)
            return
        plan, numbers, said = read
        ends = said == "finished" and bool(plan.pairs)  # the last state of a bar, and that training is over
        if said and not ends and self._signed(said, line, plan):
            return
        if plan.pairs or plan.places:
            self._measured(plan, numbers, line)
        if ends:
            self._signed(said, line, plan)

    def _in_block(self, line: str) -> bool:
        """Whether a line belongs to what is open: a traceback, a configuration, a block of results."""
        if self._trace is not None:
            if self._trace.feed(line):
                return True
            self._end_trace()
        if self._open and self._continued(line):
            return True
        if self._result is not None and self._result.feed(line):
            return True
        self._end_result()
        return False

    def _blocked(self, line: str) -> bool:
        """Whether a line begins a block of results or is one of the lines that detectron2 prints to be copied."""
        self._result = results.result(line)
        if self._result is not None or "copypaste: " not in line:
            return self._result is not None
        points = self._copied.read(line)
        self._evaluated(points or [])
        return points is not None

    def _text(self, line: str) -> None:
        """A line without numbers to read: a section, a header, a setting, a rule of a table."""
        if line[0] in "|-+" and tables.rule(line):
            if "|" not in line:
                self._end_box()
            return
        if len(line) > 600 or line[0] in "{}<":
            return
        start = prefix(line).end
        message = line[start:]
        if split := section(message):
            self._split, self._announced = ("", False) if split == "train" else (split, True)
            self._training_at = self._lines if split == "train" else -NEAR
            return
        if (found := tables.header(message)) is not None:
            self._tables.begin(found)
            self.evidence += 1
            return
        if self._runs.draft.empty:
            self._settings(message)

    def _row(self, line: str) -> bool:
        """A row of the open table or report."""
        if self._report == "report":
            points = reports.report_row(line)
            if points is None:
                self._report = "" if line.strip() and not tables.rule(line) else self._report
                return False
            self._evaluated(points)
            return True
        if self._report or tables.rule(line):
            return not self._report
        row = self._tables.row(line[prefix(line).end :])
        if row is None:
            return False
        self._tabled(row)
        return True

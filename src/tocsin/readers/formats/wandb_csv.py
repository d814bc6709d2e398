"""A chart downloaded from W&B's page: a step column, then ``<run> - <metric>`` with its ``__MIN`` and ``__MAX``."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.readers.csv_logs import table_of
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.frame import Frame
from tocsin.readers.frame_logs import logs_of
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader
from tocsin.readers.tables import read_table

_MARK = " - "
_ENVELOPE = ("__MIN", "__MAX")


def _sniffs(file: File) -> bool:
    layout = table_of(file)
    if layout is None:
        return False
    names = set(layout.names[1:])
    return any(_MARK in name and {name + end for end in _ENVELOPE} <= names for name in names)


def _read(file: File) -> Iterator[Log]:
    """A log a run. The envelopes repeat what the curve says; W&B's page thins curves, which is said."""
    layout = table_of(file)
    if layout is None:
        raise ReadError(f"{file.path}: no chart exported from W&B")
    frame = read_table(file, layout)
    runs = dict.fromkeys(name.rpartition(_MARK)[0] for name in layout.names if _MARK in name)
    for run in runs:
        for log in logs_of(_of_run(frame, run), lambda: Log("wandb-csv", file.path)):
            log.name = run
            log.miss("exported from W&B's page, which thins long curves")
            yield log


def _of_run(frame: Frame, run: str) -> Frame:
    part = Frame()
    part.rows, part.unread = frame.rows, list(frame.unread)
    for name, split, column in frame.items():
        owner, _, metric = name.rpartition(_MARK)
        if name.endswith(_ENVELOPE) or metric == "_step" or (owner and owner != run):
            continue
        part.column(metric, split).extend(column.rows, column.values)
    return part


READER = Reader("wandb-csv", 30, _sniffs, _read)

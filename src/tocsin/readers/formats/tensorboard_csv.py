"""One scalar downloaded from TensorBoard's page: ``Wall time,Step,Value``; its name stands in that of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.readers.csv_logs import table_of
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader
from tocsin.readers.tables import read_table

_COLUMNS = ("Wall time", "Step", "Value")
_NAMED = re.compile(r"^(?:run-(?P<run>.*?)-tag-|tag-)?(?P<tag>.+)$")


def _sniffs(file: File) -> bool:
    layout = table_of(file)
    return layout is not None and layout.names == _COLUMNS


def _read(file: File) -> Iterator[Log]:
    layout = table_of(file)
    if layout is None:
        raise ReadError(f"{file.path}: no rows of Wall time, Step and Value")
    frame = read_table(file, layout)
    said = _NAMED.match(file.path.stem)
    run, tag = (said["run"] or "", said["tag"]) if said else ("", "value")
    log = Log("tensorboard-csv", file.path, name=run.strip("._ "), unread=list(frame.unread))
    value = frame.named("Value")
    rows = value.rows
    step = frame.dense("Step", -1.0)[rows]
    log.extend(tag, value.values, step=step.clip(-1, 2**53), time=frame.dense("Wall time")[rows])
    yield log


READER = Reader("tensorboard-csv", 30, _sniffs, _read)

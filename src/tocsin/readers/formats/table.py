"""Generic CSV, TSV, semicolon, pipe, Markdown and blank-aligned tables that look like a training log."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.readers.csv_logs import csv_logs, head_of, table_of
from tocsin.readers.file import File
from tocsin.readers.frame_logs import looks_like_log
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader


def _sniffs(file: File) -> bool:
    return table_of(file) is not None and looks_like_log(head_of(file))


def _read(file: File) -> Iterator[Log]:
    return csv_logs(file, "table")


READER = Reader("table", 50, _sniffs, _read)

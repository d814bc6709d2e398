"""Lightning ``CSVLogger``: ``metrics.csv`` with ``epoch`` and ``step`` columns and empty cells for what a row lacks."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.readers.csv_logs import csv_logs, head_of, table_of
from tocsin.readers.file import File
from tocsin.readers.frame_logs import looks_like_log
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader


def _sniffs(file: File) -> bool:
    """Both clocks, and rows of several kinds: some quantity is missing where another one stands."""
    layout = table_of(file)
    if layout is None or layout.delimiter != "," or not {"epoch", "step"} <= set(layout.names):
        return False
    head = head_of(file)
    sparse = any(len(column.row) < head.rows for _, _, column in head.items())
    stepped = any(name.endswith(("_step", "_epoch")) for name in layout.names)
    return (sparse or stepped) and not head.texts and looks_like_log(head)


def _read(file: File) -> Iterator[Log]:
    return csv_logs(file, "lightning-csv")


READER = Reader("lightning-csv", 30, _sniffs, _read)

"""What the readers of CSV logs share: is it their table, and its rows as logs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.frame import Frame
from tocsin.readers.frame_logs import logs_of
from tocsin.readers.log import Log
from tocsin.readers.tables import Layout, layout_of, read_table


@lru_cache(maxsize=4)
def table_of(file: File) -> Layout | None:
    """``layout_of``, remembered while the readers of tables look at one file after another."""
    return layout_of(file)


@lru_cache(maxsize=4)
def head_of(file: File) -> Frame:
    """The first rows of the table, as far as the head of the file reaches."""
    layout = table_of(file)
    return Frame() if layout is None else read_table(file, layout, most_rows=400)


def csv_logs(file: File, source: str) -> Iterator[Log]:
    """The logs of a table, ``logs_of`` its rows.

    Raises:
        ReadError: There is no table, or it cannot be read.
    """
    layout = table_of(file)
    if layout is None:
        raise ReadError(f"{file.path}: no table with a header and rows of numbers")
    yield from logs_of(read_table(file, layout), lambda: Log(source, file.path))

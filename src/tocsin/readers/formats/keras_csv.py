"""Keras ``CSVLogger``: ``epoch`` from 0, then the logged keys; ``NA`` where one is missing; appended runs restart."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.readers.clock import clock_of
from tocsin.readers.csv_logs import csv_logs, head_of, table_of
from tocsin.readers.file import File
from tocsin.readers.frame_logs import looks_like_log
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader


def _sniffs(file: File) -> bool:
    """``epoch`` first and from 0, a bare ``loss``, and no name that gives the split of the training."""
    layout = table_of(file)
    if layout is None or layout.names[0] != "epoch":
        return False
    names = layout.names[1:]
    if "loss" not in names or "step" in names or any(name.startswith(("train", "test")) for name in names):
        return False
    head = head_of(file)
    epoch = head.named("epoch").values
    alone = clock_of(head).step is None and not head.texts
    return alone and epoch.size > 0 and bool(epoch[0] == 0) and looks_like_log(head)


def _read(file: File) -> Iterator[Log]:
    return csv_logs(file, "keras-csv")


READER = Reader("keras-csv", 30, _sniffs, _read)

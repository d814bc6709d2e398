"""Ultralytics ``results.csv`` (YOLOv5 to YOLO11): one row an epoch; padded headers, epochs from 0 or from 1."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.readers.csv_logs import csv_logs, table_of
from tocsin.readers.file import File
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader

_RATES = ("lr/pg0", "x/lr0", "lr0")


def _sniffs(file: File) -> bool:
    layout = table_of(file)
    if layout is None or "epoch" not in layout.names:
        return False
    names = layout.names
    losses = any(name.startswith("train/") and name.endswith("loss") for name in names)
    judged = any(name.startswith("metrics/") for name in names) or any(name in _RATES for name in names)
    return losses and judged and "step" not in names


def _read(file: File) -> Iterator[Log]:
    return csv_logs(file, "ultralytics")


READER = Reader("ultralytics", 30, _sniffs, _read)

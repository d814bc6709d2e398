"""Generic JSON lines: a record a line (DeiT/MAE ``log.txt``, detectron2, LLaMA-Factory, fairseq, own logs)."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.readers.file import File
from tocsin.readers.frame import Frame
from tocsin.readers.frame_logs import logs_of, looks_like_log
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader
from tocsin.readers.records import add_record, frame_of, head_records, records_of

_OF_LINES = (".jsonl", ".ndjson")  # a file of records by its name: one of them is no summary


def _sniffs(file: File) -> bool:
    if file.binary:
        return False
    records, lines = head_records(file)
    return lines and looks_like_log(frame_of(records), lone=file.path.suffix.lower() in _OF_LINES)


def _read(file: File) -> Iterator[Log]:
    frame = Frame()
    for record in records_of(file.lines(), frame):
        add_record(frame, record)
    for sentence in file.unread:
        frame.miss(sentence)
    yield from logs_of(frame, lambda: Log("json-lines", file.path))


READER = Reader("json-lines", 50, _sniffs, _read)

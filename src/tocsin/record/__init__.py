"""Our record on disk: append while the run goes on, read at any time, compact at close.

A run is a plain folder, self-describing, copyable with rsync::

    run.json                schema, config, environment, start, attempts; end and exit are written at close
    rank0/000001.jsonl      one line a row {"step", "epoch", "t", "v": {name: value}}; rotated; later *.parquet
    evaluations.jsonl events.jsonl findings.jsonl parameters.jsonl

Non-finite numbers are the strings "nan", "inf", "-inf". Ranks other than 0 keep all their files in ``rank<k>/``, with
``rank.json`` in place of ``run.json``; on reading their series are named ``rank<k>/<name>``.
"""

from tocsin.record.discovery import find
from tocsin.record.layout import SCHEMA, RecordError
from tocsin.record.opening import open_record
from tocsin.record.reading import read
from tocsin.record.writing import Writer

__all__ = ["SCHEMA", "RecordError", "Writer", "find", "open_record", "read"]

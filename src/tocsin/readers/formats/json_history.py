"""Generic JSON histories: Keras ``history.history``, ``{"train_loss": [...]}``, lists of rows, nested ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.frame_logs import logs_of
from tocsin.readers.histories import histories
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader
from tocsin.readers.torn import json_of

_LARGEST = 64 * 2**20
_HINT = re.compile(
    r'"[^"\n]{0,40}(?:loss|acc|lr|f1|mae|mse|ppl|perplexity|auc|iou|dice)[^"\n]{0,40}"\s*:', re.IGNORECASE
)


@lru_cache(maxsize=2)
def _parsed(file: File) -> tuple[Any, str]:
    return json_of(file)


def _sniffs(file: File) -> bool:
    """A quantity of training among the first keys, and a history in what follows."""
    if file.binary or file.size > _LARGEST or file.start.lstrip("\ufeff \n\r\t")[:1] not in ("{", "["):
        return False
    if not _HINT.search(file.start):
        return False
    try:
        data, _ = _parsed(file)
    except ReadError:
        return False
    return next(histories(data), None) is not None


def _read(file: File) -> Iterator[Log]:
    data, torn = _parsed(file)
    found = 0
    for name, frame, config in histories(data):
        for log in logs_of(frame, lambda: Log("json-history", file.path)):
            found += 1
            log.name = log.name or name
            log.config = {**config, **log.config}
            if torn:
                log.miss(torn)
            yield log
    if not found:
        raise ReadError(f"{file.path}: JSON without a training history")


READER = Reader("json-history", 50, _sniffs, _read)

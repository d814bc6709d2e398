"""AllenNLP: ``metrics_epoch_<n>.json``, one file an epoch, joined to one run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tocsin.readers.clock import seconds_of
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader
from tocsin.readers.records import flat
from tocsin.readers.values import number, whole

_NAME = re.compile(r"^metrics_epoch_(\d{1,9})\.json$")
_SMALL = 1 << 20
_MOST_EPOCHS = 20_000
_NOT = ("best_", "peak_", "epoch", "training_epochs", "training_start", "training_duration", "training_steps")
_SPLITS = (("training_", "train"), ("validation_", "val"), ("test_", "test"))


def _sniffs(file: File) -> bool:
    said = _record(file) if _NAME.match(file.path.name) else None
    return (
        said is not None and whole(said.get("epoch")) is not None and any(key.startswith("training_") for key in said)
    )


def _record(file: File) -> dict[str, Any] | None:
    if file.binary or file.size > _SMALL:
        return None
    try:
        said = file.json()
    except ReadError:
        return None
    return said if isinstance(said, dict) else None


def _read(file: File) -> Iterator[Log]:
    log = Log("allennlp", file.path)
    for epoch, path in sorted(_siblings(file.path))[:_MOST_EPOCHS]:
        said = _record(File(path))
        if path != file.path:
            log.claims.append(path)
        if said is None:
            log.miss(f"{path.name} cannot be read")
            continue
        _read_epoch(log, said, epoch)
    yield log


def _siblings(path: Path) -> list[tuple[int, Path]]:
    return [(int(match[1]), one) for one in path.parent.iterdir() if (match := _NAME.match(one.name))]


def _read_epoch(log: Log, said: dict[str, Any], epoch: int) -> None:
    told = number(said.get("epoch"))
    duration = said.get("training_duration")
    time = seconds_of(duration) if isinstance(duration, str) else None
    for key, value in flat(said):
        if key.startswith(_NOT) or isinstance(value, str):
            continue
        prefix, split = next(((p, s) for p, s in _SPLITS if key.startswith(p)), ("", ""))
        log.add(key.removeprefix(prefix), value, epoch=epoch if told is None else told, time=time, split=split)
    best = whole(said.get("best_epoch"))
    if best is not None:
        log.events = [event for event in log.events if event.kind != "best"]
        log.event("best", "best_epoch", step=best + 1, data={"epoch": best + 1})


READER = Reader("allennlp", 20, _sniffs, _read)

"""Hugging Face ``trainer_state.json``: ``log_history`` with rows of training, of evaluations, and the final one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.log import Log
from tocsin.readers.naming import SPLITS
from tocsin.readers.reader import Reader
from tocsin.readers.records import flat
from tocsin.readers.torn import json_of
from tocsin.readers.values import number, whole

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_SPEED = "_samples_per_second"
_TIMES = ("runtime", "samples_per_second", "steps_per_second", "jit_compilation_time", "model_preparation_time")
_CLOCK = frozenset({"epoch", "step", "total_flos"})
_OF_CLASS = re.compile(r"^(?P<tag>.+)_(?P<what>f1|precision|recall|number)$")


def _sniffs(file: File) -> bool:
    return not file.binary and file.start.lstrip("\ufeff \n\r\t").startswith("{") and '"log_history"' in file.start


def _read(file: File) -> Iterator[Log]:
    state, torn = json_of(file)
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list):
        raise ReadError(f"{file.path}: log_history is no list: no state of a Hugging Face Trainer")
    rows = [row for row in history if isinstance(row, dict)]
    log = Log("hf-trainer", file.path)
    if torn:
        log.miss(torn)
        log.event("truncated", torn)
    _read_plan(log, state)
    splits = _splits(rows)
    seen: set[str] = set()
    for row in rows:
        if (sign := repr(row)) not in seen:  # a resumed run repeats rows
            seen.add(sign)
            _read_row(log, row, splits)
    _read_best(log, state)
    yield log


def named(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of one row of the history by their canonical names, as a live callback hears it."""
    log = Log("hf-trainer", Path())
    _read_row(log, dict(row), _splits([dict(row)]))
    return {name: float(series.value[-1]) for name, series in log.run().series.items()}


def _read_plan(log: Log, state: Mapping[str, Any]) -> None:
    log.planned(steps=whole(state.get("max_steps")), epochs=number(state.get("num_train_epochs")))


def _splits(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(prefix of the keys, split) of every evaluated set, the longest prefix first.

    Sets betray themselves by their speed: ``eval_g0_samples_per_second`` is of the set g0, the split ``val_g0``.
    """
    found = {"eval": "val", "test": "test"}
    for key in {key for row in rows for key in row if key.endswith(_SPEED)}:
        prefix = key.removesuffix(_SPEED)
        if prefix and prefix not in ("train", "eval"):
            found[prefix] = SPLITS.get(prefix) or f"val_{prefix.removeprefix('eval_')}"
    return sorted(((f"{prefix}_", split) for prefix, split in found.items()), key=lambda pair: -len(pair[0]))


def _read_row(log: Log, row: dict[str, Any], splits: list[tuple[str, str]]) -> None:
    step, epoch = whole(row.get("step")), number(row.get("epoch"))
    if "loss" in row and log.exit == "finished":
        _go_on(log, step)
    elif step is not None and step < log.at and "loss" in row:
        log.event("resume", "the steps of the history go back", step=step)
    if "train_runtime" in row:
        log.exit = "finished"
        log.event("exit", "the Trainer's final row", step=step, data={"train_runtime": number(row["train_runtime"])})
        row = {key: value for key, value in row.items() if not key.startswith("train_")}
    if step == 0 and epoch == 0:
        epoch = None  # before the first: an epoch 0 here does not mean that epochs are counted from 0
    classes = {m["tag"] for key in row if (m := _OF_CLASS.match(key)) and m["what"] == "number"}
    for key, value in flat(row):
        if key in _CLOCK or isinstance(value, str):
            continue
        prefix, split = next(((p, s) for p, s in splits if key.startswith(p)), ("", ""))
        rest = key.removeprefix(prefix)
        if not split:
            log.add("train/loss" if key == "loss" else key, value, step=step, epoch=epoch)
        elif rest not in _TIMES:
            log.add(_of_class(rest, prefix, split, classes), value, step=step, epoch=epoch, split=split)


def _go_on(log: Log, step: int | None) -> None:
    """What looked like the end was that of an earlier call of ``train``."""
    log.exit = "unknown"
    log.events = [event for event in log.events if event.kind != "exit"]
    log.event("resume", "training goes on after a final row", step=step)


def _of_class(rest: str, prefix: str, split: str, classes: set[str]) -> str:
    """Seqeval's ``PER_f1`` and ``PER_number`` as ``val/f1/PER`` and ``val/support/PER``."""
    match = _OF_CLASS.match(rest)
    if match is None or prefix + match["tag"] not in classes:
        return rest
    what = {"number": "support"}.get(match["what"], match["what"])
    return f"{split}/{what}/{match['tag']}"


def _read_best(log: Log, state: Mapping[str, Any]) -> None:
    value, where = number(state.get("best_metric")), state.get("best_model_checkpoint")
    if value is None and not where:
        return
    said = _CHECKPOINT.search(str(where))
    step = whole(state.get("best_global_step")) or (int(said[1][:15]) if said else None)
    data = {key: found for key, found in (("step", step), ("value", value)) if found is not None}
    log.event("best", "the Trainer's best checkpoint", step=step, data=data)


READER = Reader("hf-trainer", 20, _sniffs, _read)

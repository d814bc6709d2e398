"""Records (dicts) as rows of a ``Frame``: nested names joined by ``/``, numbers as strings, marks of events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tocsin.readers.file import File
from tocsin.readers.frame import Frame
from tocsin.readers.values import json_value, number
from tocsin.readers.vocabulary import plain

_DEPTH = 5
_MOST_VALUES = 5_000  # of one record
_WRAPPERS = frozenset({"metrics", "data", "logs", "log", "values", "scalars", "stats", "results", "payload"})
_CONFIGS = frozenset("config args hparams hyperparameters hyper_parameters configuration settings".split())  # noqa: SIM905
_TOLD = frozenset({"event", "type", "status", "state", "message", "msg"})
_ENDED = re.compile(
    r"\b(?:train(?:ing)?|run|fit)[ _-]?(?:is[ _-])?(?:completed?|finished|done|ended|end)\b"
    r"|^(?:completed?|finished|success)$",
    re.I,
)
_EARLY = re.compile(r"early[ _-]?stop", re.I)
_FAILED = re.compile(r"^(fail(ed|ure)?|error|crash(ed)?|exception|(run|train(ing)?)[ _-](failed|error|crashed))$", re.I)
_STOPPED = re.compile(r"^(interrupted|aborted|cancel(l)?ed|stopped|keyboard[ _-]?interrupt)$", re.I)


def flat(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(name, number or text) of a record; lists of learning rates give one name each, other lists none."""
    left = [_MOST_VALUES]
    yield from _flat(record, "", _DEPTH, left)


def _flat(record: Mapping[str, Any], head: str, depth: int, left: list[int]) -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        left[0] -= 1
        if left[0] < 0:
            return
        name = f"{head}{key}"
        if isinstance(value, dict):
            if depth and key not in _CONFIGS:
                yield from _flat(value, head if key in _WRAPPERS else f"{name}/", depth - 1, left)
        elif isinstance(value, list):
            if plain(str(key)) in ("lr", "learning_rate", "lrs") and len(value) <= 64:
                yield from ((f"{name}/{place}", n) for place, v in enumerate(value) if (n := number(v)) is not None)
        elif isinstance(value, str):
            said = number(value)
            yield name, value if said is None else said
        elif isinstance(value, int | float) and not isinstance(value, bool) and (said := number(value)) is not None:
            yield name, said


def add_record(frame: Frame, record: Mapping[str, Any]) -> None:
    """Add a record as the next row of a frame."""
    row = frame.rows
    frame.rows += 1
    if "config" in (record.get("type"), record.get("event")):
        frame.marks.append((row, "config", "", {k: v for k, v in record.items() if k not in ("type", "event")}))
        return
    rest = {key: value for key, value in record.items() if not (type(value) is float and frame.put(key, row, value))}
    for name, value in flat(rest):
        if isinstance(value, str):
            frame.say(name, row, value[:200])
        else:
            frame.put(name, row, value)
    _mark(frame, row, rest)


def frame_of(records: Iterable[Any]) -> Frame:
    """The frame of all dicts among ``records``."""
    frame = Frame()
    for record in records:
        if isinstance(record, dict):
            add_record(frame, record)
    return frame


def _mark(frame: Frame, row: int, record: Mapping[str, Any]) -> None:
    for key, value in record.items():
        if isinstance(value, dict) and key in _CONFIGS:
            frame.marks.append((row, "config", "", value))
        elif isinstance(value, str) and key in _TOLD:
            _mark_told(frame, row, value.strip(), record)


def _mark_told(frame: Frame, row: int, said: str, record: Mapping[str, Any]) -> None:
    if _EARLY.search(said):
        frame.marks.append((row, "early-stop", said, {}))
    elif _FAILED.search(said):
        text = str(record.get("traceback") or record.get("error") or record.get("message") or said)
        frame.marks.append((row, "exception", text, {"type": str(record.get("error_type") or "")}))
        frame.marks.append((row, "exit", "failed", {}))
    elif _STOPPED.search(said):
        frame.marks.append((row, "exit", "interrupted", {}))
    elif _ENDED.search(said):
        frame.marks.append((row, "exit", "finished", {}))


def records_of(lines: Iterable[str], frame: Frame) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file of lines; what is none is counted in ``frame.unread``."""
    bad, place, at = 0, 0, 0
    for place, line in enumerate(lines, 1):
        text = line.strip().lstrip("\ufeff").rstrip(",")
        if not text or text in "[]":
            continue
        try:
            record = json_value(text)
        except (ValueError, RecursionError):
            bad, at = bad + 1, place
            continue
        if isinstance(record, dict):
            yield record
    if bad and at == place:
        bad -= 1
        frame.miss(f"truncated: the last line ({at}) is torn")
    if bad:
        frame.miss(f"{bad} lines are no JSON objects")


def head_records(file: File, most: int = 200) -> tuple[list[dict[str, Any]], bool]:
    """The JSON objects among the first lines of a file, and whether nearly all of these lines are such."""
    lines = file.start.splitlines()
    if len(file.head) < file.size and len(lines) > 1:
        lines.pop()
    lines = [line for line in lines[: 2 * most] if line.strip() and line.strip() not in "[]"][:most]
    if not lines or not lines[0].strip().lstrip("\ufeff").startswith("{"):
        return [], False
    records = list(records_of(lines, Frame()))
    return records, len(records) >= 0.8 * len(lines) or len(records) == len(lines) - 1 > 0

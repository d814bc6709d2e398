"""Lines of a record -> the data model. A record is hostile input: every number is checked before it is believed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np

from tocsin.record.layout import LINE_BYTES, MAX_STEP, open_regular, parse
from tocsin.run import Confusion, Evaluation, Event, Floats, Ints, Kind, Moments, Parameter

T = TypeVar("T")
MAX_CLASSES = 2**20
MAX_ATTEMPTS = 10**6
_MOMENTS = [f.name for f in fields(Moments) if f.type == "float"]
BAD = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


class Lines:
    """The JSON objects of a JSONL file, one at a time; ``bad`` counts the lines that hold none.

    What follows the last newline is left out: it is still being written, or was torn by a kill. A line longer than
    ``LINE_BYTES`` is skipped without being held in memory.

    Raises:
        OSError: While iterating, when the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bad = 0
        self.torn = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with open_regular(self.path) as file:
            while line := file.readline(LINE_BYTES + 1):
                if line == b"\n":
                    continue
                ended = line.endswith(b"\n")
                whole = ended
                while not ended and (rest := file.readline(LINE_BYTES)):
                    ended = rest.endswith(b"\n")
                self.torn = not ended
                data = _object(line) if whole else None
                if data is not None:
                    yield data
                elif ended:
                    self.bad += 1

    def decode(self, decoder: Callable[[dict[str, Any]], T]) -> list[tuple[int, T]]:
        """(attempt, decoded) of every line that ``decoder`` accepts; the others are counted in ``bad``."""
        found = []
        for data in self:
            try:
                found.append((integer(data.get("attempt", 1), MAX_ATTEMPTS), decoder(data)))
            except BAD:
                self.bad += 1
        return found


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        return parse(line)
    except ValueError:
        return None


def real(value: Any) -> float:
    """A recorded float: a JSON number, or "nan", "inf", "-inf".

    Raises:
        ValueError, OverflowError: Anything else.
    """
    if type(value) in (float, int):
        return float(value)
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):
        return float(value)
    raise ValueError(f"expected a number, got {type(value).__name__}")


def integer(value: Any, most: int = MAX_STEP) -> int:
    """A recorded count or step in [0, most].

    Raises:
        ValueError: Anything else.
    """
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"expected an integer from 0 to {most}")
    return value


def text(value: Any) -> str:
    """A recorded text.

    Raises:
        ValueError: Anything else.
    """
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {type(value).__name__}")
    return value


def _reals(values: Any) -> Floats:
    return np.array([real(v) for v in _sequence(values)], dtype=np.float64)


def _integers(values: Any, most: int = MAX_STEP) -> Ints:
    return np.array([integer(v, most) for v in _sequence(values)], dtype=np.int64)


def _sequence(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise ValueError(f"expected a list, got {type(values).__name__}")
    return values


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {type(value).__name__}")
    return value


def event(data: dict[str, Any]) -> Event:
    """The inverse of ``encoding.event_data``."""
    kind, said = text(data["kind"]), text(data.get("text", ""))
    return Event(kind, said, integer(data["step"]), real(data.get("time", "nan")), _mapping(data.get("data", {})))


def parameters(data: dict[str, Any]) -> tuple[int, tuple[Parameter, ...]]:
    """The inverse of ``encoding.parameters_data``: the step and the table."""
    return integer(data["step"], 2**62), tuple(_parameter(_mapping(p)) for p in _sequence(data["parameters"]))


def _parameter(data: Mapping[str, Any]) -> Parameter:
    flags = [data[name] for name in ("requires_grad", "in_optimizer")]
    if not all(isinstance(flag, bool) for flag in flags):
        raise ValueError("expected true or false")
    names = [text(data[name]) for name in ("module", "dtype", "role")]
    return Parameter(text(data["name"]), integer(data["size"], 2**62), *flags, *names)


def evaluation(data: dict[str, Any]) -> Evaluation:
    """The inverse of ``encoding.evaluation_data``."""
    kind = data["kind"]
    if kind not in get_args(Kind):
        raise ValueError("expected a kind of evaluation")
    return Evaluation(
        split=text(data["split"]),
        task=text(data["task"]),
        step=integer(data["step"]),
        kind=kind,
        n=integer(data["n"]),
        epoch=real(data.get("epoch", "nan")),
        time=real(data.get("time", "nan")),
        nonfinite=integer(data.get("nonfinite", 0)),
        confusion=_confusion(_mapping(data["confusion"])) if "confusion" in data else None,
        labels_confusion=_labels_confusion(data["labels_confusion"]) if "labels_confusion" in data else None,
        moments=tuple(_moments(_mapping(m)) for m in _sequence(data.get("moments", []))),
        metrics={name: real(v) for name, v in _mapping(data.get("metrics", {})).items()},
        baseline=text(data.get("baseline", "")),
        batchwise={name: real(v) for name, v in _mapping(data.get("batchwise", {})).items()},
        auc=_areas(data.get("auc", [])),
    )


def _areas(values: Any) -> tuple[float, ...]:
    """Areas under a curve, in [0, 1] or NaN."""
    areas = _reals(values)
    if np.any((areas < 0) | (areas > 1)) or areas.size > MAX_CLASSES:
        raise ValueError("expected areas from 0 to 1")
    return tuple(areas.tolist())


def _confusion(data: Mapping[str, Any]) -> Confusion:
    classes = integer(data["classes"], MAX_CLASSES)
    target, prediction = (_integers(data[name], classes - 1) for name in ("target", "prediction"))
    count = _integers(data["count"], 2**40)
    if not target.size == prediction.size == count.size:
        raise ValueError("expected columns of one length")
    return Confusion(classes, target, prediction, count, tuple(text(label) for label in _sequence(data["labels"])))


def _labels_confusion(rows: Any) -> Ints:
    table = [_integers(row) for row in _sequence(rows)]
    if any(row.size != 4 for row in table):
        raise ValueError("expected tp, fp, fn, tn for each label")
    return np.array(table, dtype=np.int64).reshape(-1, 4)


def _moments(data: Mapping[str, Any]) -> Moments:
    target, prediction = _reals(data["sample_target"]), _reals(data["sample_prediction"])
    if target.size != prediction.size:
        raise ValueError("expected samples of one length")
    n, stride = integer(data["n"]), max(1, integer(data["stride"]))
    kept: dict[str, Any] = {name: real(data[name]) for name in _MOMENTS}
    return Moments(n=n, **kept, sample_target=target, sample_prediction=prediction, stride=stride)


def moment(value: Any) -> float:
    """A time as recorded, 0 where it is missing or no finite number."""
    return float(value) if type(value) in (int, float) and abs(value) < 2**53 and math.isfinite(value) else 0.0

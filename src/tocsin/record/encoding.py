"""What is said about a run -> one line of JSON each. Nothing here raises on odd user values except where it says so."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from tocsin.findings import Finding
from tocsin.run import Confusion, Evaluation, Event, Moments, Parameter

Row = tuple[int, int | None, float, dict[str, float]]
_DEEPEST = 40


def plain(value: Any, depth: int = 0) -> Any:
    """``value`` as strict JSON data; what JSON cannot say becomes text. Never raises."""
    try:
        return _plain(value, depth)
    except Exception:  # a user's object may do anything in __str__, item or __iter__
        return f"<{type(value).__name__}>"


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value) if abs(value) < 2**1024 else "<huge integer>"
    if isinstance(value, float):
        return number(value)
    if depth >= _DEEPEST:
        return "<nested too deeply>"
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name), depth + 1) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v, depth + 1) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth + 1)
    return str(value)[:2000]


def number(value: float) -> float | str:
    """A float as JSON can keep it: non-finite ones as "nan", "inf", "-inf"."""
    if math.isfinite(value):
        return float(value)
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def line(data: Any) -> bytes:
    """One JSON line.

    Raises:
        ValueError, TypeError: ``data`` holds what strict JSON cannot say.
    """
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"


def row_line(row: Row) -> bytes:
    """One row of series values.

    Raises:
        ValueError, TypeError, OverflowError: A value is not a number.
    """
    step, epoch, t, values = row
    try:
        array("d", values.values())  # refuses what is no number faster than a loop could
        return line({"step": step, "epoch": epoch, "t": t, "v": values})
    except (ValueError, TypeError):  # a non-finite value, or a numpy or torch scalar
        kept = {str(name): number(float(value)) for name, value in values.items()}
        when = None if epoch is None else int(epoch)
        return line({"step": int(step), "epoch": when, "t": number(float(t)), "v": kept})


def evaluation_data(evaluation: Evaluation) -> dict[str, Any]:
    """JSON data of one evaluation: the confusion sparse, the moments with their bounded sample."""
    kept = ("split", "task", "step", "kind", "n", "epoch", "time", "nonfinite")
    data = {name: plain(getattr(evaluation, name)) for name in kept}
    if evaluation.confusion is not None:
        data["confusion"] = _confusion(evaluation.confusion)
    if evaluation.labels_confusion is not None:
        data["labels_confusion"] = plain(evaluation.labels_confusion)
    if evaluation.moments:
        data["moments"] = [_moments(m) for m in evaluation.moments]
    data["metrics"] = {str(k): number(float(v)) for k, v in evaluation.metrics.items()}
    if evaluation.baseline:
        data["baseline"] = str(evaluation.baseline)
    if evaluation.batchwise:
        data["batchwise"] = {str(k): number(float(v)) for k, v in evaluation.batchwise.items()}
    if evaluation.auc:
        data["auc"] = [number(float(v)) for v in evaluation.auc]
    return data


def _confusion(confusion: Confusion) -> dict[str, Any]:
    cells = {name: getattr(confusion, name).tolist() for name in ("target", "prediction", "count")}
    return {"classes": int(confusion.classes), **cells, "labels": [str(label) for label in confusion.labels]}


def _moments(moments: Moments) -> dict[str, Any]:
    return {f.name: plain(getattr(moments, f.name)) for f in fields(moments)}


def event_data(event: Event) -> dict[str, Any]:
    """JSON data of one event."""
    data: dict[str, Any] = plain(event)
    return data


def finding_data(finding: Finding) -> dict[str, Any]:
    """JSON data of one finding; ``findings.finding_from_json`` is its inverse."""
    data: dict[str, Any] = plain(finding)
    return data


def parameters_data(parameters: Sequence[Parameter], step: int) -> dict[str, Any]:
    """JSON data of the table of parameters that holds from ``step`` on."""
    return {"step": step, "parameters": [plain(p) for p in parameters]}

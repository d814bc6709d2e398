"""What MLflow's two stores have in common: metrics with or without steps, tags, states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tocsin.readers.log import Log
from tocsin.run import Exit, Floats, Ints

_STATES: dict[str, Exit] = {
    "1": "running", "running": "running", "2": "unknown", "scheduled": "unknown", "3": "finished",
    "finished": "finished", "4": "failed", "failed": "failed", "5": "killed", "killed": "killed",
}  # fmt: skip
_MILLISECONDS = 1e11  # dates above it are in ms, as MLflow writes them since its first stable release
# MLflow's tags name the user, too; that one is not kept.
_TAGS = {"mlflow.source.name": "command", "mlflow.parentRunId": "parent", "mlflow.source.git.commit": "commit"}


@dataclass(frozen=True)
class Metric:
    """The points of one metric in the order of the store: value, step, and time in MLflow's unit, shape (n,)."""

    value: Floats
    step: Ints
    time: Floats


def exit_of(status: object) -> Exit:
    """How a run ended, by MLflow's status as a number or as a word."""
    return _STATES.get(str(status).strip().lower(), "unknown")


def take_tags(log: Log, tags: Mapping[str, str]) -> None:
    """Name, command, commit and parent run of a run."""
    log.name = log.name or tags.get("mlflow.runName", "")[:200]
    for tag, key in _TAGS.items():
        if said := tags.get(tag, "").strip():
            log.environment[key] = said[:2000]


def fill(log: Log, metrics: Mapping[str, Metric]) -> None:
    """Put the metrics into the log.

    A metric that was logged without steps has step 0 throughout: its points stand where the others were at that time.
    """
    stepped = {name: metric for name, metric in metrics.items() if metric.step.any()}
    for name, metric in stepped.items():
        log.extend(name, metric.value, step=metric.step, time=_seconds(metric.time))
    clock = _clock(list(stepped.values()))
    for name, metric in metrics.items():
        if name in stepped or not metric.value.size:
            continue
        if clock is not None:
            step = np.interp(metric.time, *clock).astype(np.int64)
            log.extend(name, metric.value, step=step, time=_seconds(metric.time))
        else:
            log.extend(name, metric.value, time=_seconds(metric.time))


def _clock(stepped: list[Metric]) -> tuple[Floats, Ints] | None:
    """Ascending times and the step reached by each."""
    if not stepped:
        return None
    time, step = (np.concatenate([getattr(m, column) for m in stepped]) for column in ("time", "step"))
    known = np.isfinite(time)
    order = np.argsort(time[known], kind="stable")
    return (time[known][order], np.maximum.accumulate(step[known][order])) if known.any() else None


def _seconds(time: Floats) -> Floats:
    return np.where(time > _MILLISECONDS, time / 1000, time)

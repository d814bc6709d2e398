"""One ``Run`` from the units of several formats that tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tocsin.readers.agreement import agreement
from tocsin.readers.labels import shown
from tocsin.readers.settings import filled
from tocsin.readers.unit import Unit
from tocsin.readers.values import number
from tocsin.run import Event, Exit, Ints, Run, Series

_EXITS: tuple[Exit, ...] = ("failed", "interrupted", "killed", "finished", "running", "unknown")
_LAST = frozenset({"exception", "exit", "truncated", "early-stop"})


def main_of(cluster: list[Unit]) -> Unit:
    """The unit whose count of steps is the finest, and among such the one with most points: it gives the clock."""
    return max(cluster, key=lambda unit: (unit.run.last_step, unit.size, -unit.rank))


def head_of(cluster: list[Unit]) -> Unit:
    """The unit that the run is named by: the one that stands highest in the tree."""
    return min(cluster, key=lambda unit: (len(unit.home.parts), unit.rank))


def merged(cluster: list[Unit], settings: Mapping[str, Any] | None = None) -> Run:
    """The run that the units tell together.

    Of a series that several have, the one with most points is taken whole: two sources are never interleaved. Epochs
    and times stay each source's own, but for a curve that lacks them and has a twin at the same steps. ``settings``
    fill the configuration where the logs say nothing.
    """
    main = main_of(cluster)
    units = sorted(cluster, key=lambda unit: (unit.rank, unit.source))
    told = [unit.run if unit is main else on_clock(unit.run, main.run) for unit in units]
    config, typed = _config(units, settings or {})
    return Run(
        next((unit.log.name for unit in units if unit.log.name), ""),
        series=_series(told),
        events=_events(told, main.run.last_step),
        config=config,
        config_typed=typed,
        environment=_environment(units),
        exit=min((unit.log.exit for unit in units), key=_EXITS.index),
        path=_path(cluster),
        source=" + ".join(dict.fromkeys(unit.source for unit in units)),
        unread=tuple(dict.fromkeys(shown(sentence) for unit in units for sentence in unit.log.unread)),
    )


def on_clock(run: Run, main: Run) -> Run:
    """``run`` with its steps counted as ``main`` counts them, where that is known; else as it is.

    A CSV often counts epochs where the event file beside it counts optimizer steps. Known it is where both hold the
    same curve (each epoch's number stands at a step there), or where ``main`` says the epoch of its steps, too. Any
    other conversion would be invented: then the series keep the count of their source.
    """
    there = _by_shared_curve(run, main)
    if there is None:
        there = _by_epoch(run, main)
    if there is None:
        return run
    known = dict(there.tolist())
    if not all(int(step) in known for series in run.series.values() for step in np.unique(series.step)):
        return run
    return replace(
        run,
        series={
            name: replace(s, step=np.asarray([known[int(step)] for step in s.step], np.int64))
            for name, s in run.series.items()
        },
        events=tuple(replace(e, step=known.get(e.step, e.step)) for e in run.events),
    )


def _by_shared_curve(run: Run, main: Run) -> Ints | None:
    steps = agreement(run, main).steps
    ascending = len(steps) > 0 and bool((np.diff(steps[np.argsort(steps[:, 0])], axis=0) > 0).all())
    return steps if ascending else None


def _by_epoch(run: Run, main: Run) -> Ints | None:
    """For a run that counts nothing but epochs: the last step of ``main`` within each."""
    counted = [s for s in run.series.values() if np.array_equal(s.step, s.epoch)]
    epochs = np.concatenate([s.epoch for s in main.series.values()] or [np.empty(0)])
    steps = np.concatenate([s.step for s in main.series.values()] or [np.empty(0, np.int64)])
    steps, epochs = steps[np.isfinite(epochs)], epochs[np.isfinite(epochs)]
    if not counted or len(counted) < len(run.series) or not steps.size or steps.max() <= epochs.max() + 1:
        return None
    asked = np.unique(np.concatenate([s.step for s in counted]))
    if asked.min() < epochs.min() or asked.max() > np.ceil(epochs.max()):
        return None
    return np.stack([asked, [int(steps[epochs <= epoch].max()) for epoch in asked]], axis=1)


def _series(told: list[Run]) -> dict[str, Series]:
    series: dict[str, Series] = {}
    for run in told:
        for name, found in run.series.items():
            series[name] = _fuller(series[name], found) if name in series else found
    return dict(sorted(series.items()))


def _fuller(one: Series, other: Series) -> Series:
    """The one with more points; of two at the same steps the more precise, with the epochs and times that it lacks."""
    if not np.array_equal(one.step, other.step):
        return one if len(one) >= len(other) else other
    best, twin = (one, other) if _digits(one) >= _digits(other) else (other, one)
    return replace(
        best,
        epoch=best.epoch if np.isfinite(best.epoch).any() else twin.epoch,
        time=best.time if np.isfinite(best.time).any() else twin.time,
    )


def _digits(series: Series) -> int:
    """How many digits its numbers have, those of a 32-bit float only as far as they mean anything."""
    values = [float(v) for v in series.value[:64] if np.isfinite(v)]
    shortest = [str(np.float32(v)) if float(np.float32(v)) == v else repr(v) for v in values]
    return max((sum(map(str.isdigit, text)) for text in shortest), default=0)


def _events(told: list[Run], last: int) -> tuple[Event, ...]:
    """Events in order of step; how it ended, said by a source that counts no steps, stands at the end."""
    placed = []
    for run in told:
        own_last = run.last_step
        for event in run.events:
            ends = event.kind in _LAST and event.step >= own_last
            placed.append(replace(event, step=last) if ends and event.step < last else event)
    return tuple(sorted(placed, key=lambda event: event.step))


def _config(units: list[Unit], settings: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The joined configuration, and whether its types mean anything.

    A source that keeps only text fills what typed ones do not say; its numbers are read as such, so that only texts
    that somebody wrote as texts are left.
    """
    config: dict[str, Any] = {}
    for unit in units:
        if unit.log.config_typed:
            config = filled(config, unit.log.config)
    config = filled(config, settings)
    texts = [unit.log.config for unit in units if not unit.log.config_typed]
    typed = bool(config) or not any(texts)
    for told in texts:
        config = filled(config, _numbers(told) if typed else told)
    return config, typed


def _numbers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _numbers(inner) for key, inner in value.items()}
    read = number(value) if isinstance(value, str) else None
    return value if read is None else read


def _environment(units: list[Unit]) -> dict[str, Any]:
    environment: dict[str, Any] = {}
    for unit in units:
        environment = filled(environment, unit.log.environment)
    files = [f"{unit.source}: {shown(path.name)}" for unit in units for path in unit.files]
    return {**environment, "files": files} if len(files) > 1 else environment


def _path(cluster: list[Unit]) -> Path:
    files = [path for unit in cluster for path in unit.files]
    return files[0] if len(files) == 1 else head_of(cluster).home

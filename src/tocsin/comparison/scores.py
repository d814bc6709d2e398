"""The scores that several runs share, whatever each calls them and in whichever unit it logs them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tocsin import metrics, siblings
from tocsin.run import Run, Series

Names = tuple[str | None, ...]
_LOSSES = ("val/loss", "test/loss")


def shared_scores(runs: Sequence[Run]) -> dict[str, Names]:
    """Scores that the first run and another have, by the first one's name, with the series of each run.

    Those that most runs have come first, then those of whole evaluations; losses of evaluations come last. A series
    without a finite point is none.
    """
    each = [_by_meaning(run) for run in runs]
    found = {name: tuple(other.get(key) for other in each) for key, name in each[0].items()}
    shared = {name: names for name, names in found.items() if sum(map(bool, names)) > 1}
    return dict(sorted(shared.items(), key=lambda item: (item[0] in _LOSSES, -sum(map(bool, item[1])), _rank(item[0]))))


def _by_meaning(run: Run) -> dict[Hashable, str]:
    """Names by what they say: ``val/acc`` and ``val/accuracy`` are one."""
    known = [m for m in metrics.of_evaluations(run.series) if siblings.is_score(m) and _finite(run, m.name)]
    found: dict[Hashable, str] = {(m.group, m.measure, m.average, m.rest): m.name for m in reversed(known)}
    return {**found, **{name: name for name in _LOSSES if _finite(run, name)}}


def _finite(run: Run, name: str) -> bool:
    return name in run.series and bool(len(run.series[name].finite))


def _rank(name: str) -> tuple[object, ...]:
    known = metrics.read(name)
    return siblings.rank(known) if known is not None else (name,)


def named(metric: str, runs: Sequence[Run], shared: Mapping[str, Names]) -> tuple[str, Names]:
    """What a user calls a score: one of those shared, in the spelling of any run, or any series that can be ranked.

    Raises:
        ValueError: The first run and no other have it, or which way it is better is not known.
    """
    for name, names in shared.items():
        if metric == name or metric in names:
            return name, names
    own = tuple(metric if _finite(run, metric) else None for run in runs)
    if own[0] and sum(map(bool, own)) > 1 and siblings.way(metric):
        return metric, own
    raise ValueError(
        f"no score {metric!r} in the first run and another; they share {', '.join(list(shared)[:20]) or 'none'}"
    )


def aligned(runs: Sequence[Run], metric: str, names: Names) -> list[Run]:
    """The runs with this score alone, under one name and in one unit: where some are in percent, all as fractions."""
    series = [run.series[name] if name else None for run, name in zip(runs, names, strict=True)]
    known = metrics.read(metric)
    bounded = known is not None and known.measure in metrics.BOUNDED
    percent = [s is not None and bounded and metrics.is_percent(s.value) for s in series]
    mixed = any(percent) and not all(p for p, s in zip(percent, series, strict=True) if s is not None)
    scales = [0.01 if p and mixed else 1.0 for p in percent]
    return [
        replace(run, series={metric: _scaled(s, metric, scale)} if s is not None else {})
        for run, s, scale in zip(runs, series, scales, strict=True)
    ]


def _scaled(series: Series, name: str, scale: float) -> Series:
    return replace(series, name=name, value=np.asarray(series.value) * scale)

"""Which evaluation a run kept by the word of its log, and whether every term of a loss speaks for another one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np

from tocsin import metrics
from tocsin.findings import Evidence
from tocsin.run import Event, Floats, Ints, Run


@dataclass(frozen=True)
class Outdone:
    """An evaluation at which the total that something was kept by is higher, although every term is lower.

    Attributes:
        metric: The total.
        step: Of the kept evaluation and of the other one.
        total: There.
        terms: Each term there, by its name.
        limits: How much of each difference is noise.
    """

    metric: str
    step: tuple[int, int]
    total: tuple[float, float]
    terms: Mapping[str, tuple[float, float]]
    limits: Mapping[str, float]


def said(run: Run, step: Ints, epoch: Floats) -> tuple[int, str, Evidence] | None:
    """The index of the evaluation that the last "best" event names, in words, and what says so."""
    for event in reversed([e for e in run.events if e.kind == "best"]):
        at = _place(event, step, epoch)
        if at is not None:
            how = f"kept by the log's word ({event.text[:60] or 'best'})"
            return at, how, Evidence("event:best", None, text="kept")
    return None


def _place(event: Event, step: Ints, epoch: Floats) -> int | None:
    """The index of the evaluation that a "best" event names, by epoch or step."""
    named = event.data.get("epoch")
    if isinstance(named, int | float) and np.any(epoch == named):
        return int(np.flatnonzero(epoch == named)[-1])
    named = event.data.get("step", event.step)
    hits = np.flatnonzero(step == named) if isinstance(named, int | float) else np.empty(0)
    return int(hits[-1]) if hits.size else None


def outdone(run: Run, evaluations: int, gain: float) -> Outdone | None:
    """Whether a loss that something was kept by goes against each of its terms, recorded as ``<split>/loss/<term>``.

    A sum with fixed positive weights cannot rise where all terms fall; one with other fixed weights is told by least
    squares. Falls count that are at least ``gain`` of the term, and above the luck of the best of n: sd sqrt(2) (sqrt(2
    ln n) + 1), sd from second differences, which a trend leaves alone (that of three independent values is sqrt(6) sd).
    """
    best = [e for e in run.events if e.kind == "best" and isinstance(e.data.get("metric"), str)]
    total = run.get(best[-1].data["metric"]) if best else None
    if total is None or "loss" not in total.name.rpartition("/")[2]:  # nothing else is a sum of losses
        return None
    family = run.family(f"{total.name.partition('/')[0]}/loss")
    by_name = {name: term.finite for name, term in family.items() if term.name != total.name}
    step = reduce(np.intersect1d, [term.step for term in by_name.values()], total.finite.step)
    if len(by_name) < 2 or step.size < max(evaluations, 4):
        return None
    sums, *columns = (s.value[np.searchsorted(s.step, step)] for s in (total.finite, *by_name.values()))
    at = _place(best[-1], step, total.finite.epoch[np.searchsorted(total.finite.step, step)])
    if at is None:
        return None
    values = np.array(columns)
    limits = np.array([max(_luck(term), gain * abs(term[at])) for term in values])
    falls = values[:, at : at + 1] - values
    outdo = np.all(falls > limits[:, None], axis=0) & (sums - sums[at] > gain * abs(sums[at]))
    if not outdo.any():
        return None
    other = int(np.argmax(np.where(outdo, falls.sum(0), -np.inf)))
    if _fixed(sums, values, at, other):
        return None
    return Outdone(
        total.name,
        (int(step[at]), int(step[other])),
        (float(sums[at]), float(sums[other])),
        {name: (float(term[at]), float(term[other])) for name, term in zip(by_name, values, strict=True)},
        dict(zip(by_name, limits.tolist(), strict=True)),
    )


def _fixed(sums: Floats, terms: Floats, at: int, other: int) -> bool:
    """Whether weights that never change, of any sign, and a constant make the total, to a fiftieth of its rise."""
    if sums.size <= len(terms) + 2:
        return False
    columns = np.column_stack([*terms, np.ones(sums.size)])
    made = columns @ np.linalg.lstsq(columns, sums, rcond=None)[0]
    return bool(np.abs(made - sums).max() <= 0.02 * (sums[other] - sums[at]))


def _luck(values: Floats) -> float:
    tail = values[len(values) // 2 - 1 :] if len(values) >= 8 else values
    scatter = float(np.median(np.abs(np.diff(tail, 2)))) / (0.6745 * math.sqrt(6))
    noise = max(scatter, metrics.half_unit([values]))
    return noise * math.sqrt(2) * (math.sqrt(2 * math.log(values.size)) + 1)

"""Evaluations as tables: scores of each class, a thinned heat map of the confusion, regression scatter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tocsin import stats
from tocsin.reports.plain import figure
from tocsin.run import Confusion, Evaluation, Floats, Ints, Moments

MOST_BINS = 20
MOST_ROWS = 40
MOST_CLASSES = 100_000
MOST_DOTS = 600
MOST_OUTPUTS = 4
SIDE = 240.0
LARGEST = 1e300  # differences of larger values overflow


@dataclass(frozen=True)
class ClassRow:
    """Scores of one class; NaN where there is nothing to divide by."""

    label: str
    support: int
    predicted: int
    recall: float
    interval: tuple[float, float]
    precision: float

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where both sides are empty of hits."""
        p, r = self.precision, self.recall
        return 2 * p * r / (p + r) if p + r > 0 else 0.0 if self.support else math.nan


@dataclass(frozen=True)
class HeatMap:
    """Row-normalised confusion of at most ``MOST_BINS`` bins of classes: ``share[i, j]`` of bin i predicted as j."""

    labels: tuple[str, ...]
    share: Floats
    count: Ints
    thinned: str = ""


@dataclass(frozen=True)
class Scatter:
    """Prediction against target in a square of ``SIDE`` units; ``path`` holds one zero-length stroke a pair."""

    path: str
    identity: tuple[float, float, float, float]
    ranges: tuple[float, float, float, float]
    shown: int


@dataclass(frozen=True)
class Output:
    """One regression output: its moments, and its scatter where a sample was recorded."""

    moments: Moments
    scatter: Scatter | None


@dataclass(frozen=True)
class Scores:
    """All that the page shows of one evaluation."""

    evaluation: Evaluation
    facts: tuple[tuple[str, str], ...]
    rows: tuple[ClassRow, ...]
    rows_left_out: int
    heat: HeatMap | None
    outputs: tuple[Output, ...]


def scores(e: Evaluation) -> Scores:
    """The tables of one evaluation."""
    c = e.confusion if e.confusion is not None and 0 < e.confusion.classes <= MOST_CLASSES else None
    rows = class_rows(c) if c is not None else _label_rows(e.labels_confusion)
    outputs = tuple(Output(m, scatter(m)) for m in e.moments[:MOST_OUTPUTS])
    kept = rows if len(rows) <= MOST_ROWS else sorted(rows, key=_worst_first)[:MOST_ROWS]
    facts = (*_facts(e, c), *((name, figure(value)) for name, value in e.metrics.items()))
    return Scores(e, facts, tuple(kept), len(rows) - len(kept), heat_map(c) if c is not None else None, outputs)


def last_of_each(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """The last evaluation with a sample of each split and task, in order of first appearance."""
    return list({e.key: e for e in evaluations if e.n}.values())


def _facts(e: Evaluation, c: Confusion | None) -> list[tuple[str, str]]:
    facts = [("samples", f"{e.n:,}")]
    if e.nonfinite:
        facts.append(("non-finite, left out", f"{e.nonfinite:,}"))
    if c is None or not c.n:
        return facts
    hits = int(c.correct.sum())
    low, high = stats.wilson(hits, c.n)
    return [
        *facts,
        ("accuracy", f"{hits / c.n:.3f} (95 % {low:.3f} to {high:.3f})"),
        ("always the largest class", f"{int(c.support.max()) / c.n:.3f}"),
        ("macro F1", figure(float(np.mean([row.f1 for row in class_rows(c) if row.support])))),
        ("classes never predicted", f"{int(np.sum((c.predicted == 0) & (c.support > 0)))} of {c.classes}"),
    ]


def class_rows(c: Confusion) -> list[ClassRow]:
    """Scores of every class that has a target or a prediction."""
    support, predicted, correct = c.support.tolist(), c.predicted.tolist(), c.correct.tolist()
    return [
        _row(c.label(k), support[k], predicted[k], correct[k]) for k in range(c.classes) if support[k] or predicted[k]
    ]


def _label_rows(counts: Ints | None) -> list[ClassRow]:
    if counts is None:
        return []
    return [_row(f"label {k}", tp + fn, tp + fp, tp) for k, (tp, fp, fn, _) in enumerate(counts.tolist())]


def _row(label: str, support: int, predicted: int, correct: int) -> ClassRow:
    recall = correct / support if support else math.nan
    precision = correct / predicted if predicted else math.nan
    return ClassRow(label, support, predicted, recall, stats.wilson(correct, support), precision)


def _worst_first(row: ClassRow) -> tuple[bool, float]:
    return (not row.support, row.recall)


def heat_map(c: Confusion) -> HeatMap | None:
    """The confusion in at most 20 bins: all classes, neighbours joined where ordered, else the largest and "other"."""
    if not c.n:
        return None
    bins, labels, thinned = _bins(c)
    count = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(count, (bins[c.target], bins[c.prediction]), c.count)
    rows = count.sum(axis=1, keepdims=True)
    return HeatMap(labels, count / np.maximum(rows, 1), count, thinned)


def _bins(c: Confusion) -> tuple[Ints, tuple[str, ...], str]:
    if c.classes <= MOST_BINS:
        return np.arange(c.classes), tuple(c.label(k) for k in range(c.classes)), ""
    if ordered(c.labels):
        bins = np.arange(c.classes) * MOST_BINS // c.classes
        edges = [np.flatnonzero(bins == b)[[0, -1]].tolist() for b in range(MOST_BINS)]
        joined = tuple(c.label(a) if a == b else f"{c.label(a)} to {c.label(b)}" for a, b in edges)
        return bins, joined, f"{c.classes} ordered classes, neighbours joined into {MOST_BINS} bins"
    largest = np.sort(np.argsort(-np.maximum(c.support, c.predicted), kind="stable")[: MOST_BINS - 1])
    bins = np.full(c.classes, MOST_BINS - 1)
    bins[largest] = np.arange(MOST_BINS - 1)
    rest = c.classes - largest.size
    names = (*(c.label(int(k)) for k in largest), f"{rest} other")
    return (
        bins,
        names,
        f"the {largest.size} largest of {c.classes} classes by targets or predictions; the others joined",
    )


def ordered(labels: Sequence[str]) -> bool:
    """Whether all labels start with a number, in ascending order."""
    try:
        values = [float(label.split()[0]) for label in labels]
    except (ValueError, IndexError):
        return False
    return bool(values) and all(a < b for a, b in pairwise(values))


def scatter(m: Moments) -> Scatter | None:
    """The recorded sample of (target, prediction) pairs as an SVG path, thinned evenly to 600."""
    finite = np.isfinite(m.sample_target) & np.isfinite(m.sample_prediction)
    t, p = (v[finite].clip(-LARGEST, LARGEST) for v in (m.sample_target, m.sample_prediction))
    if not t.size:
        return None
    every = math.ceil(t.size / MOST_DOTS)
    across, down = _Axis.of(t[::every]), _Axis.of(p[::every])
    x, y = across.place(t[::every]), SIDE - down.place(p[::every])
    path = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    ends = np.array([max(across.low, down.low), min(across.high, down.high)])
    ends = ends if ends[0] < ends[1] else ends[[0, 0]]  # no common value: a line of no length
    (x1, x2), (y1, y2) = across.place(ends).tolist(), (SIDE - down.place(ends)).tolist()
    return Scatter(path, (x1, y1, x2, y2), (across.low, across.high, down.low, down.high), int(x.size))


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float

    @classmethod
    def of(cls, values: Floats) -> _Axis:
        low, high = float(values.min()), float(values.max())
        pad = 0.04 * (high - low) or max(abs(low), 1.0) * 0.5
        return cls(low - pad, high + pad)

    def place(self, values: Floats) -> Floats:
        return (values - self.low) / (self.high - self.low) * SIDE

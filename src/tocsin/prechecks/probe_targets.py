"""Targets as a probe is to answer them: classes as one-hot columns of equal weight, amounts as normal scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tocsin.prechecks.probe_tables import Floats, normal_scores, standardised
from tocsin.prechecks.samples import Samples

FEWEST = 100
_FEWEST_OF_CLASS = 10
_MOST_CLASSES = 50
_MOST_COLUMNS = 8


@dataclass(frozen=True)
class Target:
    """What is to be predicted of n samples.

    Attributes:
        task: Its name.
        rows: Which samples, increasing, [n].
        columns: One-hot classes, or normal scores of amounts, [n, k].
        weight: Of each sample; classes weigh the same, [n].
        labels: Class of each from 0 to k - 1, None for amounts.
    """

    task: str
    rows: NDArray[np.intp]
    columns: Floats
    weight: Floats
    labels: NDArray[np.intp] | None

    @property
    def scale(self) -> str:
        """For messages: what a skill of 0 is."""
        return "0 is the mean" if self.labels is None else f"0 is chance among {self.columns.shape[1]} classes"

    def weight_among(self, fit: NDArray[np.bool_]) -> Floats:
        """Weights of these samples, by which the classes weigh the same among them: none is the likelier guess."""
        return self.weight[fit] if self.labels is None else balanced(self.labels[fit])

    def only(self, kept: NDArray[np.bool_]) -> Target | None:
        """Of these samples alone."""
        rows = self.rows[kept]
        if self.labels is not None:
            return of_classes(self.task, rows, self.labels[kept])
        return of_amounts(self.task, rows, self.columns[kept])


def probe_targets(samples: Samples, rows: NDArray[np.intp]) -> list[Target]:
    """The targets of these samples that a probe can answer: at least 100 samples, not all the same."""
    found = [_target(task, target, rows) for task, target in samples.targets.items()]
    return [one for one in found if one is not None]


def _target(task: str, target: Tensor, rows: NDArray[np.intp]) -> Target | None:
    if target.is_complex():
        return None
    values = target.reshape(len(target), -1).double().numpy()[rows]
    whole = np.isfinite(values).all(axis=1)
    rows, values = rows[whole], values[whole]
    if not target.is_floating_point() and values.shape[1] == 1 and np.unique(values).size <= _MOST_CLASSES:
        return of_classes(task, rows, values[:, 0])
    return of_amounts(task, rows, values)


def of_classes(task: str, rows: NDArray[np.intp], labels: NDArray[np.generic]) -> Target | None:
    """Classes with at least 10 samples; None below two of them or 100 samples. Negative labels are left out."""
    names, counts = np.unique(labels, return_counts=True)
    names = names[(counts >= _FEWEST_OF_CLASS) & (names.astype(np.float64) >= 0)]
    kept = np.isin(labels, names)
    if names.size < 2 or kept.sum() < FEWEST:
        return None
    known = np.searchsorted(names, labels[kept])
    return Target(task, rows[kept], np.eye(names.size)[known], balanced(known), known)


def balanced(labels: NDArray[np.intp]) -> Floats:
    """Weights by which classes weigh the same, 1 on average."""
    counts = np.bincount(labels)
    weight: Floats = labels.size / np.count_nonzero(counts) / counts[labels]
    return weight


def of_amounts(task: str, rows: NDArray[np.intp], values: Floats) -> Target | None:
    """Normal scores of up to 8 columns, spread over those there are; None below 100 samples or where all are equal."""
    if len(rows) < FEWEST or not values.shape[1]:
        return None
    few = values[:, np.unique(np.linspace(0, values.shape[1] - 1, _MOST_COLUMNS).astype(int))]
    columns = standardised(normal_scores(few))
    return Target(task, rows, columns, np.ones(len(rows)), None) if columns.shape[1] else None

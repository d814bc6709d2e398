"""What one evaluation tells class by class: scores, and counts of targets and predictions, as reports print them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin import metrics, names
from tocsin.run import Floats, Run, Series

_BY_CLASS = ("recall", "precision", "f1", "support")
_AVERAGES = frozenset(("macro", "micro", "weighted", "samples", "mean", "avg", "average", "all", "overall", "total"))
_COUNTS = (("support", "predicted", "correct"), ("standard", "predict", "right"))  # targets, predictions, hits


@dataclass(frozen=True)
class Report:
    """Scores by class of one split whose predictions were not recorded, at the evaluations that all classes share.

    Attributes:
        split: ``val``, ...
        classes: Names of the classes that hold targets at the last evaluation.
        support: (evaluations, classes) targets.
        recall: (evaluations, classes) fractions.
        step: (evaluations,).
    """

    split: str
    classes: Sequence[str]
    support: Floats
    recall: Floats
    step: Floats

    @property
    def share(self) -> Floats:
        """The share of each class among the targets of the last evaluation."""
        last = self.support[-1]
        shares: Floats = last / last.sum()
        return shares


@dataclass(frozen=True)
class OneClass:
    """The last evaluations of a report in which every prediction is one class.

    Attributes:
        report: The report.
        index: Which class.
        others: Targets of other classes at the last evaluation, none of which was found.
        count: How many evaluations, without a break, up to the last.
    """

    report: Report
    index: int
    others: int
    count: int


@dataclass(frozen=True)
class Nothing:
    """A split in whose evaluations nothing is predicted although there is something to find.

    Attributes:
        split: The split.
        predicted, support: The series.
        also: Other splits of which the same is true.
    """

    split: str
    predicted: Series
    support: Series
    also: tuple[str, ...]


def reports(run: Run) -> Iterator[Report]:
    """Reports with recall and support of at least two classes that hold targets."""
    found: dict[str, dict[str, dict[str, Series]]] = {}
    for name, series in run.series.items():
        head, _, label = name.rpartition("/")
        split, _, measure = head.rpartition("/")
        if measure in _BY_CLASS and len(series) and label.lower() not in _AVERAGES:
            found.setdefault(split, {}).setdefault(measure, {})[label] = series
    recorded = {evaluation.split for evaluation in run.own_evaluations}
    for split, by in found.items():
        labels = sorted(by.get("recall", {}).keys() & by.get("support", {}).keys())
        if split not in recorded and len(labels) >= 2:
            report = _report(split, labels, [by["recall"][c] for c in labels], [by["support"][c] for c in labels])
            if report is not None:
                yield report


def _report(split: str, labels: list[str], recall: list[Series], support: list[Series]) -> Report | None:
    step, columns = metrics.aligned(*recall, *support)
    if not step.size:
        return None
    values, targets = np.column_stack(columns[: len(labels)]), np.column_stack(columns[len(labels) :])
    held = targets[-1] > 0
    if np.count_nonzero(held) < 2:
        return None
    scale = 100.0 if metrics.is_percent(values) else 1.0
    kept = [label for label, there in zip(labels, held, strict=True) if there]
    return Report(split, kept, targets[:, held], values[:, held] / scale, step.astype(np.float64))


def one_class(report: Report) -> OneClass | None:
    """The class that every prediction of the last evaluation is; None where there is more than one.

    Its recall is 1 and that of every other class 0: one of the others predicted once would lower it, or be a miss of
    its own class; wrong guesses among the others alone are told by their precision and cannot be many.
    """
    recall = np.nan_to_num(report.recall)
    hit = recall >= 1 - 1e-9
    alone = (hit.sum(axis=1) == 1) & ((recall > 0).sum(axis=1) == 1)
    if not alone[-1]:
        return None
    index = int(np.argmax(hit[-1]))
    same = alone & hit[:, index]
    others = np.flatnonzero(~same)
    count = same.size - (int(others[-1]) + 1 if others.size else 0)
    return OneClass(report, index, int(report.support[-1].sum() - report.support[-1, index]), count)


def unseen(report: Report) -> Mapping[str, tuple[int, int]]:
    """Classes without one hit at the last evaluation: targets there, and for how many evaluations without a break."""
    recall = np.nan_to_num(report.recall)
    found = {}
    for index in np.flatnonzero(recall[-1] == 0):
        others = np.flatnonzero(recall[:, index] != 0)
        count = len(recall) - (int(others[-1]) + 1 if others.size else 0)
        found[report.classes[int(index)]] = (int(report.support[-1, index]), count)
    return found


def nothing_predicted(run: Run, least: int) -> Nothing | None:
    """A split with at least ``least`` targets and not one prediction in all of its evaluations."""
    empty: dict[str, tuple[Series, Series]] = {}
    for total, predicted, correct in _COUNTS:
        for name, count in run.series.items():
            split, _, last = name.rpartition("/")
            targets = run.get(f"{split}/{total}")
            if last != predicted or targets is None or run.get(f"{split}/{correct}") is None or not len(count):
                continue
            if not np.any(count.value) and len(targets) and targets.value[-1] >= least:
                empty.setdefault(split, (count, targets))
    held_out = sorted(empty, key=lambda s: (names.split_of(f"{s}/x") == "train", s.startswith("test"), s))
    if not held_out:
        return None
    first = held_out[0]
    return Nothing(first, *empty[first], tuple(held_out[1:]))

"""EVL010 batch-averaged-metric."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from tocsin import metrics, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Evaluation, Run

_MEASURES = frozenset(("f1", "precision", "recall", "accuracy", "r2", "rmse"))
_FLOAT = 2e-5  # relative: batch scores in single precision, and their mean
_TWINS = {"macro": "macro over classes seen", "weighted": "weighted", "micro": "micro", "balanced": "balanced"}
_REMEDIES = (
    Remedy("Collect all targets and predictions of the evaluation, and compute the metric once", True),
    Remedy(
        "Update a metric object that pools its counts batch by batch, and read it at the end of the evaluation", True
    ),
)


@dataclass(frozen=True)
class Point:
    """One logged value beside its mean over the batches and the pooled values.

    Attributes:
        evaluation: Where.
        logged: As logged, in its own unit.
        way: Which batch average reproduces it, "" for none.
        pooled: The same score of all samples, in the unit of the logged one.
        gap: Distance to the pooled value that comes nearest, by any definition.
        slack: Rounding of the logged value.
    """

    evaluation: Evaluation
    logged: float
    way: str
    pooled: float
    gap: float
    slack: float


@rule("EVL010", needs=("evaluations",), explains=("EVL001",))
def batch_averaged_metric(
    run: Run, *, evaluations: int = 3, difference: float = 0.01
) -> Iterator[Finding | NotChecked]:
    """A metric that is no mean over samples was averaged over batches.

    ## What it does
    Compares each logged F1, precision, recall, accuracy, R2 and RMSE of a recorded task with two things that tocsin
    computes from the same predictions: the score of all samples together, by every standard definition, and the
    unweighted mean of the score over the batches as they came. Rings when in the last `evaluations` and more

    - the logged value is such a mean over batches, within the rounding of its decimals (and 2e-5 of its size);
    - no pooled definition reproduces it in at least `evaluations` of them, beyond that rounding; and
    - the median distance to the nearest pooled value is at least `difference` (below it, and above a tenth of it: a
      note).

    A value of 4 decimals meets a wrong mean by chance about once in 500 times; in 3 evaluations, never.

    ## Why is this bad?
    A batch of 32 lacks most of 20 classes: its macro-F1 is over those that it happens to hold, its R2 is about its own
    mean. The average depends on the batch size and the order of the data; it is compared with pooled scores of others.

    ## Example
    ```python
    counts = Confusion.of([[50, 6, 4], [9, 40, 11], [3, 8, 49]])
    averaged = (0.7311, 0.7345, 0.7288)  # the pooled macro-F1 is .7710
    run = Run.of(
        evaluations=[
            Evaluation("val", "main", s, "classes", 180, confusion=counts, metrics={"val/f1_macro": f},
                       batchwise={"f1_macro": f + 0.00002})
            for s, f in enumerate(averaged, 1)
        ]
    )
    ```
    Use instead:
    ```python
    counts = Confusion.of([[50, 6, 4], [9, 40, 11], [3, 8, 49]])
    run = Run.of(
        evaluations=[
            Evaluation("val", "main", s, "classes", 180, confusion=counts, metrics={"val/f1_macro": 0.7710},
                       batchwise={"f1_macro": f})
            for s, f in enumerate((0.7311, 0.7345, 0.7288), 1)
        ]
    )
    ```

    ## Fix
    - **safe** Pool: collect targets and predictions, or counts, over the whole evaluation, and compute once.

    ## Options
    - `evaluations` (3): one agreement may be chance.
    - `difference` (.01): what seldom changes a conclusion; the mean over batches of 64 moved a macro-F1 by up to .074.

    ## Known limits
    Needs the batches as the metric saw them: the evaluation recorded batch by batch. Metrics under a name with other
    words in it (a class, `joint`) are left alone. An accuracy differs only where the last batch is smaller.

    ## References
    Forman and Scholz 2010, Apples-to-apples in cross-validation studies (F1 averaged over folds against pooled).
    """
    judged, groups = False, run.of_kind()
    tasks = Counter(kept[0].split for kept in groups.values())
    for key, kept in groups.items():
        several = tasks[kept[0].split] > 1
        for name in dict.fromkeys(name for e in kept for name in e.metrics):
            metric = metrics.read(name)
            if metric is None or metric.measure not in _MEASURES or not _of_task(metric, kept[0], several):
                continue
            points = _points(kept, name, metric)
            judged |= len(points) >= evaluations
            stretch = list(takewhile(lambda point: point.way, reversed(points)))[::-1]
            if (finding := _finding(key, name, stretch, evaluations, difference)) is not None:
                yield finding
    if not judged:
        yield NotChecked(f"needs a logged F1, R2, ... at {evaluations} evaluations recorded in several batches")


def _of_task(metric: metrics.Metric, evaluation: Evaluation, several: bool) -> bool:
    """Whether a metric's name says no more than a measure, and this task where its split has several."""
    words = metric.name.lower().replace("-", "_")
    said = evaluation.task.lower() in words.split("/")[:-1] or words.rpartition("/")[2].startswith(
        evaluation.task.lower()
    )
    rest = metric.rest - {evaluation.task.lower(), evaluation.split.lower()}
    return not rest and (said or not several)


def _points(kept: Sequence[Evaluation], name: str, metric: metrics.Metric) -> list[Point]:
    """The evaluations of several batches at which the metric was logged, oldest first."""
    logged = np.array([e.metrics.get(name, math.nan) for e in kept], np.float64)
    seen = logged[np.isfinite(logged)]
    if not seen.size:
        return []
    scale = 100.0 if metric.measure in metrics.BOUNDED and metrics.is_percent(seen) else 1.0
    rounding = metrics.half_unit([seen])
    found = []
    for evaluation, value in zip(kept, logged.tolist(), strict=True):
        means = {w: scale * v for w, v in _batchwise(evaluation, metric).items()}
        pooled = {d: scale * v for d, v in _pooled(evaluation, metric.measure).items() if math.isfinite(v)}
        if math.isfinite(value) and means and pooled:
            slack = 1.1 * rounding + _FLOAT * max(1.0, abs(value))
            way = min(means, key=lambda w: abs(means[w] - value))
            nearest = min(pooled.values(), key=lambda v: abs(v - value))
            twin = pooled.get(_TWINS.get(way.partition("_")[2], ""), nearest)
            same = way if abs(means[way] - value) <= slack else ""
            found.append(Point(evaluation, value, same, twin, abs(nearest - value) / scale, slack / scale))
    return found


def _batchwise(evaluation: Evaluation, metric: metrics.Metric) -> Mapping[str, float]:
    """The batch averages that such a name may mean."""
    stem = {"rmse": "rmse", "r2": "r2", "accuracy": "accuracy"}.get(metric.measure, metric.measure)
    ways = {n: v for n, v in evaluation.batchwise.items() if n == stem or n.startswith(f"{stem}_")}
    if metric.average == "balanced" or (metric.measure == "accuracy" and "balanced" in metric.name.lower()):
        ways = {"recall_balanced": evaluation.batchwise.get("recall_balanced", math.nan)}
    return {n: v for n, v in ways.items() if math.isfinite(v)}


def _pooled(evaluation: Evaluation, measure: str) -> dict[str, float]:
    """The score of all samples together by every standard definition."""
    if evaluation.confusion is not None:
        return evaluation.confusion.scores.get(measure, {})
    if evaluation.labels_confusion is not None:
        tp, fp, fn, _ = np.asarray(evaluation.labels_confusion).reshape(-1, 4).T
        return stats.class_scores(tp + fn, tp + fp, tp).get(measure, {})
    if measure == "r2":
        values = [m.r2 for m in evaluation.moments]
        spread = [m.var_target for m in evaluation.moments]
        weighted = float(np.average(values, weights=spread)) if sum(spread) > 0 else math.nan
        return {"mean": float(np.mean(values)), "weighted": weighted} if values else {}
    if measure == "rmse" and evaluation.moments:
        square = [m.var_target + m.var_prediction - 2 * m.cov + (m.mean_prediction - m.mean_target) ** 2
                  for m in evaluation.moments]  # fmt: skip
        roots = np.sqrt(np.maximum(square, 0.0))
        return {"root of the mean": math.sqrt(max(0.0, float(np.mean(square)))), "mean of roots": float(roots.mean())}
    return {}


def _finding(key: str, name: str, stretch: list[Point], evaluations: int, difference: float) -> Finding | None:
    """The finding on an unbroken stretch, up to the last evaluation, of values that are means over batches."""
    off = [point for point in stretch if point.gap > 2 * point.slack]
    if len(off) < evaluations:
        return None
    last, gap = stretch[-1], float(np.median([point.gap for point in off]))
    size = difference * max(1.0, abs(last.pooled)) if "rmse" in last.way else difference
    if gap < size / 10:
        return None
    return Finding(
        f"{name} is {last.logged:.4g}, the mean over batches ({last.way}); all {last.evaluation.n} samples together "
        f"give {last.pooled:.4g}; the same in {len(stretch)} evaluations since step {stretch[0].evaluation.step}",
        subject=name,
        step=stretch[0].evaluation.step,
        evidence=(
            Evidence(
                f"evaluation:{key}",
                last.logged,
                last.evaluation.step,
                limit=last.pooled,
                interval=(last.logged - last.slack, last.logged + last.slack),
                text=f"logged as {name}; by the batches {last.evaluation.batchwise[last.way]:.6g}",
            ),
        ),
        remedies=_REMEDIES,
        severity=None if gap >= size else "note",
    )

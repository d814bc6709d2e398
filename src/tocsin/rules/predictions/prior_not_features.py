"""PRD012 prior-not-features."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from tocsin import stats
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule, since
from tocsin.run import AUC_CELLS, AUC_ROWS, Evaluation, Run, in_each, in_last

_REMEDIES = (
    Remedy("Choose the threshold, or shift the logits by the log prior, on a held-out set", True),
    Remedy("Judge by a score that does not depend on the decision rule: AUC, average precision", True),
    Remedy("Weight the loss by class, or sample the class more often"),
)


@dataclass(frozen=True)
class Ranked:
    """A class that is never predicted although its score ranks well.

    Attributes:
        label: Its name.
        support: Its samples, ``share`` of all.
        auc: The area under its ROC curve, ``interval`` around it.
        common: Whether a model of the best accuracy would be expected to choose it now and then.
    """

    label: str
    support: int
    share: float
    auc: float
    interval: tuple[float, float]
    common: bool


@rule("PRD012", needs=("evaluations",), explains=("PRD003",))
def prior_not_features(
    run: Run, *, auc: float = 0.8, recall: float = 0.1, share: float = 0.5
) -> Iterator[Finding | NotChecked]:
    """A class is never predicted although its scores rank well: the decision rule leaves it out.

    ## What it does
    Judges settled predictions: the last 3 evaluations of a task once the evaluation loss no longer falls or the run is
    over. Rings when in each of them class (or label) c of support m is never predicted, the 95 % Wilson upper bound of
    its recall, 0 of m, lies below `recall` (m >= 35), and the 95 % interval of its area under the one-vs-rest ROC curve
    (Hanley and McNeil) lies above `auc`. A warning, else a note, if either

    - m is at least `share` of the mean support of the classes that its samples are predicted as (of the samples
      without it, for a label): a rare class loses every argmax by right of its prior; or
    - the ranking proves that a model of the best accuracy would name the class: with its share p and the lower bound
      A of the area, p / (1 - p) > 2 (1 - A). A ROC curve that is nowhere steeper than L has an area of at most
      1 - 1 / (2 L); so above some score its slope is 1 / (2 (1 - A)) or more, and there most samples are of the class.

    The area rests on a systematic sample of at most 2,048 rows; the interval counts the rows of that sample alone.

    ## Why is this bad?
    F1 0 reads as "the model cannot see this class". It can: the threshold, or a prior learned from an imbalanced set,
    keeps it from saying so, and a stronger network cures nothing.

    ## Example
    ```python
    never = Confusion.of([[180, 0, 20], [60, 0, 60], [20, 0, 180]], labels=("cat", "dog", "fox"))
    auc = (0.9, 0.91, 0.9)
    run = Run.of(
        evaluations=[Evaluation("val", "main", s, "classes", 520, confusion=never, auc=auc) for s in (1, 2, 3)]
    )
    ```
    Use instead:
    ```python
    some = Confusion.of([[170, 15, 15], [20, 80, 20], [15, 15, 170]], labels=("cat", "dog", "fox"))
    auc = (0.9, 0.91, 0.9)
    run = Run.of(
        evaluations=[Evaluation("val", "main", s, "classes", 520, confusion=some, auc=auc) for s in (1, 2, 3)]
    )
    ```

    ## Fix
    - **safe** Choose the threshold, or a shift of the logits by the log prior, on a held-out set.
    - **unsafe** Balance the loss or the sampling; retrain with the prior of use.

    ## Options
    - `auc` (.8): a pair is ordered rightly four times in five; classes that networks could not tell gave .5 to .65.
    - `recall` (.1): what "never" means, as in PRD003.
    - `share` (.5): as in PRD003.

    ## Known limits
    Needs scores (logits or probabilities), at least 5 sampled rows of the class, and at most 1,024 classes.

    ## References
    Hanley and McNeil 1982, Radiology 143 (standard error of the area). Menon et al. 2021 (logit adjustment).
    """
    judged = False
    look = partial(_ranked, auc=auc, recall=recall, share=share)
    told = partial(_ranked, auc=-1.0, recall=2.0, share=share)
    for key, evaluations in run.of_kind("classes", "binary", "multilabel").items():
        judged |= any(e.auc for e in run.settled(evaluations))
        signs, stretch = run.persisting(evaluations, in_each(look), in_last(told))
        if signs:
            now = told(stretch[-1])
            yield _finding(key, [now[sign] for sign in signs], stretch, auc)
    if not judged:
        yield NotChecked(f"needs {SETTLED}, recorded as logits or probabilities")


def _counts(evaluation: Evaluation) -> tuple[list[int], list[int]]:
    """Targets and predictions of each class or label."""
    if evaluation.confusion is not None:
        return evaluation.confusion.support.tolist(), evaluation.confusion.predicted.tolist()
    table = np.asarray([] if evaluation.labels_confusion is None else evaluation.labels_confusion, np.int64).reshape(
        -1, 4
    )
    return (table[:, 0] + table[:, 2]).tolist(), (table[:, 0] + table[:, 1]).tolist()


def _ranked(evaluation: Evaluation, *, auc: float, recall: float, share: float) -> dict[int, Ranked]:
    """The classes that are never predicted and rank above ``auc``, by index."""
    support, predicted = _counts(evaluation)
    found = {}
    for c, area in enumerate(evaluation.auc[: len(support)]):
        m = support[c]
        if predicted[c] or not m or math.isnan(area) or not stats.wilson(0, m)[1] < recall:
            continue
        interval = _interval(area, m, evaluation.n, len(evaluation.auc))
        if interval[0] > auc or auc < 0:
            label = evaluation.confusion.label(c) if evaluation.confusion is not None else f"label {c}"
            rivals = evaluation.n - m if evaluation.confusion is None else evaluation.confusion.rivals(c)
            common = m >= share * rivals or m > 2 * (1 - interval[0]) * (evaluation.n - m)
            found[c] = Ranked(label, m, m / evaluation.n, area, interval, common)
    return found


def _interval(area: float, support: int, n: int, classes: int) -> tuple[float, float]:
    """95 % interval of an area, on the rows that the sample of scores kept of this class and of the others."""
    room = min(AUC_ROWS, AUC_CELLS // max(1, classes))
    stride = 2 ** max(0, math.ceil(math.log2(n / room))) if n else 1
    p, q = support / stride, (n - support) / stride
    if p < 1 or q < 1:
        return stats.NAN
    one, two = area / (2 - area), 2 * area * area / (1 + area)
    variance = (area * (1 - area) + (p - 1) * (one - area * area) + (q - 1) * (two - area * area)) / (p * q)
    half = stats.z_of(0.95) * math.sqrt(max(variance, 0.25 / (p * q)))
    return max(0.0, area - half), min(1.0, area + half)


def _finding(key: str, found: list[Ranked], stretch: list[Evaluation], auc: float) -> Finding:
    last = stretch[-1]
    said = "; ".join(
        f"{one.label} ({one.support} samples, {100 * one.share:.2g} %) is never predicted, yet its score ranks it "
        f"above the others {100 * one.auc:.3g} % of the time"
        for one in found[:3]
    )
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return Finding(
        f"{key}: {said}{more}; {since(stretch)}",
        subject=key,
        step=stretch[0].step,
        evidence=tuple(
            Evidence(
                f"evaluation:{key}", one.auc, last.step, limit=auc, interval=one.interval, text=f"AUC of {one.label}"
            )
            for one in found[:5]
        ),
        remedies=_REMEDIES,
        severity=None if any(one.common for one in found) else "note",
    )

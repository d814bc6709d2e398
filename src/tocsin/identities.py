"""Identities between logged scores that only hold when every prediction is the same: pure arithmetic.

With p the share of the constant's class (so that accuracy = p) and k classes: always positive gives recall 1 and
precision p; always negative gives precision = recall = F1 = 0; macro averages are recall 1/k, precision p/k, F1
2p/((1 + p) k); averages weighted by support are recall p, precision p^2, F1 2p^2/(1 + p) (0/0 counts as 0, as in
scikit-learn).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tocsin import metrics
from tocsin.run import Floats, Ints, Series

Key = tuple[str, str]
Scores = Mapping[Key, float]  # (measure, average) -> value as a fraction
MOST_CLASSES = 200
POSITIVE, NEGATIVE = "always positive", "always negative"


def identity(scores: Scores, error: float) -> str:
    """Which constant the scores of one evaluation betray, "" for none.

    Args:
        scores: Values as fractions by (measure, average); average "" where the name does not say.
        error: Largest rounding error of a value.

    Returns:
        ``always positive``, ``always negative``, ``one of k classes``, ``one class (weighted)`` or "".
    """
    p = next(
        (scores[key] for key in (("accuracy", ""), ("accuracy", "binary"), ("accuracy", "micro")) if key in scores),
        math.nan,
    )
    if not 2 * error < p < 1 - 2 * error or _agrees_beyond_chance(scores, error):
        return ""
    binary, weighted, macro = (_of(scores, average) for average in ("binary", "weighted", "macro"))
    if _is_positive(binary, p, error):
        return POSITIVE
    if _is_negative(binary, error):
        return NEGATIVE
    if _is_weighted(weighted, p, error):
        return "one class (weighted)"
    balanced = scores.get(("accuracy", "balanced"))
    if balanced is not None:
        macro.setdefault("recall", balanced)
    k = _classes(macro, p, error)
    return f"one of {k} classes" if k else ""


def _agrees_beyond_chance(scores: Scores, error: float) -> bool:
    """Whether a coefficient that is 0 for any constant is not."""
    return any(abs(v) > error + 1e-3 for (measure, _), v in scores.items() if measure in ("mcc", "kappa"))


def possible(scores: Scores, error: float) -> bool:
    """Whether the scores of one evaluation can be those of a constant class: none of them rules it out.

    Each score may be binary, macro (of any number of classes), micro or weighted where its name does not say.
    """
    key = next((k for k in scores if k[0] == "accuracy" and k[1] != "balanced"), None)
    if _agrees_beyond_chance(scores, error):
        return False
    if key is None:
        return True
    p = scores[key]
    whole = {"precision": p, "recall": 1.0, "f1": 2 * p / (1 + p)}
    weighted = {"precision": p * p, "recall": p, "f1": 2 * p * p / (1 + p)}
    for (measure, average), value in scores.items():
        macro = [whole[measure] / k for k in range(1, MOST_CLASSES + 1)] if measure in whole else []
        forms = [*macro, 0.0, p, weighted[measure]] if measure in whole else [value]
        if (measure, average) == ("accuracy", "balanced"):
            forms = [1 / k for k in range(2, MOST_CLASSES + 1)]
        if all(abs(value - form) > 3 * error + 1e-6 for form in forms):
            return False
    return True


def _of(scores: Scores, average: str) -> dict[str, float]:
    """Precision, recall and F1 by this averaging; a name that does not say counts for any."""
    found = {}
    for measure in ("precision", "recall", "f1"):
        value = scores.get((measure, average), scores.get((measure, "")))
        if value is not None:
            found[measure] = value
    return found


def _is_positive(found: Mapping[str, float], p: float, error: float) -> bool:
    if not {"precision", "recall"} <= found.keys() or found["recall"] < 1 - error - 1e-9:
        return False
    f1 = found.get("f1", 2 * p / (1 + p))
    return abs(found["precision"] - p) <= 2 * error + 1e-6 and abs(f1 - 2 * p / (1 + p)) <= 3 * error + 1e-6


def _is_negative(found: Mapping[str, float], error: float) -> bool:
    hits = {"f1", "recall"} & found.keys()  # either is 0 exactly where no positive was hit
    return bool(hits) and all(v == 0 for v in found.values()) and error < 0.01


def _is_weighted(found: Mapping[str, float], p: float, error: float) -> bool:
    wanted = {"recall": p, "precision": p * p, "f1": 2 * p * p / (1 + p)}
    told = found.keys() - {"recall"}
    return bool(told) and all(abs(found[m] - wanted[m]) <= 3 * error + 1e-6 for m in found)


def _classes(found: Mapping[str, float], p: float, error: float) -> int:
    """The number of classes k whose macro averages these are; 0 where none fits or where any number would do."""
    wanted = {"recall": 1.0, "precision": p, "f1": 2 * p / (1 + p)}
    told = [m for m in found if found[m] > 3 * error]
    if not {"precision", "f1"} & set(told) or len(told) < len(found):
        return 0
    near = round(wanted[told[0]] / found[told[0]])
    fits = [
        k
        for k in range(max(2, near - 2), min(MOST_CLASSES, near + 2) + 1)
        if all(abs(found[m] - wanted[m] / k) <= 3 * error + 1e-6 for m in told)
    ]
    if len(fits) != 1:
        return 0
    k, window = fits[0], 6 * error + 2e-6  # how likely scores spread evenly between k and k + 1 would fit by chance
    chance = math.prod(min(1.0, window / (wanted[m] / k - wanted[m] / (k + 1))) for m in told)
    return k if chance < 0.02 else 0


def fewest_samples(values: ArrayLike, error: float, most: int = 20_000) -> int:
    """The smallest number of samples n of which some j / n print as each of ``values`` (fractions); else ``most`` + 1.

    Where values were printed with rounding error e, any value fits some j / n from n = 1 / (2 e) on.
    """
    wanted = np.atleast_1d(np.asarray(values, np.float64))
    n = np.arange(1, most + 1)
    fits = np.ones(most, bool)
    for value in wanted[:200]:
        fits &= np.abs(np.round(value * n) / n - value) <= error + 1e-9
    return int(n[np.argmax(fits)]) if fits.any() else most + 1


@dataclass(frozen=True)
class Constant:
    """Evaluations, up to the last, whose scores betray constant predictions.

    Attributes:
        group: The scores' common name (``val``).
        what: Which constant, in words.
        share: Accuracy at the last of them; NaN for a regression.
        first: Step of the first of them.
        count: How many there are.
        proven: Whether an identity says so (not only repetition).
        points: (series, step, value as logged) of the last of them.
    """

    group: str
    what: str
    share: float
    first: int
    count: int
    proven: bool
    points: tuple[tuple[str, int, float], ...]


@dataclass(frozen=True)
class Group:
    """The plain scores of one split and task at the evaluations that they share; values as logged.

    ``loss`` names the loss that they answer to: of the split, or of the one task of several.
    """

    name: str
    split: str
    step: Ints
    series: Mapping[Key, str]
    columns: Mapping[Key, Floats]
    loss: str

    @property
    def accuracy(self) -> Key | None:
        """The key of the plain accuracy."""
        return next((k for k in self.columns if k[0] == "accuracy" and k[1] != "balanced"), None)


def groups(series: Mapping[str, Series], *, training: bool = False) -> Iterator[Group]:
    """The groups of plain metrics of evaluations, or of training; of series of very different lengths the long ones.

    Metrics that name one of several tasks whose loss is logged (``val/kind_accuracy`` beside ``val/loss/kind``) form a
    group of their own.
    """
    found: dict[tuple[str, str], list[metrics.Metric]] = {}
    for metric in metrics.of_training(series) if training else metrics.of_evaluations(series):
        task = task_of(metric, series)
        if metric.plain or task:
            found.setdefault((metric.group, task), []).append(metric)
    for (name, task), members in found.items():
        most = max(len(series[m.name]) for m in members)
        kept = {(m.measure, m.average): m.name for m in members if 2 * len(series[m.name]) > most}
        step, columns = metrics.aligned(*(series[n] for n in kept.values()))
        if step.size:
            split = members[0].split
            loss = f"{split or 'train'}/loss" + (f"/{task}" if task else "")
            label = f"{name}/{task}".strip("/") if task else name
            yield Group(label, split, step, kept, dict(zip(kept, columns, strict=True)), loss)


def task_of(metric: metrics.Metric, series: Mapping[str, Series]) -> str:
    """The task that a metric's name says beside its measure, if a loss of the split is of that name; else ""."""
    if len(metric.rest) != 1:
        return ""
    (task,) = metric.rest
    return task if f"{metric.split or 'train'}/loss/{task}" in series else ""


def constant(group: Group) -> Constant | None:
    """What constant the scores of a group betray by what they are to each other."""
    if group.accuracy is None:
        return None
    columns, error = as_fractions(group)
    zero_over_zero = {k: np.nan_to_num(c) if k[0] in ("precision", "f1") else c for k, c in columns.items()}
    forms = [identity({k: float(c[i]) for k, c in zero_over_zero.items()}, error) for i in range(group.step.size)]
    p = columns[group.accuracy]
    start = _stretch(forms, p, error)
    count = len(forms) - start
    if count < 3 and _falls_back(forms, columns, p):
        return betrayed(group, f"{NEGATIVE}, or nearly always positive, in turn", float(p[-1]), 0, False)
    few = count == len(forms) < 3 and forms[-1] != NEGATIVE and error <= 0.0005
    if not forms[-1] or not (count >= 3 or few):
        return None
    told = list(dict.fromkeys(forms[start:]))
    return betrayed(group, " or ".join(told), float(p[-1]), start, count >= 3)


def _stretch(forms: Sequence[str], p: Floats, error: float) -> int:
    """Index of the first of the unbroken evaluations up to the last that the same constant, or its flip, gives."""
    start = len(forms)
    while start and forms[start - 1] and _same(forms, p, start - 1, error):
        start -= 1
    return start


def _falls_back(forms: Sequence[str], columns: Mapping[Key, Floats], p: Floats) -> bool:
    """Whether at least half of 6 evaluations and more, the last 2 among them, say always negative with one accuracy,
    and another says that nearly all are called positive: every positive is found, at a lower accuracy.
    """
    negative = np.array([form == NEGATIVE for form in forms])
    recall = next((c for (measure, _), c in columns.items() if measure == "recall"), None)
    if recall is None or negative.size < 6 or 2 * negative.sum() < negative.size or not negative[-2:].all():
        return False
    return bool(np.ptp(p[negative]) == 0 and np.any((recall >= 0.999) & (p < p[-1] - 0.05)))


def _same(forms: Sequence[str], p: Floats, i: int, error: float) -> bool:
    if forms[i] == forms[-1]:
        return abs(float(p[i] - p[-1])) <= 2 * error + 1e-9
    return {forms[i], forms[-1]} == {POSITIVE, NEGATIVE} and abs(float(p[i] + p[-1]) - 1) <= 3 * error + 1e-9


def as_fractions(group: Group) -> tuple[dict[Key, Floats], float]:
    """The scores that 1 bounds as fractions, R2 as it is, and the rounding error of the former."""
    bounded = metrics.BOUNDED | metrics.SIGNED
    named = {"/".join(k): c for k, c in group.columns.items() if k[0] in bounded}
    columns, error = metrics.fractions(named)
    keys = {"/".join(k): k for k in group.columns}
    plain = {k: c for k, c in group.columns.items() if k[0] == "r2"}
    return {keys[name]: c for name, c in columns.items()} | plain, error


def betrayed(group: Group, what: str, share: float, start: int, proven: bool) -> Constant:
    """The finding that the evaluations of a group from index ``start`` on are those of a constant."""
    points = tuple((name, int(group.step[-1]), float(group.columns[key][-1])) for key, name in group.series.items())
    return Constant(group.name, what, share, int(group.step[start]), group.step.size - start, proven, points)

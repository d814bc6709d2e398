"""What the best constant prediction would have scored: the reference beside each evaluation loss and metric.

From the targets of the recorded evaluation, under the loss or metric that the series is told to be; the logged values
of a regression must be those of its predictions (units differ else). The user's own ``reference/<name>`` wins. Where
the loss is not known there is no reference.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice

import numpy as np

from tocsin import constant_values as constants
from tocsin import loss_names, metrics, names
from tocsin.findings import SUPPOSED, Score
from tocsin.loss_names import Loss
from tocsin.reference_losses import Reference, gaussian, of_classes, of_values, one_value
from tocsin.run import Evaluation, Ints, Run, Series

_NEAR = 0.05  # batches of unequal size averaged as equals, half precision
_EXACT = 1e-3  # an unnamed loss is known by its digits, in each of 3 evaluations
_OF_PRECISION = re.compile(r"prc?(?![a-z])", re.I)  # the area below precision and recall: of a constant, the prior
_ANYWAY = {"r2": 0.0, "auc": 0.5, "mcc": 0.0, "kappa": 0.0, "correlation": math.nan}


def reference(
    run: Run, name: str, evaluation: Evaluation | None = None, evaluated: Sequence[Evaluation] | None = None
) -> Reference | None:
    """The reference of the series ``name`` at an evaluation, by default the last of its task; None where unknown.

    ``evaluated`` are the evaluations of its task, where the caller has them already.
    """
    given = run.get(f"reference/{name}")
    if given is not None and len(given.finite):
        return _given(name, given.finite, evaluation)
    series = run.get(name)
    if series is None or names.split_of(name) == "train":
        return None
    metric = metrics.read(name)
    if metric is not None and metric.measure in _ANYWAY and not _OF_PRECISION.search(name):
        return _anyway(series, name, metric.measure)
    evaluated = evaluations_of(run, name) if evaluated is None else evaluated
    if not evaluated:
        return None
    at = evaluation or evaluated[-1]
    found = _by_name(run, name, at, metric) or _by_digits(run, name, evaluated, at)
    return None if found is None else replace(found, name=name, source=f"evaluation:{at.key}", step=at.step)


def _anyway(series: Series, name: str, measure: str) -> Reference:
    """The reference of a score that any constant has, whatever the targets."""
    percent = 100.0 if measure == "auc" and metrics.is_percent(series.value) else 1.0
    return replace(one_value(percent * _ANYWAY[measure], measure, 1), name=name, step=int(series.step[-1]))


def references(run: Run) -> Iterator[Reference]:
    """The references of all evaluation losses and metrics of a run, losses first, each at its last evaluation."""
    wanted = [n for n in run.series if names.split_of(n) not in ("", "train") and not n.startswith("reference/")]
    for name in sorted(wanted, key=lambda n: ("loss" not in n.split("/"), n)):
        found = reference(run, name)
        if found is not None:
            yield found


def supposed(run: Run) -> Iterator[Reference]:
    """What the loss of recorded classes would have were it a cross-entropy, where nothing says which loss it is.

    To be shown, never to be judged by.
    """
    for name in run.series:
        losses = "loss" in name.split("/") and names.split_of(name) not in ("", "train")
        if losses and loss_names.loss_of(run, name) is None and reference(run, name) is None:
            for last in evaluations_of(run, name)[-1:]:
                found = None if last.kind == "regression" else of_classes(last, Loss("cross-entropy", {}))
                if found is not None:
                    of, source = f"{SUPPOSED}{found.of}", f"evaluation:{last.key}"
                    yield replace(found, name=name, of=of, source=source, step=last.step)


def scored(run: Run, most: int = 24) -> Iterator[Score]:
    """The last finite values of at most ``most`` evaluation losses and metrics beside their references."""
    for found in islice(chain(supposed(run), references(run)), most):
        points = run.series[found.name].finite
        if len(points):
            known = math.isfinite(found.low) and math.isfinite(found.high)
            yield Score(
                found.name,
                float(points.value[-1]),
                int(points.step[-1]),
                found.of,
                (found.low, found.high) if known else None,
                found.zero if math.isfinite(found.zero) else None,
                found.error,
                found.sign,
                run.name,
            )


def _given(name: str, series: Series, evaluation: Evaluation | None) -> Reference:
    known = series if evaluation is None else series.until(evaluation.step)
    at = known if len(known) else series[:1]
    found = one_value(float(at.value[-1]), "given", names.direction(name) or -1)
    return replace(found, name=name, source=f"reference/{name}", step=int(at.step[-1]))


def evaluations_of(run: Run, name: str) -> list[Evaluation]:
    """The recorded evaluations of the task that a series is about; none where that is not clear."""
    split = names.split_of(name)
    keys = {k: e for k, e in run.of_kind().items() if e[0].split == split} if split else {}
    metric = metrics.read(name)
    path = name.partition("/")[2]
    wanted = loss_names.subject_words(path)
    if metric is not None:
        wanted = loss_names.subject_words(metric.group.partition("/")[2] if metric.split else metric.group)
        wanted |= metric.rest
    if wanted:
        same = [k for k, e in keys.items() if frozenset(loss_names.words(e[0].task)) == wanted]
        return keys[same[0]] if len(same) == 1 else []
    alone = len(keys) == 1 and (path != "loss" or max(len(run.family(f"{s}/loss")) for s in (split, "train")) < 2)
    return next(iter(keys.values())) if alone else []


def logged(run: Run, name: str, evaluation: Evaluation) -> tuple[int, float]:
    """Step and value of the point of a series that belongs to an evaluation: at its step, or in its epoch; else NaN."""
    series = run.get(name)
    if series is None:
        return evaluation.step, math.nan
    at = np.flatnonzero(series.step == evaluation.step)
    if not at.size and evaluation.epoch == evaluation.epoch:
        at = np.flatnonzero(series.epoch == evaluation.epoch)
    return (int(series.step[at[-1]]), float(series.value[at[-1]])) if at.size else (evaluation.step, math.nan)


def logged_at(run: Run, name: str, evaluation: Evaluation) -> float:
    """The value of a series that belongs to an evaluation; else NaN."""
    return logged(run, name, evaluation)[1]


def _by_name(run: Run, name: str, e: Evaluation, metric: metrics.Metric | None) -> Reference | None:
    loss = loss_names.loss_of(run, name)
    if loss is not None:
        return _of_regression(run, name, e, loss) if e.kind == "regression" else of_classes(e, loss)
    return None if metric is None else _of_score(run, metric, e)


def _of_regression(run: Run, name: str, e: Evaluation, loss: Loss) -> Reference | None:
    """The reference of a loss on values, if the logged value is that of the predictions where this can be told."""
    if not e.moments or not all(m.n and math.isfinite(m.var_target) for m in e.moments):
        return None
    if loss.family in ("NLL", "Gaussian NLL"):
        return gaussian(e.moments, loss.parameters)
    own, found = of_values(e, loss)
    logged = logged_at(run, name, e)
    return found if found is not None and abs(logged - own[0]) <= _NEAR * own[0] + 4 * own[1] else None


def _by_digits(run: Run, name: str, evaluated: Sequence[Evaluation], at: Evaluation) -> Reference | None:
    """The loss of an unnamed series of a regression whose last 3 values are exactly those of its predictions."""
    last = [e for e in evaluated if e.step <= at.step][-3:]
    is_loss = "loss" in name.split("/") and loss_names.loss_of(run, name) is None
    if at.kind != "regression" or len(last) < 3 or not is_loss or not all(e.moments for e in last):
        return None
    for family, factor in (("MSE", 1.0), ("MSE", 0.5), ("RMSE", 1.0), ("MAE", 1.0)):
        pairs = [(factor * of_values(e, Loss(family))[0][0], logged_at(run, name, e)) for e in last]
        if all(abs(logged - own) <= _EXACT * own for own, logged in pairs) and len({own for own, _ in pairs}) > 1:
            found = of_values(at, Loss(family))[1]
            return None if found is None else found.times(factor)
    return None


def _of_score(run: Run, metric: metrics.Metric, e: Evaluation) -> Reference | None:
    """The reference of an accuracy or F1: under each definition that reproduces the logged value, the highest."""
    logged = logged_at(run, metric.name, e)
    percent = 100.0 if metrics.is_percent(run.series[metric.name].value) else 1.0
    if metric.measure not in ("accuracy", "f1") or math.isnan(logged):
        return None
    ways = list(_ways(e, metric.measure))
    slack = 0.005 + metrics.half_unit([run.series[metric.name].value]) / percent
    named = [best for way, own, best in ways if abs(own - logged / percent) <= slack and _may(metric.average, way)]
    if not named:
        return None
    of = " ".join(filter(None, (metric.average, metric.measure)))
    return replace(one_value(max(named), of, 1), low=min(named)).times(percent)


def _may(average: str, way: str) -> bool:
    return average in ("", way.partition(" ")[0]) or (average == "binary" and way.startswith("class"))


def _ways(e: Evaluation, measure: str) -> Iterator[tuple[str, float, float]]:
    """Each definition of a score on an evaluation: its name, the predictions' value, the best constant's."""
    if e.confusion is None or not e.confusion.n:
        yield from _label_ways(e) if measure == "f1" else ()
        return
    counts = e.confusion.support
    own = e.confusion.scores[measure]
    if measure == "accuracy":
        yield "accuracy", own["accuracy"], constants.accuracy(counts)
        yield "balanced", own["balanced"], 1 / np.count_nonzero(counts)
        return
    for way, value in own.items():
        yield way, value, _constant_f1(counts, way)


def _constant_f1(counts: Ints, way: str) -> float:
    """F1 of the best constant class by a definition of ``stats.class_scores``."""
    if way.startswith("class "):
        return constants.f1(counts, "binary", int(way.split()[1]))
    if way in ("micro", "weighted"):
        return constants.f1(counts, way)
    return constants.f1(counts, "macro" if way == f"macro over {counts.size} classes" else "present")


def _label_ways(e: Evaluation) -> Iterator[tuple[str, float, float]]:
    if e.labels_confusion is None or not len(e.labels_confusion):
        return
    tp, fp, fn, tn = e.labels_confusion.astype(np.float64).T
    said = np.maximum(2 * tp + fp + fn, 1e-300)
    share = (tp + fn) / np.maximum(tp + fp + fn + tn, 1e-300)
    yield "macro", float((2 * tp / said).mean()), float((2 * share / (1 + share)).mean())
    order = np.argsort(-share, kind="stable")  # labels that are always said: the most frequent ones
    hits, all_ = np.cumsum((tp + fn)[order]), float((tp + fn).sum())
    claimed = np.cumsum((tp + fp + fn + tn)[order])
    yield "micro", float(2 * tp.sum() / max(said.sum(), 1e-300)), float((2 * hits / (claimed + all_)).max())

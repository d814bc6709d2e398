"""EVL001 metric-disconnected."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, takewhile

import numpy as np

from tocsin import stats, stuck_scores
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Evaluation, Moments, Run, Series

_SCALES = ("rmse", "mse", "mae")
_LEAST_N = 20
_LEAST_SCALE = 4
_REMEDIES = (
    Remedy(
        "Recompute the metric by hand from one batch of logits and targets; compare keys, shapes and agreement", True
    ),
    Remedy("Look for a default value: a missing key, a swallowed exception, a fast-validation switch", True),
)


@dataclass(frozen=True)
class Point:
    """One logged value beside what the recorded predictions give by each definition."""

    step: int
    logged: float
    n: int
    own_threshold: bool
    recomputed: Mapping[str, float]
    key: str

    @property
    def nearest(self) -> tuple[str, float]:
        """The definition that comes nearest to the logged value, as a fraction or in percent."""
        name = min(self.recomputed, key=lambda d: _distance(self.logged, self.recomputed[d]))
        return name, self.recomputed[name]


@rule("EVL001", needs=(), severity="warning")
def metric_disconnected(
    run: Run, *, tolerance: float = 0.1, repeats: int = 3, zeros: int = 4
) -> Iterator[Finding | NotChecked]:
    """A logged metric does not describe the model's predictions.

    ## What it does
    Reads metrics whose name says accuracy, F1, precision, recall, R2, RMSE, MSE or MAE, in any spelling, and belongs to
    one recorded task: it names the task, or the split has only one. Names with any other word in them (`joint`,
    `top5`, `class_3`) are left alone.

    With recorded predictions (n >= 20): every standard definition d is recomputed from the confusion or the moments:
    macro (over all classes, those with targets, those seen), micro, weighted, balanced, each class of two as the
    positive one; R2 and r^2 by output, averaged, pooled. Rings when in the last `repeats` evaluations and more

    - min_d abs(logged - d) > `tolerance` + 1.5 / sqrt(n), as a fraction or in percent; or
    - the value is exactly 0 or -1, a default, and every d is above .01.

    For binary and multilabel tasks, whose threshold may be the metric's own, only values below all definitions count.
    RMSE, MSE and MAE may be in another unit: they ring when no definition keeps logged / d within a factor 1.25 of its
    median over at least 4 evaluations. From logs alone: the last `zeros` or more values of accuracy, F1, precision or
    recall are exactly 0 (or -1) and the loss has fallen meanwhile: over the first k of these evaluations, for some k
    (about four in each doubling), its 99 % trend interval lies below 0, and its level now (the median of 3 values) is
    nearer to what it had fallen to than to where it started. A plateau afterwards does not undo it. (Values of training
    count once an epoch: at first, whole words or sentences are rarely right.)

    And by what an error costs: who errs gave the truth a probability of at most 1/2, so a cross-entropy is at least
    (1 - accuracy) ln 2. Rings when an accuracy stays at one value of at most 1/2 over the last 5 or more epochs while
    its loss lies, above 0, below a twentieth of that each time (focal losses reach a sixteenth); and when an accuracy
    of 0 stands beside a term that is named a likelihood (`ctc`, `ce`, `nll`, ...) and is exactly 0, the loss of a
    perfect model, in all of `zeros` values or more. Fewer zeros do where an accuracy is never anything else: beside an
    evaluation loss that ends below (ln 2) / 2 if training, too, scored 0 each time, 2 values of each and more; and in 4
    values beside a cross-entropy that began at ln k (k of 3 to 12, within .02) and lost a tenth: guesses among k
    classes score more. Nor does an accuracy of .95 and less, in 3 values and more, go with a loss of 1e-6 and less.

    ## Why is this bad?
    The number that the run is judged by says nothing about it. A macro-F1 of exactly 0 needs not one correct
    prediction; a model that always gives one class scores more. Conclusions such as "it does not learn to classify"
    are then drawn from a default.

    ## Example
    ```python
    good = Confusion.of([[30, 5, 5], [6, 28, 6], [4, 4, 32]])
    logged = {"val/f1_macro": 0.0}  # e.g. metrics.get("f1", 0.0) where the key is another
    run = Run.of(
        evaluations=[Evaluation("val", "main", s, "classes", 120, confusion=good, metrics=logged) for s in (1, 2, 3)]
    )
    ```
    Use instead:
    ```python
    good = Confusion.of([[30, 5, 5], [6, 28, 6], [4, 4, 32]])
    logged = {"val/f1_macro": 0.7486}
    run = Run.of(
        evaluations=[Evaluation("val", "main", s, "classes", 120, confusion=good, metrics=logged) for s in (1, 2, 3)]
    )
    ```

    ## Fix
    - **safe** Recompute the metric from one batch's logits by hand; compare key, shape, distinct values and agreement.
    - **safe** Look for a default: `dict.get(key, 0.0)`, a swallowed exception, a fast-validation switch, labels with
      another offset than the predictions.

    ## Options
    - `tolerance` (.1): averaging macro-F1 over batches instead of pooling moved it by up to .074 (another fault).
    - `repeats` (3): one stale or early value is no pattern.
    - `zeros` (4): as above, and more because from a log the predictions cannot be consulted.

    ## Known limits
    From logs alone an F1 of 0 can also mean that no positive (or no entity) is ever predicted. Metrics by another
    standard under a plain name (entity-level F1, exact match of several tasks, an EMA model, masked classes) look
    disconnected when they differ by more than `tolerance`. Silent on NaN and on names that it cannot tie to a task.

    ## References
    Macro-F1 of a constant class k of K: 2 p_k / (K (1 + p_k)). A public report: F1 0.0000 for ten epochs while the
    loss went from 20.3 to 2.6; always the majority class would have given .1774.
    """
    judged = False
    for name, measure, points in _comparable(run):
        judged, least = True, _LEAST_SCALE if measure in _SCALES else repeats
        stretch = _off_scale(points) if measure in _SCALES else _off(points, tolerance)
        if len(stretch) >= least:
            yield _mismatch(run, name, stretch)
        elif stretch:
            yield NotChecked(f"{name} differs in {len(stretch)} evaluations, too few to tell: needs {least}")
    for series in stuck_scores.unattended(run):
        judged = True
        yield from _stuck(run, series, zeros)
    if not judged:
        yield NotChecked("needs an accuracy, F1, precision, recall, R2 or error of the predictions (run.metrics)")


def _stuck(run: Run, series: Series, zeros: int) -> Iterator[Finding | NotChecked]:
    """What the log alone tells of one score that recorded predictions cannot answer for."""
    stuck = stuck_scores.trailing_default(series)
    enough = stuck_scores.evaluations(stuck) >= zeros
    loss = stuck_scores.fallen_loss(run, series, stuck) if enough else None
    perfect = stuck_scores.perfect_term(run, stuck) if len(stuck) >= zeros else None
    if loss is not None:
        yield _default(stuck, loss)
    elif perfect is not None:
        yield _opposed(stuck, perfect)
    elif (cheap := stuck_scores.cheap_loss(run, series)) is not None:
        yield _unaffordable(*cheap)
    elif (free := stuck_scores.free_errors(run, series)) is not None:
        yield _unpaid(*free)
    elif (better := stuck_scores.hopeless(run, stuck)) is not None:
        yield _never_right(stuck, better)
    elif 0 < len(stuck) < zeros:
        yield NotChecked(f"{series.name} is {stuck.value[0]:g} in {len(stuck)} evaluations: needs {zeros} to tell")
    elif enough and not _has_trend(run):
        yield NotChecked(f"{series.name} is {stuck.value[0]:g} in {len(stuck)} evaluations: no loss has 5 values")


def _has_trend(run: Run) -> bool:
    """Whether some loss has the 5 values that a trend needs."""
    return any(len(s.finite) >= 5 for name, s in run.series.items() if "loss" in name.split("/"))


def _says_task(rest: frozenset[str], tasks: set[str]) -> bool:
    """Whether ``rest`` points at one of the tasks: its words or their beginnings, or nothing where there is one."""
    if not rest:
        return len(tasks) == 1
    hits = [
        t
        for t in tasks
        if all(any(w == r or (len(r) > 2 and w.startswith(r)) for w in stuck_scores.words(t)) for r in rest)
    ]
    return len(hits) == 1


def _comparable(run: Run) -> Iterator[tuple[str, str, Iterator[Point]]]:
    """Metrics that recorded predictions can answer: name, measure, and the points, the newest first, made on demand."""
    looks: dict[str, dict[int, list[Evaluation]]] = {}
    for evaluation in run.own_evaluations:
        looks.setdefault(evaluation.split, {}).setdefault(evaluation.step, []).append(evaluation)
    for split, groups in looks.items():
        tasks = {(bool(e.moments), e.task) for group in groups.values() for e in group}
        logged = dict.fromkeys(name for group in groups.values() for e in group for name in e.metrics)
        for name in logged | dict.fromkeys(run.series):
            read = stuck_scores.read(name)
            if read is None:
                continue
            rest, regression = stuck_scores.beyond_split(read.rest, split), read.measure not in stuck_scores.SCORES
            placed = rest != read.rest or len(looks) == 1
            if placed and _says_task(rest, {task for kind, task in tasks if kind == regression}):
                points = _points(run.get(name), name, read.measure, groups)
                first = next(points, None)
                if first is not None:
                    yield name, read.measure, chain((first,), points)


def _points(series: Series | None, name: str, measure: str, groups: dict[int, list[Evaluation]]) -> Iterator[Point]:
    for step, group in reversed(groups.items()):
        logged = next((float(e.metrics[name]) for e in reversed(group) if name in e.metrics), math.nan)
        if math.isnan(logged) and series is not None:
            at = np.searchsorted(series.step, step, side="right") - 1
            logged = float(series.value[at]) if at >= 0 and series.step[at] == step else math.nan
        kin = [e for e in group if e.n >= _LEAST_N and bool(e.moments) == (measure not in stuck_scores.SCORES)]
        recomputed = {f"{d} of {e.key}": v for e in kin for d, v in _definitions(e, measure).items()}
        if recomputed and math.isfinite(logged):
            own_threshold = any(e.kind in ("binary", "multilabel") for e in kin)
            yield Point(step, logged, sum(e.n for e in kin), own_threshold, recomputed, kin[0].key)


def _definitions(evaluation: Evaluation, measure: str) -> dict[str, float]:
    """The measure by every standard definition, from the recorded predictions; finite ones."""
    if measure in stuck_scores.SCORES and evaluation.confusion is not None:
        c = evaluation.confusion
        found = c.scores.get(measure, {})
    elif measure in stuck_scores.SCORES and evaluation.labels_confusion is not None and measure != "accuracy":
        tp, fp, fn, _ = np.asarray(evaluation.labels_confusion).T
        found = stats.class_scores(tp + fn, tp + fp, tp).get(measure, {})
    else:
        each = {i: _errors(m, measure) for i, m in enumerate(evaluation.moments)}
        found = {f"{d} of output {i}": v for i, ways in each.items() for d, v in ways.items()}
        for d in dict.fromkeys(d for ways in each.values() for d in ways):
            found[f"mean {d}"] = float(np.mean([ways[d] for ways in each.values() if d in ways]))
    return {d: v for d, v in found.items() if math.isfinite(v)}


def _errors(m: Moments, measure: str) -> dict[str, float]:
    square = m.var_target + m.var_prediction - 2 * m.cov + (m.mean_prediction - m.mean_target) ** 2
    if measure == "r2":
        return {"R2": m.r2, "squared correlation": m.r**2, "explained variance": m.r2 + m.b**2}
    if measure == "mae":
        return {"MAE": float(np.abs(m.sample_prediction - m.sample_target).mean())} if len(m.sample_target) else {}
    return {"MSE": square} if measure == "mse" else {"RMSE": math.sqrt(max(square, 0.0))}


def _off(points: Iterator[Point], tolerance: float) -> list[Point]:
    """The unbroken stretch of points, up to the last, that no definition reproduces; oldest first."""
    return list(takewhile(lambda point: _is_off(point, tolerance), points))[::-1]


def _is_off(point: Point, tolerance: float) -> bool:
    slack, values = tolerance + 1.5 / math.sqrt(point.n), point.recomputed.values()
    if point.logged in stuck_scores.DEFAULTS:
        return all(abs(v) > 0.01 for v in values)
    if point.own_threshold:
        return min(values) - (point.logged / 100 if point.logged > 1 else point.logged) > slack
    return all(_distance(point.logged, v) > slack * max(1.0, abs(v)) for v in values)


def _distance(logged: float, recomputed: float) -> float:
    """Distance as fractions, whichever of the two scales, fraction or percent, was logged."""
    return min(abs(logged - recomputed), abs(logged / 100 - recomputed))


def _off_scale(points: Iterator[Point]) -> list[Point]:
    """The last points of an error whose ratio to every definition wanders: not even another unit explains it."""
    last = list(islice(points, _LEAST_SCALE))[::-1]
    for definition in last[0].recomputed:
        own = np.array([point.recomputed.get(definition, 0.0) for point in last])
        if not own.min() > 0:
            return []
        ratios = np.array([point.logged for point in last]) / own
        middle = np.median(ratios)
        if middle > 0 and ratios.max() <= 1.25 * middle and ratios.min() >= middle / 1.25:
            return []
    return last


def _mismatch(run: Run, name: str, stretch: Sequence[Point]) -> Finding:
    last, (definition, value) = stretch[-1], stretch[-1].nearest
    return Finding(
        f"{name} is logged as {last.logged:.4g}, but the recorded predictions give {value:.4g} ({definition}) at the "
        f"nearest; none of {len(last.recomputed)} definitions agrees in any of {len(stretch)} evaluations since step "
        f"{stretch[0].step}",
        subject=name,
        step=stretch[0].step,
        evidence=(
            Evidence(_source(run, name, last), last.logged, last.step, limit=value, text=f"logged as {name}"),
            Evidence(f"evaluation:{last.key}", value, last.step, text=f"{definition}, n = {last.n}"),
        ),
        remedies=_REMEDIES,
    )


def _source(run: Run, name: str, point: Point) -> str:
    series = run.get(name)
    if series is not None and np.any((series.step == point.step) & (series.value == point.logged)):
        return name
    return f"evaluation:{point.key}"


def _default(stuck: Series, loss: Series) -> Finding:
    value, first, last = float(stuck.value[-1]), int(stuck.step[0]), int(stuck.step[-1])
    fall = f"{loss.name} fell from {loss.value[0]:.4g} to {loss.value[-1]:.4g}"
    return Finding(
        f"{stuck.name} is exactly {value:g} in {len(stuck)} evaluations since step {first}, while {fall}: a default "
        "that nothing replaced, or not one hit",
        subject=stuck.name,
        step=first,
        evidence=(
            Evidence(stuck.name, value, last, text=f"the same in {len(stuck)} evaluations"),
            Evidence(loss.name, float(loss.value[-1]), int(loss.step[-1]), float(loss.value[0]), text="fell meanwhile"),
        ),
        remedies=_REMEDIES,
    )


def _opposed(stuck: Series, term: Series) -> Finding:
    step = int(stuck.step[-1])
    return Finding(
        f"{stuck.name} is exactly 0 in {len(stuck)} values and {term.name} is exactly 0 beside it, the loss of a "
        "perfect model: one of them is not of these predictions (a term switched off, or infinite and set to 0)",
        subject=stuck.name,
        step=int(stuck.step[0]),
        evidence=(
            Evidence(stuck.name, 0.0, step, text="not one hit"),
            Evidence(term.name, 0.0, int(term.step[-1]), text="no error"),
        ),
        remedies=_REMEDIES,
    )


def _unaffordable(stuck: Series, loss: Series) -> Finding:
    value, most = float(stuck.value[-1]), float(loss.value.max())
    return Finding(
        f"{stuck.name} stays at {value:.4g} in {len(stuck)} evaluations since step {stuck.step[0]}, yet {loss.name} is "
        f"at most {most:.3g}: an error costs a cross-entropy ln 2 = 0.69 at least. It is the accuracy of a regression, "
        "or of something else than the loss",
        subject=stuck.name,
        step=int(stuck.step[0]),
        evidence=(
            Evidence(stuck.name, value, int(stuck.step[-1]), text=f"the same in {len(stuck)} evaluations"),
            Evidence(loss.name, float(loss.value[-1]), int(loss.step[-1]), math.log(2), text="far below ln 2 an error"),
        ),
        remedies=_REMEDIES,
    )


def _unpaid(score: Series, loss: Series) -> Finding:
    return Finding(
        f"{score.name} is at most {score.value.max():.4g} in {len(score)} values, yet {loss.name} is next to nothing "
        f"({loss.value.max():.2g} at most): errors cost nothing. A softmax over one output, or a loss of other targets",
        subject=score.name,
        step=int(score.step[0]),
        evidence=(
            Evidence(score.name, float(score.value[-1]), int(score.step[-1]), text="errors are made"),
            Evidence(loss.name, float(loss.value[-1]), int(loss.step[-1]), 1e-6, text="at most, throughout"),
        ),
        remedies=_REMEDIES,
    )


def _never_right(stuck: Series, loss: Series) -> Finding:
    return Finding(
        f"{stuck.name} is exactly 0 in all {len(stuck)} values, yet {loss.name} goes from {loss.value[0]:.4g} to "
        f"{loss.value[-1]:.4g}, which needs answers that are right: a division of integers, labels in another form, or "
        "another output than the loss sees",
        subject=stuck.name,
        step=int(stuck.step[0]),
        evidence=(
            Evidence(stuck.name, 0.0, int(stuck.step[-1]), text=f"the same in {len(stuck)} values"),
            Evidence(loss.name, float(loss.value[-1]), int(loss.step[-1]), float(loss.value[0]), text="has learned"),
        ),
        remedies=_REMEDIES,
    )

"""OBJ002 starved-task."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np

from tocsin import loss_names, names, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.run import Evaluation, Floats, Ints, Run, Series

_REMEDIES = (
    Remedy("Fix the weights at their first shares, or bound the learned ones from below, and train again"),
    Remedy("Train that task alone for as long: its score says what the others cost it"),
    Remedy("Weight the terms by their gradient norms at the trunk (GradNorm) in place of their likelihoods"),
)
_WINDOWS = 8  # in which weights are fitted where none was logged
_FEWEST = 5  # evaluations before and after
_FITS = 0.999


@dataclass(frozen=True)
class Shares:
    """Each term's share of the sum of weights over the steps: ``share`` (m, k); ``source`` of each term."""

    terms: tuple[str, ...]
    step: Ints
    share: Floats
    source: tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """How a task does at its evaluations; higher is better, ``bounded`` where 1 is perfect."""

    source: str
    step: Ints
    value: Floats
    bounded: bool


@rule("OBJ002", needs=(), severity="warning", explains=("OBJ009", "PRD006", "PRD011"), when="end")
def starved_task(
    run: Run, *, fall: float = 0.8, starved: float = 0.35, room: float = 0.3, stall: float = 0.25
) -> Iterator[Finding | NotChecked]:
    """A task loses its weight in the total, and its score stops improving or falls while another's improves.

    ## What it does
    Judged at the end. w_k is the weight of term k in the total: the logged series `weight/<term>`; without them least
    squares total = sum_k w_k term_k in each of 8 stretches of the training (R2 > .999, all terms). With the share
    w_k / sum w and its medians over the first and last tenth of the record, a task drifts away when the 99 % interval
    of the share's trend lies below 0 (up to 40 values: Kendall's exact test at .01) and it ends at `fall` of where it
    began, or less. From the step on at which it got there, by at least 5 evaluations before and after, it rings when

    - the score *falls*: its 95 % trend interval lies below 0, and its level by 5 % of its best;
    - or it *stalls*: the interval of the slope ends below `stall` of the lower end of the one before, which was above
      0, while the score of a task that gained weight still rises (interval above 0). A note, unless the share ended at
      `starved` of where it began and the score (where 1 is perfect) leaves `room`.

    The score is the recorded evaluations' (accuracy, correlation), else the metric or evaluation loss that bears the
    name of the term.

    ## Why is this bad?
    Weights that are learned (homoscedastic uncertainty) or follow the losses favour the task that is easy: shares of
    .5/.5 went to .62/.38 and .835/.165 in published runs, and the hard task stood still where it was.

    ## Example
    ```python
    steps, at = np.arange(1, 401), np.arange(20, 401, 20)
    easy = np.minimum(0.05 * np.arange(20) ** 0.9, 1)
    hard = np.where(at < 160, 0.002 * at, 0.32 - 0.0004 * (at - 160))
    drift = 1 / (1 + np.exp(-(steps - 200) / 60))
    run = Run.of(
        series={"weight/easy": 0.5 + 0.45 * drift, "weight/hard": 0.5 - 0.45 * drift}
        | {f"val/{k}/accuracy": Series.of(k, v, step=at) for k, v in {"easy": easy, "hard": hard}.items()},
    )
    ```
    Use instead:
    ```python
    steps, at = np.arange(1, 401), np.arange(20, 401, 20)
    easy, hard = 1 - np.exp(-at / 80), 0.9 - 0.7 * np.exp(-at / 200)
    drift = 1 / (1 + np.exp(-(steps - 200) / 60))
    run = Run.of(
        series={"weight/easy": 0.5 + 0.05 * drift, "weight/hard": 0.5 - 0.05 * drift}
        | {f"val/{k}/accuracy": Series.of(k, v, step=at) for k, v in {"easy": easy, "hard": hard}.items()},
    )
    ```

    ## Fix
    - **unsafe** Fixed weights, or learned ones with a lower bound.
    - **unsafe** Weights from gradient norms at the trunk: they follow what each task does to the shared layers.

    ## Options
    - `fall` (.8): .381 of .5 is .76.
    - `starved` (.35): .165 of .5 is .33.
    - `room` (.3): a task that has most of what there is may stand still by right.
    - `stall` (.25): a quarter of its earlier pace at most, by the unfavourable ends of both intervals.

    ## Known limits
    A task that is learned to its ceiling, while its share falls for that reason, may look the same: its stall is a note
    unless much room is left, and the ceiling is not known. Fitted weights need terms that move apart. Curricula that
    take a task out on purpose ring as a stall where its weight is not 0.

    ## References
    Kendall et al. 2018 (weights by uncertainty). Chen et al. 2018, GradNorm. Sen 1968 (trend intervals).
    """
    shares = _logged(run) or _fitted(run)
    if shares is None:
        yield NotChecked(
            "needs the weights of at least two terms: logged as weight/<term>, or total and terms whose sum it is"
        )
        return
    scores = {term: _score(run, term) for term in shares.terms}
    known = {k: s for k, s in scores.items() if s is not None and s.step.size >= 2 * _FEWEST}
    if not known:
        yield NotChecked(f"needs {2 * _FEWEST} evaluations of a task that bears the name of its term")
        return
    for k, term in enumerate(shares.terms):
        if term in known:
            finding = _starved(shares, k, known, fall, starved, room, stall)
            if finding is not None:
                yield finding


def _logged(run: Run) -> Shares | None:
    weights = {term: s.finite for term, s in sorted(run.family("weight").items()) if len(s.finite) >= _WINDOWS}
    if len(weights) < 2:
        return None
    step = reduce(np.intersect1d, [s.step for s in weights.values()])
    if step.size < _WINDOWS:
        return None
    values = np.stack([s.value[np.searchsorted(s.step, step)] for s in weights.values()], axis=1)
    return _shares(tuple(weights), step, values, tuple(f"weight/{term}" for term in weights))


def _shares(terms: tuple[str, ...], step: Ints, weight: Floats, source: tuple[str, ...]) -> Shares | None:
    total = weight.sum(axis=1, keepdims=True)
    if (weight < 0).any() or not (total > 0).all() or not np.isfinite(total).all():
        return None
    return Shares(terms, step, weight / total, source)


def _fitted(run: Run) -> Shares | None:
    """Weights by least squares in each of 8 stretches; None unless each of them accounts for the total."""
    total = run.get("train/loss")
    terms = {term: s.finite for term, s in sorted(run.family("train/loss").items()) if len(s.finite)}
    if total is None or len(terms) < 2:
        return None
    step = reduce(np.intersect1d, [total.finite.step, *(s.step for s in terms.values())])
    if step.size < 30 * _WINDOWS:
        return None
    whole = _at(total.finite, step)
    parts = np.stack([_at(s, step) for s in terms.values()], axis=1)
    edges = np.linspace(0, step.size, _WINDOWS + 1).astype(int)
    weights = []
    for start, b in itertools.pairwise(edges):
        a = max(start, b - 2000)
        fits = [stats.weight_in_sum(whole[a:b], parts[a:b], k) for k in range(len(terms))]
        if any(fit is None or not fit.r2 > _FITS for fit in fits):
            return None
        weights.append([fit.value for fit in fits if fit is not None])
    source = tuple(f"train/loss/{term}" for term in terms)
    return _shares(tuple(terms), step[edges[1:] - 1], np.array(weights), source)


def _at(series: Series, step: Ints) -> Floats:
    found: Floats = series.value[np.searchsorted(series.step, step)]
    return found


def _score(run: Run, term: str) -> Score | None:
    """The task's recorded evaluations, else the metric or the evaluation loss that is named after the term."""
    wanted = frozenset(loss_names.words(term))
    for key, evaluations in run.of_kind().items():
        split = evaluations[0].split
        if split != "train" and frozenset(loss_names.words(evaluations[0].task)) == wanted:
            points = [(e.step, _quality(e)) for e in evaluations if math.isfinite(_quality(e))]
            if len(points) >= 2 * _FEWEST:
                step, value = np.array(points).T
                return Score(f"evaluation:{key}", step.astype(np.int64), value, bounded=True)
    for name, series in run.series.items():
        sign = names.direction(name) or (-1 if f"/loss/{term}" in name else 0)
        said = loss_names.subject_words(name.partition("/")[2])
        if sign and wanted <= said and names.split_of(name) not in ("", "train") and len(series.finite) >= 2 * _FEWEST:
            values = sign * series.finite.value
            return Score(name, series.finite.step, values, bounded=sign > 0 and bool(np.abs(values).max() <= 1))
    return None


def _quality(e: Evaluation) -> float:
    if e.confusion is not None and e.confusion.n:
        return float(e.confusion.correct.sum() / e.confusion.n)
    return e.moments[0].r if e.moments else math.nan


def _starved(
    shares: Shares, k: int, scores: dict[str, Score], fall: float, starved: float, room: float, stall: float
) -> Finding | None:
    mine, tenth = shares.share[:, k], max(1, shares.step.size // 10)
    first, last = float(np.median(mine[:tenth])), float(np.median(mine[-tenth:]))
    if not (first > 0 and last <= fall * first) or not _drifts(shares.step, mine):
        return None
    lost = int(shares.step[np.flatnonzero(mine > fall * first)[-1]])
    score = scores[shares.terms[k]]
    before, after = _parts(score, lost)
    severity = _verdict(score, before, after, _others_rise(shares, k, scores, lost), stall)
    if severity == "note" and last <= starved * first and score.bounded and score.value[-3:].max() <= 1 - room:
        severity = "warning"
    return None if severity is None else _finding(shares, k, (first, last), score, lost, after, severity)


def _drifts(step: Ints, mine: Floats) -> bool:
    if mine.size <= 40:
        return stats.order_p(-mine) <= 0.01
    return stats.trend(step, mine, 0.99).falling


def _parts(score: Score, lost: int) -> tuple[stats.Trend, stats.Trend]:
    """The trends of a score up to and after a step."""
    early = score.step <= lost
    return tuple(stats.trend(score.step[part], score.value[part]) for part in (early, ~early))  # type: ignore[return-value]


def _verdict(score: Score, before: stats.Trend, after: stats.Trend, others_rise: bool, stall: float) -> Severity | None:
    best, now = float(np.max(score.value)), float(np.median(score.value[-3:]))
    if after.high < 0 and best - now >= 0.05 * abs(best):
        return "warning"
    stalls = before.rising and after.n >= _FEWEST and after.high < stall * before.low
    return "note" if stalls and others_rise else None


def _others_rise(shares: Shares, k: int, scores: dict[str, Score], lost: int) -> bool:
    """Whether the score of a task that gained weight still rises."""
    gained = [t for j, t in enumerate(shares.terms) if j != k and shares.share[-1, j] > shares.share[0, j]]
    return any(_parts(scores[term], lost)[1].rising for term in gained if term in scores)


def _finding(
    shares: Shares, k: int, ends: tuple[float, float], score: Score, lost: int, after: stats.Trend, severity: Severity
) -> Finding:
    term, (first, last) = shares.terms[k], ends
    how = "falls" if after.high < 0 else "no longer improves"
    best, now = abs(float(score.value.max())), abs(float(np.median(score.value[-3:])))
    span = float(score.step[-1] - lost)
    return Finding(
        f"{term} went from {100 * first:.3g} to {100 * last:.3g} % of the weights, and since step {lost} its score "
        f"{how} (best {best:.3g}, now {now:.3g}, by {score.source.removeprefix('evaluation:')})",
        subject=term,
        step=lost,
        evidence=(
            Evidence(shares.source[k], None, int(shares.step[-1]), None, None, f"share {first:.3g}, now {last:.3g}"),
            Evidence(
                score.source, None, int(score.step[-1]), 0.0, (after.low * span, after.high * span),
                "change of the score since then",
            ),
        ),
        remedies=_REMEDIES,
        severity=severity,
    )  # fmt: skip

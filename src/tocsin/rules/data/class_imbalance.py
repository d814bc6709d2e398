"""DAT001 class-imbalance."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from tocsin import declared, stats, tallies
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Evaluation, Floats, Ints, Run, in_each, in_last

_COUNTER = re.compile(
    r"class_?weight|pos_?weight|weighted|sample_?weight|sampler|over_?sampl|under_?sampl|resampl|balanc|focal|smote|"
    r"logit_?adjust|la_?loss|ldam|cost_?sensitive|prior_?correct",
    re.IGNORECASE,
)
_FEWEST = 20  # samples of a rare class: fewer say little about it
_VOCABULARY = 20  # classes whose shares tail off: tokens, species; their shares are what the world is like
_NEGATIVE = frozenset(("", "none", "false", "null", "no", "0", "0.0", "off", "random", "randomsampler"))
_REMEDIES = (
    Remedy("Weight the loss by class, or sample the rare classes more often"),
    Remedy("Judge by a score that counts each class once (macro F1, balanced accuracy)", True),
    Remedy("Collect more samples of the rare classes"),
)


@dataclass(frozen=True)
class Lost:
    """A rare class that is found far more seldom than the rest.

    Attributes:
        label: Its name.
        support: Its samples.
        ratio: Its share over that of the most frequent class.
        recall: Its recall, ``high`` the upper bound.
        rest: Recall of the frequent classes, ``low`` the lower bound.
    """

    label: str
    support: int
    ratio: float
    recall: float
    high: float
    rest: float
    low: float


@rule("DAT001", needs=(), explains=("PRD003", "PRD012"))
def class_imbalance(
    run: Run, *, ratio: float = 0.1, factor: float = 0.5, level: float = 0.05
) -> Iterator[Finding | NotChecked]:
    """Rare classes are lost, and nothing counters the imbalance.

    ## What it does
    Judges settled predictions: the last 3 evaluations of a task once the evaluation loss no longer falls or the run is
    over. Rings when in each of them a class c

    - is rare: m_c <= `ratio` max_k m_k, for samples m, of which it has 20 at least;
    - is lost: the Wilson upper bound of its recall, at level `level` shared by the rare classes, lies below `factor`
      times the lower bound of the pooled recall of the classes that are not rare; and
    - is called less than `factor` m_c times, where the predictions are recorded: wrong calls are another fault.

    From logs the same with recall and support by class (`<split>/recall/<class>`, `<split>/support/<class>`), in the
    last report.

    A configuration that names a countermeasure (class weights, a sampler, focal loss, ...) silences it; without any
    configuration it is a note, for the countermeasure may be in the code. A note, too, of 20 classes and more most of
    which have less than half of the samples of the largest: tokens of a text, species. Such shares tail off as the
    world's do, and a model of the best accuracy gives up the tail; an imbalance is an exception among classes that are
    otherwise alike.

    ## Why is this bad?
    An accuracy hides the loss: missing all of a class of 2 % costs .02. The rare class is often the one that matters.

    ## Example
    ```python
    counts = Confusion.of([[880, 20, 0], [60, 440, 0], [30, 20, 0]], labels=("road", "car", "bike"))
    run = Run.of(
        config={"loss": "cross_entropy"},
        evaluations=[Evaluation("val", "main", s, "classes", 1450, confusion=counts) for s in (1, 2, 3)],
    )
    ```
    Use instead:
    ```python
    counts = Confusion.of([[840, 40, 20], [50, 430, 20], [6, 4, 40]], labels=("road", "car", "bike"))
    run = Run.of(
        config={"loss": "cross_entropy", "class_weights": "balanced"},
        evaluations=[Evaluation("val", "main", s, "classes", 1450, confusion=counts) for s in (1, 2, 3)],
    )
    ```

    ## Fix
    - **safe** Report a score by class, or one that counts each class once.
    - **unsafe** Class weights, a balanced sampler, focal loss, logits shifted by the log prior; more samples.

    ## Options
    - `ratio` (.1): at ten to one the prior alone moves a decision by 2.3 nats.
    - `factor` (.5): found half as often as the rest; healthy models lose some of a rare class by right of its prior.
    - `level` (.05): of the intervals.

    ## Known limits
    Knows the evaluated samples, and takes them for the training ones. Rare classes that overlap with a frequent one are
    rightly given up by an accuracy-optimal model; whether that is wanted, only you know.

    ## References
    Wilson 1927 (interval). Menon et al. 2021, Long-tail learning via logit adjustment.
    """
    judged, countered = False, _countered(run)
    look = partial(_lost, ratio=ratio, factor=factor, level=level)
    told = partial(_lost, ratio=ratio, factor=factor, level=1.0)
    for key, evaluations in run.of_kind("classes", "ids", "binary").items():
        judged |= bool(run.settled(evaluations))
        signs, stretch = run.persisting(evaluations, in_each(look), in_last(told))
        if signs and not countered:
            now, last = told(stretch[-1]) | look(stretch[-1]), stretch[-1]
            found = [now[sign] for sign in signs]
            evidence = tuple(_evidence(f"evaluation:{key}", last.step, one) for one in found[:5])
            yield _finding(run, key, found, evidence, last.confusion is None or _graded(last.confusion.support))
    if run.exit != "running":
        for report in tallies.reports(run):
            judged = True
            rare = _of_report(report, ratio, factor, level)
            if rare and not countered:
                step = int(report.step[-1])
                evidence = tuple(
                    Evidence(f"{report.split}/recall/{one.label}", _as_logged(run, report, one), step, text=_said(one))
                    for one in rare[:5]
                )
                yield _finding(run, report.split, rare, evidence, _graded(report.support[-1]))
    if not judged:
        yield NotChecked(f"needs {SETTLED} of classes, or recall and support by class")


def _countered(run: Run) -> bool:
    """Whether configuration or command line names a countermeasure that is not switched off."""
    for setting in declared.settings(run):
        value = str(setting.value).strip().lower()
        named = _COUNTER.search(setting.path) and value not in _NEGATIVE
        if named or (isinstance(setting.value, str) and value not in _NEGATIVE and _COUNTER.search(value)):
            return True
    return False


def _lost(evaluation: Evaluation, *, ratio: float, factor: float, level: float) -> dict[int, Lost]:
    counts = evaluation.confusion
    if counts is None or not counts.n:
        return {}
    found = _rare(counts.support.astype(float), counts.correct.astype(float), ratio, factor, level)
    return {
        c: Lost(counts.label(c), int(counts.support[c]), *told)
        for c, told in found.items()
        if counts.predicted[c] < factor * counts.support[c]
    }


def _rare(
    support: Floats, hits: Floats, ratio: float, factor: float, level: float
) -> dict[int, tuple[float, float, float, float, float]]:
    """Rare classes that are lost: ratio, recall, its upper bound, recall of the rest, its lower bound; by index."""
    most = float(support.max())
    few = (support >= _FEWEST) & (support <= ratio * most)
    frequent = support > ratio * most
    rest, right = float(support[frequent].sum()), float(hits[frequent].sum())
    if not few.any() or not rest or np.count_nonzero(support) < 2:
        return {}
    bare = level >= 1  # by the estimates alone
    low = right / rest if bare else stats.wilson(right, rest, 1 - level)[0]
    found = {}
    for c in np.flatnonzero(few):
        m, k = float(support[c]), float(hits[c])
        high = k / m if bare else stats.wilson(k, m, 1 - level / int(few.sum()))[1]
        if high < factor * low:
            found[int(c)] = (m / most, k / m, high, right / rest, low)
    return found


def _of_report(report: tallies.Report, ratio: float, factor: float, level: float) -> list[Lost]:
    support, recall = report.support[-1], report.recall[-1]
    if not np.all(np.isfinite(support) & np.isfinite(recall)):
        return []
    hits = np.round(recall * support)
    found = _rare(support, np.clip(hits, 0, support), ratio, factor, level)
    return [Lost(report.classes[c], int(support[c]), *told) for c, told in found.items()]


def _as_logged(run: Run, report: tallies.Report, one: Lost) -> float:
    return float(run.series[f"{report.split}/recall/{one.label}"].until(int(report.step[-1])).value[-1])


def _said(one: Lost) -> str:
    return f"recall of {one.label}, {one.support} samples, 1 for {1 / one.ratio:.0f} of the most frequent class"


def _evidence(source: str, step: int, one: Lost) -> Evidence:
    return Evidence(source, one.recall, step, limit=one.rest, interval=(0.0, one.high), text=_said(one))


def _graded(support: Floats | Ints) -> bool:
    """Whether there are many classes and their shares tail off."""
    there = support[support > 0]
    return there.size >= _VOCABULARY and 2 * float(np.median(there)) < float(there.max())


def _finding(run: Run, subject: str, found: list[Lost], evidence: tuple[Evidence, ...], graded: bool) -> Finding:
    listed = "; ".join(
        f"{one.label} (1 sample for {1 / one.ratio:.0f} of the most frequent class) has a recall of {one.recall:.3g}, "
        f"at most {one.high:.2g}"
        for one in found[:3]
    )
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    given = "the configuration names no countermeasure" if run.config else "no configuration was recorded"
    return Finding(
        f"{subject}: {listed}{more}; the other classes have {found[0].rest:.3g}; {given}",
        subject=subject,
        step=0,
        evidence=evidence,
        remedies=_REMEDIES,
        severity=None if run.config and not graded else "note",
    )

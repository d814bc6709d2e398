"""PRD010 ordinal-dead-zone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np

from tocsin import metrics, stats
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule, since
from tocsin.run import Confusion, Evaluation, Run, Series, in_each, in_last

_NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*(.*?)\s*")
_FEWEST = 5  # ordered classes: below, a band is most of the scale
_ALIVE = 3  # classes with hits: with fewer the model is a constant, or nearly
_SCORES = ("f1", "recall")
_REMEDIES = (
    Remedy(
        "Record a baseline on the same split: run.evaluate(..., baseline='ridge') says whether the band is lost", True
    ),
    Remedy("Compare what the network sees for the band with what it sees for its neighbours: scaling, clipping", True),
    Remedy("Merge classes that no bound allows to tell apart, or score the distance instead of the hit"),
)


@dataclass(frozen=True)
class Band:
    """Neighbouring ordered classes without one hit.

    Attributes:
        name: In words, ``-20 to -16 dB``.
        classes: Their indices, in order.
        support: Their samples.
        taker: The class that receives most of them, ``taken`` their share that it receives.
        apart: How much more often the taker's own samples are called so: interval; above 0 they are told apart.
    """

    name: str
    classes: tuple[int, ...]
    support: int
    taker: str
    taken: float
    apart: tuple[float, float]

    @property
    def high(self) -> float:
        """Upper 95 % bound of the band's recall."""
        return stats.wilson(0, float(self.support))[1]


@rule("PRD010", needs=())
def ordinal_dead_zone(run: Run, *, classes: int = 2, apart: float = 0.2) -> Iterator[Finding | NotChecked]:
    """A band of neighbouring ordered classes is never hit.

    ## What it does
    Reads classes whose labels are numbers of one unit ("-20 dB"), at least 5 of them. Judges settled predictions: the
    last 3 evaluations of a task once the evaluation loss no longer falls or the run is over. A dead zone is a run of at
    least `classes` neighbours, of those that have targets, without one correct prediction (F1 0) in each of them, whose
    pooled recall, 0 of m, has a 95 % Wilson upper bound below 1/K, what blind guessing among the K classes gives, while
    the lower bound of the recall of all other classes, 3 with hits at least, is above it.

    It is a warning where more is possible:

    - a recorded baseline hits the band, its 95 % lower bound above the model's upper bound; or
    - no baseline is recorded, and the model itself tells the band from where it sends it: its own samples are called
      the class that takes the band more often by `apart` and more (95 % Newcombe interval), yet no class of
      the band is ever answered.

    Else it is a note: samples that nothing tells apart are rightly given one answer, which may lie outside the band,
    and a recorded baseline may miss the band as well. From logs (`<split>/f1/<label>`, recall), at the end:
    bands of exactly 0 in the last 3 evaluations, as a note; without a support, of 3 classes and more.

    ## Why is this bad?
    The mean score hides that a part of the scale cannot be answered at all; conclusions about that part are void.

    ## Example
    ```python
    counts = np.eye(6, dtype=int) * 80 + 4
    counts[:2] = [0, 0, 20, 20, 20, 44]  # the two weakest levels are sent to the strongest
    dead = Confusion.of(counts, labels=tuple(f"{v} dB" for v in range(-20, -8, 2)))
    run = Run.of(evaluations=[Evaluation("val", "snr", s, "ids", dead.n, confusion=dead) for s in (1, 2, 3)])
    ```
    Use instead:
    ```python
    counts = np.eye(6, dtype=int) * 80 + 4
    alive = Confusion.of(counts, labels=tuple(f"{v} dB" for v in range(-20, -8, 2)))
    run = Run.of(evaluations=[Evaluation("val", "snr", s, "ids", alive.n, confusion=alive) for s in (1, 2, 3)])
    ```

    ## Fix
    - **safe** Record a baseline or a bound on the same split: is there anything to be had in the band?
    - **safe** Look for what removes the band's information: clipping, per-sample normalisation, quantisation.
    - **unsafe** Merge the classes of the band, or train on a distance instead of a hit.

    ## Options
    - `classes` (2): a single dead class is PRD003's.
    - `apart` (.2): a fifth of the samples: neighbours that blur into each other differ by less.

    ## Known limits
    Needs labels that are numbers. The bound 1/K asks for about 4 K samples of the band. A bound from theory (a
    Cramer-Rao bound, a Bayes rate) can be recorded as the predictions of a baseline that attains it.

    ## References
    Wilson 1927; Newcombe 1998 (intervals). A public report: F1 0 from -20 to -16 dB.
    """
    judged = False
    look = partial(_dead, least=classes, chance=True)
    told = partial(_dead, least=classes, chance=False)
    for key, evaluations in run.of_kind("classes", "ids").items():
        settled = run.settled(evaluations)
        judged |= bool(settled) and settled[-1].confusion is not None and bool(_order(settled[-1].confusion))
        signs, stretch = run.persisting(evaluations, in_each(look), in_last(told))
        if signs:
            bands = told(stretch[-1])
            yield _finding(run, key, [bands[sign] for sign in signs], stretch, apart)
    if run.exit != "running":
        for stem, split, scores in _logged(run):
            judged = True
            yield from _from_log(run, stem, split, scores, max(classes, 2))
    if not judged:
        yield NotChecked(f"needs {SETTLED} of classes whose labels are numbers")


def _order(confusion: Confusion) -> list[int]:
    """The classes that have targets, in the order of the numbers in their labels; none where these are no scale."""
    found = [_NUMBER.fullmatch(label) for label in confusion.labels]
    known = [m for m in found if m]
    if len(known) < max(confusion.classes, _FEWEST) or len({m[2] for m in known}) > 1:
        return []
    values = [float(m[1]) for m in known]
    kept = [int(c) for c in np.flatnonzero(confusion.support) if len(set(values)) == len(values)]
    return sorted(kept, key=values.__getitem__) if len(kept) >= _FEWEST else []


def _runs(order: Sequence[int], dead: Sequence[bool], least: int) -> list[tuple[int, ...]]:
    """Unbroken runs of at least ``least`` dead classes."""
    grouped = groupby(zip(order, dead, strict=True), key=lambda pair: pair[1])
    bands = [tuple(c for c, _ in pairs) for is_dead, pairs in grouped if is_dead]
    return [band for band in bands if len(band) >= least]


def _dead(evaluation: Evaluation, *, least: int, chance: bool) -> dict[tuple[int, ...], Band]:
    """The dead zones of one evaluation by their classes; ``chance``: only those below blind guessing."""
    counts = evaluation.confusion
    order = _order(counts) if counts is not None else []
    if counts is None or not order:
        return {}
    found = {}
    for classes in _runs(order, [counts.correct[c] == 0 for c in order], least):
        band = _band(counts, classes)
        others, hits = counts.n - band.support, int(counts.correct.sum())
        if np.count_nonzero(counts.correct) >= _ALIVE and (
            not chance or band.high < 1 / len(order) < stats.wilson(hits, float(others))[0]
        ):
            found[classes] = band
    return found


def _band(counts: Confusion, classes: tuple[int, ...]) -> Band:
    rows = np.isin(counts.target, classes)
    given = np.bincount(counts.prediction[rows], weights=counts.count[rows], minlength=counts.classes)
    support, taker = int(given.sum()), int(np.argmax(given))
    own, hits = float(counts.support[taker]), float(counts.correct[taker])
    apart = stats.proportion_difference(hits, own, float(given[taker]), float(support))
    first, last = counts.label(classes[0]), counts.label(classes[-1])
    name = f"{first} to {last}"
    return Band(name, classes, support, counts.label(taker), float(given[taker]) / support, apart)


def _finding(run: Run, key: str, bands: list[Band], stretch: list[Evaluation], apart: float) -> Finding:
    last = stretch[-1]
    beside = [_beside(run, key, band) for band in bands]
    possible = [
        better if told else band.apart[0] > apart for band, (better, told, _) in zip(bands, beside, strict=True)
    ]
    said = "; ".join(
        f"{band.name} ({len(band.classes)} classes, {band.support} samples) get not one correct answer, "
        f"{100 * band.taken:.3g} % go to {band.taker}{words}"
        for band, (_, _, words) in list(zip(bands, beside, strict=True))[:3]
    )
    return Finding(
        f"{key}: {said}; {since(stretch)}",
        subject=key,
        step=stretch[0].step,
        evidence=tuple(
            Evidence(
                f"evaluation:{key}",
                0.0,
                last.step,
                interval=(0.0, band.high),
                text=f"recall of {band.name}, {band.support} samples",
            )
            for band in bands[:5]
        ),
        remedies=_REMEDIES,
        severity=None if any(possible) else "note",
    )


def _beside(run: Run, key: str, band: Band) -> tuple[bool, bool, str]:
    """Whether a recorded baseline proves more to be possible, whether there is one, and words about it."""
    words = ""
    for name, kept in run.baselines(key).items():
        counts = kept[-1].confusion
        if counts is None or max(band.classes) >= counts.classes:
            continue
        support = int(counts.support[list(band.classes)].sum())
        hits = int(counts.correct[list(band.classes)].sum())
        low, high = stats.wilson(hits, float(support))
        if low > band.high:
            return True, True, f"; the baseline {name} gets {100 * hits / support:.3g} % of them"
        words = words or (f"; the baseline {name} gets {hits} of {support}" if not math.isnan(high) else "")
    if words:
        return False, True, words
    low = band.apart[0]
    told = f", whose own samples get it {100 * low:.2g} % more often at least" if low > 0 else ""
    return False, False, told


def _logged(run: Run) -> Iterator[tuple[str, str, dict[str, Series]]]:
    """Scores by class, ``<split>/f1/<number>``, of splits whose predictions were not recorded."""
    recorded = {e.split for e in run.own_evaluations}
    stems: dict[str, dict[str, Series]] = {}
    for name, series in run.series.items():
        stem, _, label = name.rpartition("/")
        metric = metrics.read(stem) if stem and _NUMBER.fullmatch(label) else None
        if metric is not None and metric.measure in _SCORES and metric.split not in recorded | {"train", ""}:
            stems.setdefault(stem, {})[label] = series.finite
    for stem, scores in stems.items():
        units = {m[2] for label in scores if (m := _NUMBER.fullmatch(label))}
        last = {int(s.step[-1]) for s in scores.values() if len(s) >= 3}
        if len(units) == len(last) == 1 and len(scores) >= _FEWEST and all(len(s) >= 3 for s in scores.values()):
            yield stem, stem.partition("/")[0], scores


def _from_log(run: Run, stem: str, split: str, scores: dict[str, Series], least: int) -> Iterator[Finding]:
    labels = sorted(scores, key=lambda label: float(_NUMBER.fullmatch(label)[1]))  # type: ignore[index]
    dead = [not np.any(scores[label].value[-3:]) for label in labels]
    best = max(float(s.value[-1]) for s in scores.values())
    for band in _runs(range(len(labels)), dead, least):
        supports = [run.get(f"{split}/support/{labels[c]}") for c in band]
        m = sum(float(s.value[-1]) for s in supports if s is not None)
        enough = stats.wilson(0, m)[1] < 1 / len(labels) if all(supports) else len(band) > least
        if not enough or len(band) == len(labels) or not best > 1 / len(labels):
            continue
        first = scores[labels[band[0]]]
        yield Finding(
            f"{stem}: {labels[band[0]]} to {labels[band[-1]]} ({len(band)} of {len(labels)} classes) are exactly 0 in "
            f"the last 3 evaluations, the best class is at {best:.3g}",
            subject=stem,
            step=int(first.step[-3]),
            evidence=tuple(
                Evidence(f"{stem}/{labels[c]}", 0.0, int(scores[labels[c]].step[-1]), text="not one hit")
                for c in band[:5]
            ),
            remedies=_REMEDIES,
            severity="note",
        )
        return

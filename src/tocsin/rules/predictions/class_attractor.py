"""PRD001 class-attractor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tocsin import stats
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule, since
from tocsin.run import Confusion, Evaluation, Ints, Run


@dataclass(frozen=True)
class Attractor:
    """A class that swallows others in one evaluation.

    Attributes:
        label: The class.
        sources: How many classes it takes from, ``band`` in words.
        received: Share of their samples that it receives, ``interval`` around it.
        expected: The share that an uninformed healthy classifier would send there.
        predicted: Its share of all predictions, ``low`` below it.
    """

    label: str
    sources: int
    band: str
    received: float
    interval: tuple[float, float]
    expected: float
    predicted: float
    low: float


_CONSTANT = 0.999  # from here on it is PRD002
_MOST = 16  # classes looked at, the most predicted first: more cannot each hold a large share
_NUMBER = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*(\D*)")


@rule(
    "PRD001",
    needs=("evaluations:classes | evaluations:ids",),
    severity="warning",
    explains=("PRD003", "PRD010"),
)
def class_attractor(
    run: Run, *, ratio: float = 2.5, excess: float = 0.2, sources: int = 3, peer: float = 0.5
) -> Iterator[Finding | NotChecked]:
    """One class receives far more than its share of the samples of several other classes.

    ## What it does
    Judges settled predictions only: the last 3 evaluations of a task once the evaluation loss no longer falls (its
    95 % trend interval contains 0) or the run is over. With C_ij the samples of class i predicted as j, n_i those of
    class i, n all, pi_j = n_j / n and K the classes present, the expected share is e_j = max(pi_j, 1/K): a healthy
    classifier follows the prior, or the uniform one where classes are weighted, and its errors do no more. Class j is
    an attractor when in each of these evaluations

    - it is predicted too often: the lower bound of sum_i C_ij / n is at least `ratio` e_j;
    - from many classes: at least `sources` other classes i have C_ij / n_i >= 2 e_j, and the 99 % interval (Newcombe)
      of C_ij / n_i - C_ji / n_j lies above e_j: alike classes are confused both ways. Only classes with
      n_i >= `peer` n_j count: a prior explains why a rare class falls to a frequent one;
    - and much: over these source classes together, the lower bound of sum C_ij / sum n_i is at least e_j + `excess`.

    The bounds are Wilson's at level alpha_k / K, alpha_k = 6 (.05) / (pi^2 k^2) for the k-th evaluation, so that
    sampling noise alone makes a false alarm in at most 5 % of runs, however many classes and looks. A classifier that
    gives one class for everything is PRD002, not an attractor. Several attractors of a task make one finding, and may
    take turns. With fewer than 3 evaluations it is a note.

    ## Why is this bad?
    Samples of many classes leave by one door: the class's own score looks fine (recall near 1) and the others' errors
    are not spread over their neighbours as an honest doubt would be. On ordered classes it is a dead band, e.g. all of
    18-26 dB read as 28 dB.

    ## Example
    ```python
    dense = 60 * np.eye(16, dtype=int)
    dense[4:14, :] //= 2
    dense[4:14, 14] += 30
    labels = tuple(f"{2 * k} dB" for k in range(16))
    hole = Confusion.of(dense, labels)
    run = Run.of(evaluations=[Evaluation("val", "snr", s, "classes", 960, confusion=hole) for s in (1, 2, 3)])
    ```
    Use instead:
    ```python
    dense = 40 * np.eye(16, dtype=int) + 10 * np.eye(16, k=1, dtype=int) + 10 * np.eye(16, k=-1, dtype=int)
    honest = Confusion.of(dense, tuple(f"{2 * k} dB" for k in range(16)))
    run = Run.of(evaluations=[Evaluation("val", "snr", s, "classes", 940, confusion=honest) for s in (1, 2, 3)])
    ```

    ## Fix
    - **safe** Score the same batch with batch statistics instead of running ones: lagging normalisation statistics at
      a high learning rate make one class win everywhere (measured: 7.1 x its share against 2.1 x).
    - **safe** Check that every loss term reaches this head with a gradient: a distance computed from argmax has none.
    - **unsafe** Anneal the learning rate to its end before judging; average the weights.
    - **unsafe** Where the inputs of the band carry no evidence of the class, merge its classes or give the model the
      feature that separates them.

    ## Options
    - `ratio` (2.5): healthy runs of a modulation study ended with one class at 1.1-1.6 times its share and peaked at
      2.3 in mid-training; a published attractor (13-49 % of 11 classes of 16) amounts to 3.9.
    - `excess` (.2): below it the swallowed classes keep most of their samples; published attractors took 13-49 % and
      38-84 % of each class.
    - `sources` (3): on ordered classes, taking from both neighbours is an ordinary confusion.
    - `peer` (.5): log-odds of ln 2 are all that a prior may contribute; a judgement, not a measurement.

    ## Known limits
    Cannot tell an attractor from an honest tie among many classes that the inputs do not separate: it rings when one
    of them wins nearly always. Blind to attractors that are the majority class, with fewer than 4 classes, and where
    each class has a handful of samples. Takes samples for independent: too sure on frames of one track.

    ## References
    Wilson 1927; Newcombe 1998, method 10. The "28 dB black hole" (8-30 dB to 28 dB, 13-49 % of each) of a public
    modulation-recognition log.
    """
    judged = False
    for key, evaluations in run.of_kind("classes", "ids").items():
        judged |= any(_classes(evaluation) > max(sources, ratio) for evaluation in run.settled(evaluations))
        alpha = stats.spend(len(evaluations))
        look = partial(_attractors, ratio=ratio, excess=excess, least=sources, peer=peer, alpha=alpha)
        _, stretch = run.persisting(evaluations, look)
        if stretch:
            yield _finding(key, stretch, [look(evaluation)["attractors"] for evaluation in stretch[-3:]])
    if not judged:
        yield NotChecked(f"needs {SETTLED} of at least {sources + 1} classes")


def _classes(evaluation: Evaluation) -> int:
    return 0 if evaluation.confusion is None else int(np.count_nonzero(evaluation.confusion.support))


def _attractors(
    evaluation: Evaluation, *, ratio: float, excess: float, least: int, peer: float, alpha: float
) -> dict[str, list[Attractor]]:
    """The attractors of one evaluation, the most predicted first; no entry where there is none."""
    confusion = evaluation.confusion
    if confusion is None or confusion.n == 0 or confusion.predicted.max() >= _CONSTANT * confusion.n:
        return {}
    n, present = confusion.n, _classes(evaluation)
    expected = np.maximum(confusion.support / n, 1 / present)
    by_size = np.argsort(-confusion.predicted, kind="stable")[:_MOST]
    candidates = by_size[confusion.predicted[by_size] / n >= ratio * expected[by_size]]
    level = 1 - alpha / present
    found = [_attractor(confusion, int(j), float(expected[j]), least, peer, level) for j in candidates]
    strong = [a for a in found if a and a.low >= ratio * a.expected and a.interval[0] >= a.expected + excess]
    return {"attractors": strong} if strong else {}


def _attractor(
    confusion: Confusion, j: int, expected: float, least: int, peer: float, level: float
) -> Attractor | None:
    support, taken, given = confusion.support, _cells(confusion, j, into=True), _cells(confusion, j, into=False)
    often = (support >= peer * support[j]) & (taken >= 2 * expected * support) & (taken > 0)
    often[j] = False
    takes = np.flatnonzero(often)
    sources = takes[_surplus(taken[takes], support[takes], given[takes], int(support[j])) > expected]
    if len(sources) < least:
        return None
    got, of = int(taken[sources].sum()), int(support[sources].sum())
    predicted = int(confusion.predicted[j])
    low = stats.wilson(predicted, confusion.n, level)[0]
    label, band = confusion.label(j), _band(confusion, sources.tolist(), j)
    return Attractor(
        label, len(sources), band, got / of, stats.wilson(got, of, level), expected, predicted / confusion.n, low
    )


def _cells(confusion: Confusion, j: int, *, into: bool) -> Ints:
    """Samples of each class predicted as j, or of j predicted as each class, shape (K,)."""
    ours, others = (confusion.prediction, confusion.target) if into else (confusion.target, confusion.prediction)
    cells = np.zeros(confusion.classes, dtype=np.int64)
    cells[others[ours == j]] = confusion.count[ours == j]
    return cells


def _surplus(taken: Ints, support: Ints, given: Ints, own: int) -> NDArray[np.float64]:
    """Lower bound of the share that j takes of each class over what j gives back to it: two alike classes swap."""
    low, _ = stats.wilson_bounds(taken, support, 0.99)
    if not own:
        return low
    _, high = stats.wilson_bounds(given, np.full(given.shape, own), 0.99)
    takes, gives = taken / support, given / own
    difference: NDArray[np.float64] = takes - gives - np.hypot(takes - low, high - gives)
    return difference


def _finding(key: str, stretch: list[Evaluation], judged: list[list[Attractor]]) -> Finding:
    now = judged[-1][:3]
    past = dict.fromkeys(a.label for found in judged for a in found if a.label not in {b.label for b in judged[-1]})
    turns = f"; before it, {', '.join(past)} did" if past else ""
    return Finding(
        f"{key}: {'; '.join(_said(a) for a in now)}{turns}; {since(stretch)}",
        subject=key,
        step=stretch[0].step,
        evidence=tuple(_evidence(key, stretch[-1].step, a) for a in now),
        remedies=(
            Remedy("Score one batch with batch and with running statistics: lagging ones make one class win", True),
            Remedy("Check that each loss term sends a gradient to this head (a distance from argmax sends none)", True),
            Remedy("Anneal the learning rate before judging, or average the weights"),
        ),
        severity="note" if len(judged) < 3 else None,
    )


def _said(a: Attractor) -> str:
    return (
        f"{a.label} receives {100 * a.received:.0f} % of the samples of {a.sources} other classes "
        f"({a.band} -> {a.label}; expected {100 * a.expected:.2g} %)"
    )


def _evidence(key: str, step: int, a: Attractor) -> Evidence:
    text = (
        f"share of the samples of {a.sources} other classes predicted as {a.label}, "
        f"which is {100 * a.predicted:.3g} % of all predictions"
    )
    return Evidence(f"evaluation:{key}", a.received, step, limit=a.expected, interval=a.interval, text=text)


def _band(confusion: Confusion, sources: list[int], target: int) -> str:
    """The source classes in words: a range where the labels are ordered numbers and few are missing between."""
    values = _ordered(confusion)
    if values:
        low, high = min(sources, key=values.__getitem__), max(sources, key=values.__getitem__)
        inside = [i for i, v in enumerate(values) if values[low] <= v <= values[high] and i != target]
        if len(sources) >= 0.8 * len(inside):
            return f"{values[low]:g}{'-' if values[low] >= 0 else ' to '}{confusion.label(high)}"
    named = ", ".join(confusion.label(i) for i in sources[:4])
    return named + (f" and {len(sources) - 4} more" if len(sources) > 4 else "")


def _ordered(confusion: Confusion) -> list[float]:
    """The numbers in the labels when all are numbers of one unit, else nothing."""
    found = [match for label in confusion.labels if (match := _NUMBER.fullmatch(label))]
    ordered = len(found) == confusion.classes and len({match[2] for match in found}) == 1
    return [float(match[1]) for match in found] if ordered else []

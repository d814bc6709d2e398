"""PRD001 class-attractor."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from tocsin import stats
from tocsin.findings import SETTLED, Evidence, Finding, NotChecked, Remedy, rule, since
from tocsin.run import Confusion, Evaluation, Floats, Ints, Run, Window


@dataclass(frozen=True)
class Attractor:
    """A class that swallows others, by its estimates.

    Attributes:
        label: The class.
        sources: How many classes it takes from, ``band`` in words.
        received: Share of their samples that it receives, ``interval`` around it.
        expected: The share that an uninformed healthy classifier would send there.
        predicted: Its share of all predictions.
        proven: Whether the samples of one evaluation are enough to say so.
    """

    label: str
    sources: int
    band: str
    received: float
    interval: tuple[float, float]
    expected: float
    predicted: float
    proven: bool


@dataclass(frozen=True)
class Limits:
    """The rule's options."""

    ratio: float
    excess: float
    sources: int
    peer: float


Look = Callable[[Window], list[Attractor]]

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
    Judges settled predictions only: the last 3 evaluations of a task once the evaluation loss no longer falls (its 95 %
    trend interval contains 0) or the run is over. With C_ij the samples of class i predicted as j, n_i those of class
    i, n all, each the mean over these evaluations, pi_j = n_j / n and K the classes present, the expected share is e_j
    = max(pi_j, 1/K): a healthy classifier follows the prior, or the uniform one where classes are weighted, and its
    errors do no more. Class j is an attractor when

    - it is predicted too often: the lower bound of sum_i C_ij / n is at least `ratio` e_j;
    - from many classes: at least `sources` other classes i have C_ij / n_i >= 2 e_j and C_ij / n_i - C_ji / n_j > e_j:
      alike classes are confused both ways. Only classes with n_i >= `peer` n_j count: a prior explains why a rare
      class falls to a frequent one. Over these S source classes together the 99 % interval (Newcombe) of
      sum C_ij / sum n_i - sum C_ji / (S n_j) lies above e_j, too;
    - and much: the lower bound of sum C_ij / sum n_i over them is at least e_j + `excess`; or it lies above e_j, and
      the predictions would be better under another name: of the samples called j, more are of some other class than
      of j, beyond 99 % (binomial). A model of the best accuracy never does that.

    The shares are pooled, their bounds are not: they take the n of *one* evaluation. A fixed validation set scored
    three times is one sample, and the record cannot tell it from three sets; where they do differ this is too cautious.
    The bounds are Wilson's at level alpha_k / K, alpha_k = 6 (.05) / (pi^2 k^2) for the k-th evaluation, so that
    sampling noise alone makes a false alarm in at most 5 % of runs, however many classes and looks. Once proven, the
    finding stands while the shares themselves, without their bounds, still say so and the last evaluation's own 99 %
    interval does not exclude `ratio`. A classifier that gives one class for everything is PRD002, not an attractor.
    Several attractors of a task make one finding; attractors that take turns count when each of the evaluations proves
    one by itself. With fewer than 3 evaluations it is a note.

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
    Cannot tell an attractor from an honest tie among many classes that the inputs do not separate: it rings when one of
    them wins nearly always. Blind to attractors that are the majority class, with fewer than 4 classes, and where each
    class has a handful of samples. Takes samples for independent: too sure on frames of one track. A network that has
    not begun to learn prefers some class, too: a loss that is flat from the start (a long warm-up, noisy evaluations)
    makes it ring until it learns; what is left then is a note.

    ## References
    Wilson 1927; Newcombe 1998, method 10. The "28 dB black hole" (8-30 dB to 28 dB, 13-49 % of each) of a public
    modulation-recognition log.
    """
    judged, limits = False, Limits(ratio, excess, sources, peer)
    for key, evaluations in run.of_kind("classes", "ids").items():
        judged |= any(_classes(evaluation) > max(sources, ratio) for evaluation in run.settled(evaluations))
        look = cache(partial(_attractors, limits=limits, ordinal={id(e): k for k, e in enumerate(evaluations, 1)}))
        _, stretch = run.persisting(evaluations, partial(_proof, look=look), partial(_effect, look=look))
        if stretch:
            yield _finding(key, stretch, tuple(run.settled(evaluations)) or tuple(evaluations[-3:]), look)
    if not judged:
        yield NotChecked(f"needs {SETTLED} of at least {sources + 1} classes")


def _classes(evaluation: Evaluation) -> int:
    return 0 if evaluation.confusion is None else int(np.count_nonzero(evaluation.confusion.support))


def _proof(window: Window, look: Look) -> dict[str, bool]:
    """Whether the window proves an attractor: pooled, or each evaluation its own (they take turns)."""
    pooled = any(a.proven for a in look(window))
    turns = pooled or all(any(a.proven for a in look((evaluation,))) for evaluation in window)
    return {"attractors": True} if turns else {}


def _effect(window: Window, look: Look) -> dict[str, bool]:
    """Whether there is an attractor by the estimates, pooled or in the last evaluation."""
    return {"attractors": True} if look(window) or look(window[-1:]) else {}


def _pooled(window: Window) -> tuple[Confusion | None, int]:
    """The sum of the last confusions of one layout, and of how many."""
    last = window[-1].confusion
    if last is None:
        return None, 0
    found = [e.confusion for e in window if e.confusion is not None and e.n]
    alike = [c for c in found if c.classes == last.classes and c.labels == last.labels]
    cells = np.concatenate([c.target * c.classes + c.prediction for c in alike])
    cell, place = np.unique(cells, return_inverse=True)
    count = np.bincount(place, weights=np.concatenate([c.count for c in alike])).astype(np.int64)
    return Confusion(last.classes, cell // last.classes, cell % last.classes, count, last.labels), len(alike)


def _attractors(window: Window, *, limits: Limits, ordinal: Mapping[int, int]) -> list[Attractor]:
    """The attractors of a window by its estimates, the most predicted first."""
    pooled, times = _pooled(window)
    last = window[-1].confusion
    if pooled is None or last is None or pooled.n == 0:
        return []
    present = int(np.count_nonzero(pooled.support))
    expected = np.maximum(pooled.support / pooled.n, 1 / present)
    by_size = np.argsort(-pooled.predicted, kind="stable")[:_MOST]
    _, own = stats.wilson_bounds(last.predicted[by_size], np.full(by_size.size, last.n), 0.99)
    least = limits.ratio * expected[by_size]
    candidates = by_size[(pooled.predicted[by_size] / pooled.n >= least) & (own >= least)]
    level = 1 - stats.spend(ordinal[id(window[-1])]) / present
    found = (_attractor(pooled, times, int(j), float(expected[j]), limits, level) for j in candidates)
    return [attractor for attractor in found if attractor]


def _attractor(
    pooled: Confusion, times: int, j: int, expected: float, limits: Limits, level: float
) -> Attractor | None:
    support, taken, given = pooled.support, _cells(pooled, j, into=True), _cells(pooled, j, into=False)
    often = (support >= limits.peer * support[j]) & (taken >= 2 * expected * support) & (taken > 0)
    often[j] = False
    takes, own = np.flatnonzero(often), max(int(support[j]), 1)
    sources = takes[taken[takes] / support[takes] - given[takes] / own > expected]
    got, of, back = (int(cells[sources].sum()) for cells in (taken, support, given))
    misnamed = _misnamed(taken / times, j)
    if len(sources) < limits.sources or not (misnamed or got >= (expected + limits.excess) * of):
        return None
    often_low = stats.wilson(pooled.predicted[j] / times, pooled.n / times, level)[0]
    interval = stats.wilson(got / times, of / times, level)
    surplus = _surplus(got / times, of / times, back / times, int(support[j]) / times, len(sources))
    constant = pooled.predicted[j] >= _CONSTANT * pooled.n
    return Attractor(
        label=pooled.label(j),
        sources=len(sources),
        band=_band(pooled, sources.tolist(), j),
        received=got / of,
        interval=interval,
        expected=expected,
        predicted=float(pooled.predicted[j] / pooled.n),
        proven=bool(
            not constant
            and often_low >= limits.ratio * expected
            and interval[0] >= expected + (0 if misnamed else limits.excess)
            and surplus > expected
        ),
    )


def _cells(confusion: Confusion, j: int, *, into: bool) -> Ints:
    """Samples of each class predicted as j, or of j predicted as each class, shape (K,)."""
    ours, others = (confusion.prediction, confusion.target) if into else (confusion.target, confusion.prediction)
    cells = np.zeros(confusion.classes, dtype=np.int64)
    cells[others[ours == j]] = confusion.count[ours == j]
    return cells


def _misnamed(called: Floats, j: int) -> bool:
    """Whether more of the samples called j are of one other class than of j, beyond 99 %."""
    own, other = float(called[j]), float(np.delete(called, j).max())
    return stats.wilson(other, own + other, 0.99)[0] > 0.5


def _surplus(taken: float, support: float, given: float, own: float, sources: int) -> float:
    """Lower bound of the share that j takes of its sources over the mean share it gives to each of them."""
    low, _ = stats.wilson(taken, support, 0.99)
    if not own:
        return low
    _, high = stats.wilson(given, own, 0.99)
    takes, gives = taken / support, given / own / sources
    return takes - gives - math.hypot(takes - low, high / sources - gives)


def _finding(key: str, stretch: list[Evaluation], window: Window, look: Look) -> Finding:
    now = look(window) or look(window[-1:])
    alone = [look((evaluation,)) for evaluation in window]
    past = dict.fromkeys(a.label for found in alone for a in found if a.label not in {b.label for b in now})
    turns = f"; before it, {', '.join(past)} did" if past else ""
    each = (
        since(stretch)
        if all(look((e,)) for e in stretch)
        else f"so in the mean of 3 evaluations at a time since step {stretch[0].step}"
    )
    return Finding(
        f"{key}: {'; '.join(_said(a) for a in now[:3])}{turns}; {each}",
        subject=key,
        step=stretch[0].step,
        evidence=tuple(_evidence(key, stretch[-1].step, a) for a in now[:3]),
        remedies=(
            Remedy("Score one batch with batch and with running statistics: lagging ones make one class win", True),
            Remedy("Check that each loss term sends a gradient to this head (a distance from argmax sends none)", True),
            Remedy("Anneal the learning rate before judging, or average the weights"),
        ),
        severity="note" if len(window) < 3 else None,
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

"""CMP003 within-noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tocsin import claims, siblings, stats
from tocsin.claims import Said
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run
from tocsin.siblings import Score

_POWER = 2.8  # z of a two-sided 5 % test plus z of 80 % power


@rule("CMP003", needs=(), severity="warning", scope="runs", when="end")
def within_noise(runs: Sequence[Run], *, confidence: float = 0.95) -> Iterator[Finding | NotChecked]:
    """A difference between two runs is called a result though it is smaller than its noise.

    ## What it does
    Where the note of one run compares it with another by name, takes d = best score of the one - best score of the
    other, of the first metric that both recorded, and asks two noises:

    - *evaluation*: the interval of d by the number of samples (Newcombe's for an accuracy; normal for R2, MSE, RMSE and
      MAE, as for independent normal errors);
    - *seeds*: t s sqrt(2), with s the standard deviation between runs that differ in their seed alone.

    Rings a warning where one of the intervals contains 0, and says how many seeds an arm would need to tell d from 0
    with 80 % power: 2 (2.8 s / d)^2, with s of the seeds, or at least the error of one evaluation.

    Without a comparing note it looks at runs of one `sweep`, `study` or `group`: a note where the best and the next
    best, with other settings, are that close.

    ## Why is this bad?
    The next choices are built on it. The same two settings, trained again, change places half of the time.

    ## Example
    ```python
    def run(name, score, **config):
        return Run.of(name, series={"val/accuracy": [score]}, config={"val_samples": 4000, **config})
    runs = [
        run("half", 0.463, alpha=0.5, notes="alpha 0.5 is better than 1.0 (see full)"),
        run("full", 0.459, alpha=1.0),
    ]
    ```
    Use instead:
    ```python
    def run(name, score, **config):
        return Run.of(name, series={"val/accuracy": [score]}, config={"val_samples": 4000, **config})
    runs = [
        run("half", 0.563, alpha=0.5, notes="alpha 0.5 is better than 1.0 (see full)"),
        run("full", 0.459, alpha=1.0),
    ]
    ```

    ## Fix
    - **safe** Say that the two cannot be told apart, with the interval.
    - **safe** Train both with more seeds and compare means; score them on the same samples and compare in pairs.

    ## Options
    - `confidence` = .95: of the intervals, as customary.

    ## Known limits
    Runs scored on the same samples differ by less than their two intervals say: a paired test can see more, from the
    predictions. The best of many evaluations is taken for one value, and its luck is not taken off. R2 and errors of
    heavy tails have wider intervals than normal ones. Without a number of samples and without repeated seeds nothing
    is judged. For thinned curves the best value is that of the points at hand.

    ## References
    Newcombe 1998 (method 10); Bouthillier et al. 2021, Accounting for variance in machine learning benchmarks.
    """
    pairs = list(_pairs(runs))
    spread = cache(lambda metric: siblings.spread_of_seeds(runs, metric))
    judged = [close for pair in pairs if (close := _judge(*pair, spread, confidence)) is not None]
    if not judged:
        yield NotChecked(
            "needs runs of one sweep, study or group, or notes that compare them, with one score and its number of "
            "samples (val_samples) or repeated seeds"
        )
    yield from (_finding(close) for close in judged if close.noises)


def _pairs(runs: Sequence[Run]) -> Iterator[tuple[Run, Run, Said | None]]:
    told = claims.comparisons(runs)
    for comparison in told:
        yield from ((runs[comparison.by], runs[k], comparison.said) for k in comparison.others)
    noted = {frozenset((c.by, k)) for c in told for k in c.others}
    for places in siblings.studies(runs):
        first = _ranked([runs[k] for k in places])
        if len(first) == 2 and frozenset(k for k in places if runs[k] in first) not in noted:
            yield first[0], first[1], None


def _ranked(runs: Sequence[Run]) -> list[Run]:
    """The best run and the next best whose settings are others."""
    for metric in siblings.shared_metrics(runs)[:1]:
        scored = [(siblings.way(metric) * s.value, r) for r in runs if (s := siblings.score(r, metric)) is not None]
        order = [run for _, run in sorted(scored, key=lambda pair: -pair[0])]
        other = next((run for run in order[1:] if siblings.factors([order[0], run])), None)
        return [order[0], other] if other is not None else []
    return []


Spread = Callable[[str], tuple[float, int]]


@dataclass(frozen=True)
class _Close:
    """Two runs, their scores, the noises that cover the difference, and the spread of one run."""

    mine: Run
    other: Run
    said: Said | None
    a: Score
    b: Score
    noises: tuple[str, ...]
    interval: tuple[float, float]
    spread: float
    of_seeds: bool
    confidence: float


def _judge(mine: Run, other: Run, said: Said | None, seeds: Spread, confidence: float) -> _Close | None:
    """The comparison of two runs; None where no noise of it is known or no score is shared."""
    for metric in siblings.shared_metrics([mine, other]):
        a, b = siblings.score(mine, metric), siblings.score(other, metric)
        if a is None or b is None:
            continue
        sampled = siblings.interval_of_difference(a, b, confidence)
        spread, freedom = seeds(metric)
        if sampled is None and not freedom:
            continue
        intervals = {} if sampled is None else {"evaluation": sampled}
        if freedom:
            half = stats.t_of(confidence, freedom) * spread * math.sqrt(2)
            intervals["seeds"] = (a.fraction - b.fraction - half, a.fraction - b.fraction + half)
        noises = tuple(name for name, (low, high) in intervals.items() if low <= 0 <= high)
        widest = max((intervals[n] for n in noises or intervals), key=lambda pair: pair[1] - pair[0])
        error = spread if freedom else float(np.hypot(a.error, b.error)) / math.sqrt(2)
        return _Close(mine, other, said, a, b, noises, widest, error, bool(freedom), confidence)
    return None


def _finding(close: _Close) -> Finding:
    a, b = close.a, close.b
    d = a.fraction - b.fraction
    needed = f"{_needed(close)} seeds an arm would settle a difference of this size" if d else "they are equal"
    about = f' ("{close.said.short}")' if close.said is not None else ""
    percent = 100 if a.value != a.fraction else 1
    low, high = (percent * end for end in close.interval)
    noise = " and ".join(_NOISES[name] for name in close.noises)
    return Finding(
        f"{close.mine.name} and {close.other.name} differ by {a.value - b.value:+.3g} in {a.metric} "
        f"({a.value:.4g} against {b.value:.4g}){about}, within {noise} ({close.confidence:.0%} "
        f"[{low:.3g}, {high:.3g}]); {needed}",
        subject=f"{close.mine.name} / {close.other.name}",
        severity=None if close.said is not None else "note",
        evidence=(
            Evidence(a.metric, a.value, a.step, b.value, close.interval, "interval: of the difference, as a fraction"),
            *([close.said.cited("the comparison")] if close.said is not None else []),
        ),
        remedies=(
            Remedy("Do not rank the two runs by this score", safe=True),
            Remedy("Repeat both settings with other seeds and compare the means", safe=True),
        ),
    )


_NOISES = {"evaluation": "the noise of one evaluation", "seeds": "the spread between seeds"}


def _needed(close: _Close) -> str:
    d = abs(close.a.fraction - close.b.fraction)
    seeds = max(2, math.ceil(2 * (_POWER * close.spread / d) ** 2))
    few = str(seeds) if seeds <= 1000 else "over 1000"
    return few if close.of_seeds else f"at least {few}"

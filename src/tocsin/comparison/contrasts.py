"""One arm against the first: the difference, its noise, what differs besides, and one word for what can be said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tocsin import questions, siblings, stats
from tocsin.comparison.arms import Arm
from tocsin.run import Run
from tocsin.siblings import Score

Verdict = Literal[
    "different-question", "no-score", "within-noise", "confounded", "one-seed", "attributed", "unexplained", "unsized"
]
Basis = Literal["seeds", "samples"]
Pairs = dict[str, tuple[str, str]]
Interval = tuple[float, float]
_FEW = 4  # seeds: fewer hardly know their own spread


@dataclass(frozen=True)
class Contrast:
    """One arm against the first.

    Attributes:
        arm: Place of the arm.
        difference: Mean score of the arm - mean score of the first, in the unit of the metric; NaN where unknown.
        interval: Its interval, at ``Comparison.each``; None where no noise is known.
        basis: What the interval is made of: repeated seeds, or the samples of one evaluation each.
        settings: The settings that differ, with the value of the first and of this arm; seeds, paths and the like out.
        untold: Settings that one of the two alone tells, with both values ("none" where it is not told): whether they
            differ is not known.
        questions: Those that make the two answer different questions.
        beyond_chance: Scores corrected for chance, in words, where the questions have different numbers of classes.
        verdict: One word for what can be said.
        sentence: The same as a sentence with its numbers.
    """

    arm: int
    difference: float
    interval: Interval | None
    basis: Basis | None
    settings: Pairs
    untold: Pairs
    questions: Pairs
    beyond_chance: tuple[str, ...]
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Side:
    """An arm with the first of its runs, as read, and its scores."""

    run: Run
    arm: Arm
    scores: tuple[Score, ...]

    def sized_against(self, first: Side) -> bool:
        """Whether the two have scores that answer one question."""
        return bool(self.scores and first.scores) and not questions.apart(first.run, self.run)


@dataclass(frozen=True)
class Noise:
    """What all intervals are made with.

    Attributes:
        seeds: Spread of one run between seeds, as a fraction, with its degrees of freedom.
        each: Confidence of one interval.
        together: Confidence of all of them.
        count: How many there are.
    """

    seeds: tuple[float, int]
    each: float
    together: float
    count: int


def contrast(k: int, first: Side, other: Side, noise: Noise) -> Contrast:
    """Arm ``k`` against the first, its sentence left open."""
    apart = questions.apart(first.run, other.run)
    asked = {key.partition(":")[2]: pair for key, pair in apart.items()}
    settings = _without(_folded(siblings.factors([first.run, other.run])), asked)
    untold = _without(_folded(siblings.told_by_one([first.run, other.run])), {**asked, **settings})
    difference = other.arm.mean - first.arm.mean
    interval, basis = interval_of(first.scores, other.scores, noise)
    verdict = _verdict(asked, settings, difference, interval, basis)
    beyond = tuple(questions.beyond_chance(first.run, other.run, apart))
    return Contrast(k, difference, interval, basis, settings, untold, asked, beyond, verdict, "")


def _without(pairs: Pairs, others: Pairs) -> Pairs:
    return {key: pair for key, pair in pairs.items() if key not in others}


def _folded(differ: dict[str, list[str]]) -> Pairs:
    """Settings that differ, one of those that end in the same word and have the same values (a copy in a manifest)."""
    kept: dict[tuple[str, ...], str] = {}
    for key, values in differ.items():
        kept.setdefault((key.rpartition(".")[2], *values), key)
    return {key: (differ[key][0], differ[key][1]) for key in kept.values()}


def interval_of(first: Sequence[Score], other: Sequence[Score], noise: Noise) -> tuple[Interval | None, Basis | None]:
    """Interval of the difference of means, in the unit of the metric.

    Where one of the two has fewer than four seeds and further arms know the spread between seeds, too, theirs is
    pooled (Student's interval: arms are taken to spread alike), for two or three seeds hardly know it alone.
    """
    if not first or not other:
        return None, None
    a, b = (np.array([s.value for s in scores]) for scores in (first, other))
    scale = first[0].value / first[0].fraction if first[0].fraction else 1.0
    spread, freedom = noise.seeds
    fewest = min(a.size, b.size)
    if fewest >= _FEW or (fewest >= 2 and freedom <= a.size + b.size - 2):
        return welch(a, b, noise.each), "seeds"
    if freedom:
        half = stats.t_of(noise.each, freedom) * spread * math.sqrt(1 / a.size + 1 / b.size) * scale
        return _around(b.mean() - a.mean(), half), "seeds"
    sampled = siblings.interval_of_difference(other[0], first[0], noise.each)
    return (None, None) if sampled is None else ((sampled[0] * scale, sampled[1] * scale), "samples")


def welch(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], confidence: float) -> Interval:
    """Welch's interval of mean(b) - mean(a) (Welch 1947), by the degrees of freedom of Satterthwaite."""
    va, vb = a.var(ddof=1) / a.size, b.var(ddof=1) / b.size
    if va + vb == 0:
        return _around(b.mean() - a.mean(), 0.0)
    freedom = (va + vb) ** 2 / (va**2 / (a.size - 1) + vb**2 / (b.size - 1))
    return _around(b.mean() - a.mean(), stats.t_of(confidence, freedom) * math.sqrt(va + vb))


def _around(middle: float, half: float) -> Interval:
    return float(middle - half), float(middle + half)


def _verdict(
    asked: Pairs, settings: Pairs, difference: float, interval: Interval | None, basis: Basis | None
) -> Verdict:
    if asked:
        return "different-question"
    if math.isnan(difference):
        return "no-score"
    if interval is None:
        return "confounded" if len(settings) > 1 else "unsized"
    if interval[0] <= 0 <= interval[1]:
        return "within-noise"
    if len(settings) > 1:
        return "confounded"
    if not settings:
        return "unexplained"
    return "attributed" if basis == "seeds" else "one-seed"

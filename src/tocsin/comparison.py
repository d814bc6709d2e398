"""Runs beside each other: which difference their scores show, and whether any setting can be named as its cause.

Runs with the same settings but for their seed are one **arm**. Each arm is held against the first: with two seeds or
more on both sides by Welch's interval of the difference of means, else by the samples of the two evaluations, widened
by the spread between seeds where some arm has it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from tocsin import questions, siblings, stats
from tocsin.run import Run
from tocsin.siblings import Score

Verdict = Literal["different-question", "no-score", "within-noise", "confounded", "one-seed", "attributed", "unsized"]
Basis = Literal["seeds", "samples"]


@dataclass(frozen=True)
class Arm:
    """Runs that differ in their seed alone.

    Attributes:
        runs: Their names, in the order given.
        scores: Their best recorded values of the metric, as recorded; runs without one are left out.
    """

    runs: tuple[str, ...]
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of the scores, NaN where there is none."""
        return float(np.mean(self.scores)) if self.scores else math.nan


@dataclass(frozen=True)
class Contrast:
    """One arm against the first.

    Attributes:
        arm: Place of the arm.
        difference: Mean score of the arm - mean score of the first, in the unit of the metric; NaN where unknown.
        interval: Its interval at ``confidence``; None where no noise is known.
        basis: What the interval is made of: repeated seeds, or the samples of one evaluation each.
        settings: The settings that differ, with the value of the first and of this arm; seeds, paths and the like out.
        questions: Those that make the two answer different questions.
        beyond_chance: Scores corrected for chance, in words, where the questions have different numbers of classes.
        verdict: One word for what can be said.
        sentence: The same as a sentence with its numbers.
    """

    arm: int
    difference: float
    interval: tuple[float, float] | None
    basis: Basis | None
    settings: dict[str, tuple[str, str]]
    questions: dict[str, tuple[str, str]]
    beyond_chance: tuple[str, ...]
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Comparison:
    """All arms, and each against the first.

    Attributes:
        metric: The score that is compared; None where the runs share none.
        metrics: The scores that all runs have, the best suited first.
    """

    metric: str | None
    metrics: tuple[str, ...]
    confidence: float
    arms: tuple[Arm, ...]
    contrasts: tuple[Contrast, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def compare(runs: Sequence[Run], *, metric: str | None = None, confidence: float = 0.95) -> Comparison:
    """Hold runs against the first of them.

    Args:
        runs: Two or more; the first says what the others are held against.
        metric: The score; by default the first one that all have, those of whole evaluations before those of tasks.
        confidence: Of the intervals.

    Raises:
        ValueError: Fewer than two runs, a metric that some run lacks, or a confidence outside (0, 1).
    """
    if len(runs) < 2:
        raise ValueError(f"expected at least two runs to compare, got {len(runs)}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a number between 0 and 1, got {confidence}")
    shared = siblings.shared_metrics(runs)
    if metric is not None and metric not in shared:
        raise ValueError(f"no score {metric!r} in all of the runs; they share {', '.join(shared) or 'none'}")
    chosen = metric or next(iter(shared), None)
    groups = _arms(runs)
    scores = [[s for run in group if chosen and (s := siblings.score(run, chosen)) is not None] for group in groups]
    arms = [
        Arm(tuple(run.name for run in group), tuple(s.value for s in found))
        for group, found in zip(groups, scores, strict=True)
    ]
    seeds = siblings.spread_of_seeds(runs, chosen) if chosen else (math.nan, 0)
    contrasts = [_contrast(k, groups, scores, arms, _Noise(seeds, confidence), chosen) for k in range(1, len(groups))]
    return Comparison(chosen, tuple(shared), confidence, tuple(arms), tuple(contrasts))


def _arms(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs by equal settings, in order of appearance; equal settings *and* seed are repetitions and stay together."""
    groups: list[list[Run]] = []
    for run in runs:
        alike = next((g for g in groups if not siblings.factors([g[0], run]) and not questions.apart(g[0], run)), None)
        if alike is None:
            groups.append([run])
        else:
            alike.append(run)
    if len(groups) == 1:  # nothing but seeds differ: each run is an arm of its own
        return [[run] for run in runs]
    return groups


@dataclass(frozen=True)
class _Noise:
    """Spread of one run between seeds with its degrees of freedom, and the confidence asked for."""

    seeds: tuple[float, int]
    confidence: float


def _contrast(
    k: int, groups: list[list[Run]], scores: list[list[Score]], arms: list[Arm], noise: _Noise, metric: str | None
) -> Contrast:
    first, other = groups[0][0], groups[k][0]
    asked = {key.partition(":")[2]: pair for key, pair in questions.apart(first, other).items()}
    settings = {key: pair for key, pair in _folded(siblings.factors([first, other])).items() if key not in asked}
    difference = arms[k].mean - arms[0].mean
    interval, basis = _interval(scores[0], scores[k], noise)
    verdict = _verdict(asked, settings, difference, interval, basis)
    beyond = tuple(questions.beyond_chance(first, other, questions.apart(first, other)))
    said = _sentence(verdict, arms[0], arms[k], metric, interval, basis, settings, asked, noise.confidence)
    return Contrast(k, difference, interval, basis, settings, asked, beyond, verdict, said)


def _folded(differ: dict[str, list[str]]) -> dict[str, tuple[str, str]]:
    """Settings that differ, one of those that end in the same word and have the same values (a copy in a manifest)."""
    kept: dict[tuple[str, ...], str] = {}
    for key, values in differ.items():
        kept.setdefault((key.rpartition(".")[2], *values), key)
    return {key: (differ[key][0], differ[key][1]) for key in kept.values()}


def _interval(
    first: Sequence[Score], other: Sequence[Score], noise: _Noise
) -> tuple[tuple[float, float] | None, Basis | None]:
    """Interval of the difference of means, in the unit of the metric."""
    if not first or not other:
        return None, None
    a, b = (np.array([s.value for s in scores]) for scores in (first, other))
    if min(a.size, b.size) >= 2:
        return _welch(a, b, noise.confidence), "seeds"
    scale = first[0].value / first[0].fraction if first[0].fraction else 1.0
    spread, freedom = noise.seeds
    if freedom:
        half = stats.t_of(noise.confidence, freedom) * spread * math.sqrt(1 / a.size + 1 / b.size) * scale
        return _around(b.mean() - a.mean(), half), "seeds"
    sampled = siblings.interval_of_difference(other[0], first[0], noise.confidence)
    return (None, None) if sampled is None else ((sampled[0] * scale, sampled[1] * scale), "samples")


def _welch(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], confidence: float) -> tuple[float, float]:
    """Welch's interval of mean(b) - mean(a) (Welch 1947), by the degrees of freedom of Satterthwaite."""
    va, vb = a.var(ddof=1) / a.size, b.var(ddof=1) / b.size
    if va + vb == 0:
        return _around(b.mean() - a.mean(), 0.0)
    freedom = (va + vb) ** 2 / (va**2 / (a.size - 1) + vb**2 / (b.size - 1))
    return _around(b.mean() - a.mean(), stats.t_of(confidence, freedom) * math.sqrt(va + vb))


def _around(middle: float, half: float) -> tuple[float, float]:
    return float(middle - half), float(middle + half)


def _verdict(
    asked: dict[str, Any], settings: dict[str, Any], difference: float, interval: Any, basis: Basis | None
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
    return "attributed" if basis == "seeds" and settings else "one-seed"


_NOISES = {"seeds": "between seeds", "samples": "of the evaluation's samples alone"}


def _sentence(
    verdict: Verdict, first: Arm, other: Arm, metric: str | None, interval: Any, basis: Basis | None,
    settings: dict[str, tuple[str, str]], asked: dict[str, tuple[str, str]], confidence: float,
) -> str:  # fmt: skip
    """What can be said of two arms, with its numbers."""
    names = f"{_name(other)} against {_name(first)}"
    if verdict == "different-question":
        return (
            f"{names}: they answer different questions ({_listed(asked)}): raw scores cannot be set beside each other"
        )
    if verdict == "no-score":
        return f"{names}: no score that both recorded"
    sized = (
        f" ({confidence:.0%} [{interval[0]:+.3g}, {interval[1]:+.3g}], {_NOISES[basis or 'samples']})"
        if interval
        else ""
    )
    moved = f"{names}: {metric} {other.mean - first.mean:+.3g}{sized}"
    return {
        "within-noise": f"{moved}: within noise; they cannot be ranked by it",
        "confounded": f"{moved}, but {len(settings)} settings differ ({_listed(settings)}): none of them can be named "
        "as the cause",
        "one-seed": f"{moved}: beyond the noise of the evaluation, but one seed an arm: repeat both before a cause is "
        "named",
        "attributed": f"{moved}: beyond noise, and {next(iter(settings), '')} is the only setting that differs",
        "unsized": f"{moved}: no noise is known (neither samples of the evaluation nor repeated seeds)",
    }[verdict]  # fmt: skip


def _name(arm: Arm) -> str:
    return arm.runs[0] if len(arm.runs) == 1 else f"{arm.runs[0]} and {len(arm.runs) - 1} more"


def _listed(pairs: dict[str, tuple[str, str]], most: int = 6) -> str:
    shown: Iterable[str] = (f"{key}: {a} against {b}" for key, (a, b) in pairs.items())
    told = list(shown)
    return "; ".join(told[:most]) + (f"; and {len(told) - most} more" if len(told) > most else "")

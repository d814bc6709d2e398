"""All arms, and each held against the first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tocsin import siblings
from tocsin.comparison.arms import Arm, groups_of
from tocsin.comparison.contrasts import Contrast, Noise, Side, contrast
from tocsin.comparison.scores import Names, aligned, named, shared_scores
from tocsin.comparison.sentences import sentence
from tocsin.comparison.targets import Target, runs_of
from tocsin.run import Run
from tocsin.siblings import Score


@dataclass(frozen=True)
class Comparison:
    """All arms, and each against the first.

    Attributes:
        metric: The score that is compared; None where the first run shares none with another.
        metrics: The scores that the first run shares with another, the best suited first.
        confidence: Of all intervals together: that each holds what it is to hold.
        each: Of each interval, Bonferroni's: 1 - (1 - ``confidence``) / (how many there are).
        arms: Runs by their settings, in the order given.
        contrasts: Each arm but the first against the first.
    """

    metric: str | None
    metrics: tuple[str, ...]
    confidence: float
    each: float
    arms: tuple[Arm, ...]
    contrasts: tuple[Contrast, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def compare(targets: Target | Sequence[Target], *, metric: str | None = None, confidence: float = 0.95) -> Comparison:
    """Hold runs against the first of them: which difference is beyond noise, and which setting may be its cause.

    Args:
        targets: Runs, paths that ``read`` takes, or a list of both; at least two runs. The first says what the others
            are held against.
        metric: The score; by default the first of those that most runs have, whole evaluations before tasks. Any
            series that can be ranked is taken, in the spelling of any of the runs.
        confidence: Of all intervals together.

    Raises:
        ReadError: Nothing readable at a path.
        ValueError: Fewer than two runs, a metric that only one run has, or a confidence outside (0, 1).
    """
    runs = runs_of(targets)
    if len(runs) < 2:
        raise ValueError(f"expected at least two runs to compare, each counted once, got {len(runs)}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a number between 0 and 1, got {confidence}")
    shared = shared_scores(runs)
    chosen, names = named(metric, runs, shared) if metric else next(iter(shared.items()), (None, ()))
    sides, spread = _measured(runs, chosen, names)
    sized = sum(side.sized_against(sides[0]) for side in sides[1:])
    noise = Noise(spread, 1 - (1 - confidence) / max(sized, 1), confidence, sized)
    arms = tuple(side.arm for side in sides)
    bare = [contrast(k, sides[0], side, noise) for k, side in enumerate(sides[1:], 1)]
    found = tuple(replace(c, sentence=sentence(c, arms[0], arms[c.arm], chosen, noise)) for c in bare)
    return Comparison(chosen, tuple(shared), confidence, noise.each, arms, found)


def _measured(runs: Sequence[Run], metric: str | None, names: Names) -> tuple[list[Side], tuple[float, int]]:
    """The arms with their scores, and the spread between seeds with its degrees of freedom."""
    if metric is None:
        return [Side(group[0], _arm(group, ()), ()) for group in groups_of(runs)], (math.nan, 0)
    like = aligned(runs, metric, names)
    at = {id(run): siblings.score(other, metric) for run, other in zip(runs, like, strict=True)}
    sides = []
    for group in groups_of(runs):
        scores = tuple(s for run in group if (s := at[id(run)]) is not None)
        sides.append(Side(group[0], _arm(group, scores), scores))
    return sides, siblings.spread_of_seeds(like, metric)


def _arm(group: Sequence[Run], scores: Sequence[Score]) -> Arm:
    return Arm(tuple(run.name for run in group), tuple(s.value for s in scores), tuple(s.step for s in scores))

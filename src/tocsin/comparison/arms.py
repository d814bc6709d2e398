"""Arms: runs that differ in their seed alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tocsin import questions, siblings
from tocsin.run import Run


@dataclass(frozen=True)
class Arm:
    """Runs that differ in their seed alone.

    Attributes:
        runs: Their names, in the order given.
        scores: Their best recorded values of the metric; runs without one are left out.
        steps: Where these stand.
    """

    runs: tuple[str, ...]
    scores: tuple[float, ...]
    steps: tuple[int, ...] = ()

    @property
    def mean(self) -> float:
        """Mean of the scores, NaN where there is none."""
        return float(np.mean(self.scores)) if self.scores else math.nan


def groups_of(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs by all that they tell, their seeds aside, in order of appearance; one that tells nothing stays alone.

    Equal settings *and* seed are repetitions and stay together. Where nothing but seeds differ, each run is a group.
    """
    found: dict[object, list[Run]] = {}
    for k, run in enumerate(runs):
        told = siblings.tells(run)
        found.setdefault((told, questions.asks(run)) if told else k, []).append(run)
    groups = [*found.values()]
    return groups if len(groups) > 1 else [[run] for run in runs]

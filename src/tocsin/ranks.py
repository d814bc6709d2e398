"""The parts that the processes of one training wrote of its record, compared: parameters, batches, steps.

A series ``rank<r>/<name>`` is that of process r; rank 0's have no prefix.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tocsin.run import Run, Series

Part = Mapping[str, Series]
BITS, PROJECTION, BATCHES = "param/bits/", "param/projection/", "input/fingerprint/train"
COUNTED = ("train/loss", "count/optimizer", "count/backward")
F_8_8 = 4.4333  # 97.5 % quantile of F with 8 and 8 degrees of freedom; its inverse is the 2.5 % one
_PROJECTIONS = 8
_OF_RANK = re.compile(r"rank([1-9][0-9]{0,5})/(.+)", re.DOTALL)


def parts(run: Run) -> dict[int, Part]:
    """The series of each rank, by their names without the rank; rank 0 is always there."""
    found: dict[int, dict[str, Series]] = {0: {}}
    for name, series in run.series.items():
        if len(series):
            match = _OF_RANK.fullmatch(name)
            rank, own = (int(match[1]), match[2]) if match else (0, name)
            found.setdefault(rank, {})[own] = series
    return dict(sorted(found.items()))


def named(rank: int, name: str) -> str:
    """The name that a series of this rank has in the run."""
    return f"rank{rank}/{name}" if rank else name


@dataclass(frozen=True)
class Apart:
    """How the parameters of one rank differ from rank 0's.

    Attributes:
        rank: The other rank.
        since: First step of those, without a break to the last compared one, at which any tensor differs.
        last: The last compared step.
        first: The first compared step.
        tensors: Names of those that differ at ``last``.
        of: How many tensors were compared there.
        distance: Estimate and 95 % interval of the distance over the norm, at ``last``; NaN where unknown, 0 where
            none of the sampled entries differs.
    """

    rank: int
    since: int
    last: int
    first: int
    tensors: tuple[str, ...]
    of: int
    distance: tuple[float, float, float]


class Fingerprints:
    """The bit sums of one rank by step and tensor, and its projections."""

    def __init__(self, part: Part) -> None:
        self.bits = _by_step({n.removeprefix(BITS): s for n, s in part.items() if n.startswith(BITS)})
        self.projections = _by_step({n: s for n, s in part.items() if n.startswith(PROJECTION)})

    def differing(self, other: Fingerprints, step: int) -> list[str]:
        """Tensors of ``step`` whose bits differ; none where neither rank has finite parameters."""
        if not (self._finite(step) or other._finite(step)):
            return []
        mine, theirs = self.bits[step], other.bits[step]
        return [name for name, bits in mine.items() if name in theirs and bits != theirs[name]]

    def distance(self, other: Fingerprints, step: int) -> tuple[float, float, float]:
        """Distance of two ranks' parameters over their norm: estimate, and interval by the F distribution."""
        mine, theirs = self.projections.get(step, {}), other.projections.get(step, {})
        names = sorted(mine.keys() & theirs.keys())
        a, b = (np.array([one[name] for name in names]) for one in (mine, theirs))
        size = float(np.sum(a * a + b * b)) / 2
        if len(names) != _PROJECTIONS or not 0 < size < np.inf:
            return np.nan, np.nan, np.nan
        ratio = float(np.sqrt(np.sum((a - b) ** 2) / size))
        return ratio, ratio / F_8_8**0.5, ratio * F_8_8**0.5

    def _finite(self, step: int) -> bool:
        return all(np.isfinite(v) for v in self.projections.get(step, {}).values())


def _by_step(series: Mapping[str, Series]) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for name, one in series.items():
        for step, value in zip(one.step.tolist(), one.value.tolist(), strict=True):
            found.setdefault(step, {})[name] = value
    return found


def apart(first: Fingerprints, other: Fingerprints, rank: int) -> Apart | str | None:
    """How a rank's parameters differ from the first's at the end, None where they do not, or why nobody can tell.

    Parameters that differed once and agree at the last compared step were brought together again: no difference.
    """
    steps = sorted(step for step in first.bits.keys() & other.bits.keys() if first.bits[step].keys() & other.bits[step])
    if not steps:
        return f"rank {rank} and rank 0 recorded the parameters at no common step"
    last, since = steps[-1], None
    for step in reversed(steps):
        if not first.differing(other, step):
            break
        since = step
    if since is None:
        return None
    tensors = first.differing(other, last)
    of = len(first.bits[last].keys() & other.bits[last])
    return Apart(rank, since, last, steps[0], tuple(tensors), of, first.distance(other, last))


@dataclass(frozen=True)
class Shared:
    """How many of the compared training batches of two ranks are the same.

    Attributes:
        rank: The other rank.
        same: Equal batches.
        of: Compared batches.
        step: Step of the first equal one.
        distinct: Different ones among rank 0's.
    """

    rank: int
    same: int
    of: int
    step: int
    distinct: int


def shared(first: Part, other: Part, rank: int) -> Shared:
    """The batches of two ranks held against each other, step by step, in order within a step."""
    mine, theirs = (_numbered(part[BATCHES]) if BATCHES in part else {} for part in (first, other))
    places = sorted(mine.keys() & theirs.keys())
    same = [place for place in places if mine[place] == theirs[place]]
    distinct = len({mine[place] for place in places})
    return Shared(rank, len(same), len(places), same[0][0] if same else 0, distinct)


def _numbered(series: Series) -> dict[tuple[int, int], float]:
    """Values by (step, number within the step)."""
    seen: Counter[int] = Counter()
    found = {}
    for step, value in zip(series.step.tolist(), series.value.tolist(), strict=True):
        found[step, seen[step]] = value
        seen[step] += 1
    return found


def counted(ranks: Mapping[int, Part]) -> str | None:
    """A series that every rank has at each of its steps, None where there is none."""
    return next((name for name in COUNTED if all(name in part for part in ranks.values())), None)

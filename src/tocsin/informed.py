"""Whether recorded predictions say anything about their targets: a model's, or a baseline's on the same samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin import stats
from tocsin.run import Confusion, Evaluation, Moments, Run

FEWEST = 20  # pairs in order: fewer do not show their autocorrelation
_INDEPENDENT = 10


@dataclass(frozen=True)
class Skill:
    """What one evaluation shows of its predictions' information.

    Attributes:
        value: Correlation of the best output, or accuracy beyond chance as a share of what chance leaves.
        low: Lower end of its interval.
        high: Upper end of its interval.
        p: One-sided p value of none, for the best of D outputs (times D).
    """

    value: float
    low: float
    high: float
    p: float

    def beats(self, level: float) -> bool:
        """Whether chance alone is excluded at this level."""
        return self.p <= level

    def within(self, small: float, level: float) -> bool:
        """Whether chance explains it, and the interval leaves no room for as much as ``small``."""
        return self.p > level and self.high <= small


def skill(e: Evaluation, confidence: float = 0.95) -> Skill | None:
    """The information in the predictions of one evaluation; None where too little was recorded to tell.

    Values: the larger of the p values of Fisher's z, with Bartlett's number of independent pairs, and of circular
    shifts of the recorded sample (at least 20 pairs worth 10). Classes: Cohen's kappa, the
    agreement beyond what the margins give, with its standard error under none (Fleiss, Cohen and Everitt 1969).
    """
    if e.kind == "regression":
        varied = [m for m in e.moments if m.var_target != 0]  # of a constant there is nothing to know
        outputs = [found for m in varied if (found := _of_values(m, len(varied), confidence)) is not None]
        return min(outputs, key=lambda s: (s.p, -s.value)) if outputs and len(outputs) == len(varied) else None
    if e.confusion is None or e.confusion.n < 50 or np.count_nonzero(e.confusion.support) < 2:
        return None
    return _of_classes(e.confusion, confidence)


def _of_classes(counts: Confusion, confidence: float) -> Skill | None:
    n, true, said = counts.n, counts.support / counts.n, counts.predicted / counts.n
    chance = float(true @ said)
    if chance >= 1:
        return None
    kappa = (float(counts.correct.sum()) / n - chance) / (1 - chance)
    spread = max(0.0, chance + chance**2 - float((true * said * (true + said)).sum()))
    error = math.sqrt(spread / n) / (1 - chance)
    half = stats.z_of(confidence) * error
    p = 0.5 * math.erfc(kappa / error / math.sqrt(2)) if error > 1e-12 else 1.0
    return Skill(kappa, kappa - half, kappa + half, p)


def _of_values(m: Moments, outputs: int, confidence: float) -> Skill | None:
    if m.sample_target.size < FEWEST or not m.var_target > 0:
        return None
    if not m.var_prediction > 0:
        return Skill(0.0, 0.0, 0.0, 1.0)  # a constant says nothing
    pairs = stats.paired_size(m.sample_target, m.sample_prediction)
    if pairs < _INDEPENDENT or not math.isfinite(m.r):
        return None
    shifted = stats.circular_shift_p(m.sample_target, m.sample_prediction)
    p = max(stats.correlation_p(m.r, pairs), shifted)
    low, high = stats.fisher_interval(m.r, pairs, 1 - (1 - confidence) / outputs)
    return Skill(m.r, low, high, min(1.0, outputs * p)) if math.isfinite(p) else None


def fitted_baselines(run: Run, key: str) -> dict[str, Evaluation]:
    """The last evaluation of each recorded baseline of a ``split/task``."""
    return {name: evaluations[-1] for name, evaluations in run.baselines(key).items()}


def nothing_to_learn(
    run: Run, evaluations: Sequence[Evaluation], small: float = 0.3, level: float = 0.05
) -> dict[str, Skill] | None:
    """The skills of all recorded baselines and of the model (under "") where none beats chance; None otherwise.

    Each must have been seen well enough that a skill of ``small`` is excluded. None without a recorded baseline, or
    without settled evaluations of the model.
    """
    settled = run.settled(evaluations)
    return nothing_found(run, settled[-1], small, level) if settled else None


def nothing_found(run: Run, e: Evaluation, small: float = 0.3, level: float = 0.05) -> dict[str, Skill] | None:
    """``nothing_to_learn`` by one evaluation of the model, settled or not."""
    baselines = fitted_baselines(run, e.key)
    if not baselines:
        return None
    found = {name: skill(baseline) for name, baseline in baselines.items()}
    found[""] = skill(e)
    known = {name: s for name, s in found.items() if s is not None}
    if len(known) < len(found) or not all(s.within(small, level) for s in known.values()):
        return None
    return known


def inputs(run: Run) -> dict[str, str]:
    """What the model (``model``) and recorded baselines (by name) see, as the configuration says under ``inputs``."""
    told = run.config.get("inputs")
    return {str(k): v for k, v in told.items() if isinstance(v, str)} if isinstance(told, Mapping) else {}

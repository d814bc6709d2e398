"""A model trained on n samples until it reaches a target, with what trivial answers have beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.constant_answer import shared_constant
from tocsin.prechecks.overfitting import RATES, Curve, overfitted
from tocsin.prechecks.own_copy import own_copy
from tocsin.prechecks.portions import portion, samples_in
from tocsin.prechecks.setup import Batch
from tocsin.stats import Trend, trend

_LEAST_ROUNDS = 20
_FURTHER = 5
MOST_STEPS = 100_000
_REMEDY = Remedy(
    "Look at the samples that keep a high loss: wrong labels, inputs alike but for their label, a lost part"
)


@dataclass(frozen=True)
class Aim:
    """What n samples are to be learned to.

    Attributes:
        batches: They, with how many samples each has.
        start: Mean loss before any step.
        constant: Mean loss of the best constant answer for all of them, None where there is none.
        target: Mean loss to be reached.
        asked: The target was given by the user.
    """

    batches: list[tuple[Batch, int]]
    start: float
    constant: float | None
    target: float
    asked: bool

    @property
    def samples(self) -> int:
        """How many."""
        return sum(n for _, n in self.batches)


def samples_learned(
    bench: Bench, n: int, target: float | None, seconds: float, chance: Callable[[Bench, Batch], str]
) -> Iterator[Finding | NotChecked]:
    """Whether the first ``n`` samples are learned to ``target``, else to half of what a constant answer has."""
    batches = _first(bench, n)
    if batches is None:
        yield NotChecked("n_samples: the tensors of a batch share no first dimension, so samples cannot be counted")
        return
    aim = _aim(bench, batches, target)
    if not math.isfinite(aim.start):
        yield NotChecked(f"n_samples: the first loss is {aim.start}")
        return
    found = []
    for rate in RATES:
        with bench.restored():
            of = [batch for batch, _ in batches]
            found.append(overfitted(bench, of, rate, enough=aim.target, steps=MOST_STEPS, seconds=seconds / len(RATES)))
        if _rounds(found[-1], aim)[-1] <= aim.target:
            return
    yield _judged(bench, aim, found, chance)


def _first(bench: Bench, n: int) -> list[tuple[Batch, int]] | None:
    found: list[tuple[Batch, int]] = []
    for batch in bench.setup.train:
        left, size = n - sum(k for _, k in found), samples_in(batch)
        if size is None:
            return None
        found.append((own_copy(batch), size) if size <= left else (own_copy(portion(batch, slice(0, left))), left))
        if size >= left:
            break
    return found


def _aim(bench: Bench, batches: list[tuple[Batch, int]], target: float | None) -> Aim:
    with bench.restored():
        bench.model.train()
        start = float(np.mean([float(bench.terms(batch)["total"].detach()) for batch, _ in batches]))
        constant = shared_constant(bench, batches)
    level = constant if constant is not None else start
    return Aim(batches, start, constant, level - abs(level) / 2 if target is None else target, target is not None)


def _rounds(curve: Curve, aim: Aim) -> list[float]:
    """Mean loss of each round over the samples."""
    k = len(aim.batches)
    whole = len(curve.losses) // k * k
    rounds = np.reshape(curve.losses[:whole], (-1, k)).mean(axis=1).tolist() if whole else []
    return rounds or [math.inf]


def _judged(bench: Bench, aim: Aim, curves: list[Curve], chance: Callable[[Bench, Batch], str]) -> Finding | NotChecked:
    curve = min(curves, key=lambda one: _rounds(one, aim)[-1])
    rounds = _rounds(curve, aim)
    half = rounds[len(rounds) // 2 :]
    slope = trend(np.arange(len(half)), half)
    half_of = "" if aim.asked else ", half of a constant"
    said = (
        f"{len(rounds)} rounds of Adam over {aim.samples} samples end at a loss of {rounds[-1]:.4g} (lr "
        f"{curve.rate:g}; {aim.start:.4g} at first); the target is {aim.target:.4g}{half_of}"
        f"{_beside(aim)}{chance(bench, aim.batches[0][0])}"
    )
    if len(rounds) < _LEAST_ROUNDS or _arrives(slope, rounds, aim.target):
        return NotChecked(
            f"the time was too short: {said}, and it still falls or had fewer than {_LEAST_ROUNDS} rounds"
        )
    level = aim.constant if aim.constant is not None else aim.start
    learned = rounds[-1] < level - 0.1 * abs(level)
    severity: Severity | None = "note" if learned and not aim.asked else None
    evidence = (
        Evidence("train/loss", rounds[-1], 0, aim.target, text="mean loss of the last round; the target"),
        Evidence("train/loss", slope.slope, 0, 0.0, (slope.low, slope.high), "its slope a round, second half"),
    )
    return Finding(said, subject=f"{aim.samples} samples", severity=severity, evidence=evidence, remedies=(_REMEDY,))


def _beside(aim: Aim) -> str:
    return "" if aim.constant is None else f"; one constant answer for all of them has {aim.constant:.4g}"


def _arrives(slope: Trend, rounds: list[float], target: float) -> bool:
    """Whether five times as many rounds at this slope would reach it."""
    return slope.falling and rounds[-1] + _FURTHER * len(rounds) * slope.slope <= target

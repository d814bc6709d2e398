"""Healthy watched runs whose gradients have a story: accumulated, skipped, of several losses, not yet needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpus.healthy import EPOCHS, PER, STEPS, healthy, losses, skills
from corpus.ingredients import CONFIG, assemble, classified, curve, parameters, probes, sample_steps
from tocsin.run import Event, Run, Series

AT = sample_steps(STEPS)
PLAN = {**CONFIG, "n_train": 64 * PER}


def counted(**counts: Any) -> dict[str, Series]:
    """Counters that are recorded at every call."""
    return {f"count/{kind}": Series.of("", values) for kind, values in counts.items()}


def lives(cleared: Any = 0, carried: Any = 0) -> dict[str, Series]:
    """Passes cleared and carried by the end of each call; a number is one that never changes."""
    return {
        f"count/{kind}": Series.of("", v + 0 * AT, step=AT) if isinstance(v, int) else Series.of("", v)
        for kind, v in (("cleared", cleared), ("carried", carried))
    }


def ended(epochs: int = EPOCHS, per: int = PER) -> tuple[Event, ...]:
    """The ends of epochs as the recorder says them."""
    return tuple(Event("end_epoch", "", per * e, float(e), {"epoch": e}) for e in range(1, epochs + 1))


def watched(rng: np.random.Generator, changed: dict[str, Series], **fields: Any) -> Run:
    """A classification with epochs, a plan and counters, some of its series changed."""
    evaluations = [classified(rng, PER * e, skill, epoch=e) for e, skill in enumerate(skills(), 1)]
    series = {**losses(rng), **probes(rng, STEPS), **lives(), **counted(forward=np.arange(1, STEPS + 1)), **changed}
    return assemble(
        "", series, evaluations, **{"parameters": parameters(), "events": ended(), "config": PLAN, **fields}
    )


def cosines(rng: np.random.Generator, mean: float, spread: float = 0.2, steps: int = STEPS) -> dict[str, Series]:
    """Sizes and cosines of the gradients of two terms at the trunk, on the sampled steps."""
    at = sample_steps(steps)
    cos = np.tanh(np.arctanh(mean) + spread * rng.standard_normal(at.size))
    sizes = np.exp(0.2 * rng.standard_normal((2, at.size)))
    return {
        "loss/trunk_cos/depth|kind": Series.of("", cos, step=at),
        "loss/trunk_norm/depth": Series.of("", sizes[0], step=at),
        "loss/trunk_norm/kind": Series.of("", 0.8 * sizes[1], step=at),
        "loss/path/total": Series.of("", np.ones(at.size), step=at),
        "loss/path/kind": Series.of("", np.ones(at.size), step=at),
        "loss/path/depth": Series.of("", np.ones(at.size), step=at),
    }


def two_terms(rng: np.random.Generator, mean: float, depth: Any = None, **more: Any) -> Run:
    """Two tasks whose gradients at the trunk have this mean cosine."""
    kind = curve(rng, STEPS, 1.6, 0.3)
    depth = curve(rng, STEPS, 1.9, 0.4, 0.2) if depth is None else depth
    terms = {"train/loss": kind + depth, "train/loss/kind": kind, "train/loss/depth": depth}
    return watched(rng, {**terms, **cosines(rng, mean), **more})


@healthy
def honest_accumulation(rng):
    """Each optimizer step uses the gradients of 4 batches, as declared."""
    done = counted(optimizer=np.arange(1, STEPS + 1) // 4)
    return watched(rng, done, config={**PLAN, "gradient_accumulation_steps": 4})


@healthy
def adversarial_examples(rng):
    """Each step takes 5 passes on examples that are thrown away, and one that counts."""
    every = np.arange(1, STEPS + 1)
    return watched(rng, {**counted(backward=6 * every, forward=6 * every), **lives(cleared=5 * every)})


@healthy
def guarded_steps(rng):
    """One batch in twelve is dropped because its gradient is out of bounds."""
    dropped = np.cumsum(rng.random(STEPS) < 1 / 12)
    done = counted(optimizer=np.arange(1, STEPS + 1) - dropped)
    return watched(rng, {**done, **lives(cleared=dropped)})


@healthy
def tasks_that_agree(rng):
    return two_terms(rng, 0.3)


@healthy
def tasks_at_odds_that_both_learn(rng):
    """The gradients point apart, as they must at the optimum of a sum, and both tasks get where they should."""
    return two_terms(rng, -0.6)


@healthy
def one_part_of_eight_processes(rng):
    """The plan counts all samples, the record one process of eight."""
    return watched(rng, {}, config={**PLAN, "n_train": 8 * 64 * PER})

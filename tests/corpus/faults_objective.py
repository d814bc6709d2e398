"""Faults of the objective: weights that drift away, a dead scale, losses of a constant, a better baseline. No torch."""

from __future__ import annotations

import numpy as np

from corpus import healthy
from corpus.faulty import faulty, with_series
from corpus.healthy import EPOCHS, PER, STEPS, losses, skills
from corpus.healthy_objective import of_baseline, two_tasks
from corpus.ingredients import assemble, at_epochs, classified, curve, parameters, probes, regressed
from tocsin.run import Series


@faulty("OBJ002")
def weight_that_drifts_away(rng):
    """Learned weights go from .5/.5 to .93/.07 while the hard task, half learned, is forgotten."""
    drift = 0.5 - 0.43 / (1 + np.exp(-(np.arange(STEPS) - STEPS / 2) / 25))
    return two_tasks(rng, skills(3.0), [0.3, 0.6, 0.9, 1.2, 1.1, 0.95, 0.8, 0.65, 0.5, 0.35], drift)


@faulty("OBJ008")
def sigma_at_its_clamp(rng):
    """A likelihood that began at a tiny sigma: 3e5 nats, then ln(e^2 sqrt(2 pi)) to the end."""
    run = healthy.classification(rng)
    spike = 3e5 * np.exp(-np.arange(STEPS) / 8.0)
    return with_series(run, train__loss__amplitude=Series.of("", 2.91894 + 0.006 * rng.random(STEPS) + spike))


@faulty("OBJ009")
def worse_than_zero(rng):
    """The reconstruction is scored 1.6 where predicting zero costs 1.0; the user logged that reference."""
    val = 1.6 + 0.02 * rng.standard_normal(EPOCHS)
    series = {
        "train/loss": curve(rng, STEPS, 1.9, 1.55, 0.05),
        "val/loss/signal": at_epochs("", val, PER),
        "reference/val/loss/signal": Series.of("", [1.0], step=[PER]),
    }
    return assemble("", {**series, **probes(rng, STEPS)}, parameters=parameters())


@faulty("PRD006")
def beaten_by_ridge(rng):
    """The network reaches r = .45, a ridge regression on the same samples .8."""
    evaluations = [of_baseline(regressed(rng, PER, 0.8), "ridge")]
    evaluations += [regressed(rng, PER * e, min(0.45, 0.15 * e), epoch=e) for e in range(1, EPOCHS + 1)]
    return assemble("", {**losses(rng, floor=0.75), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@faulty("OBJ010")
def softmax_before_the_loss(rng):
    """The network ends in a softmax, and the cross-entropy applies another: ten classes cannot cost less than 1.461."""
    floor = np.log(np.e + 9) - 1
    train = floor + 0.02 + 0.8 * np.exp(-np.arange(STEPS) / (STEPS / 5)) + 0.01 * rng.random(STEPS)
    evaluations = [classified(rng, PER * e, skill, priors=(0.1,) * 10, epoch=e) for e, skill in enumerate(skills(), 1)]
    wrong = [1 - float(e.confusion.correct.sum() / e.n) for e in evaluations]
    val = Series.of("val/loss", floor + np.array(wrong) + 0.005, step=[e.step for e in evaluations])
    series = {"train/loss": train, "val/loss": val, **probes(rng, STEPS)}
    return assemble("", series, evaluations, parameters=parameters())

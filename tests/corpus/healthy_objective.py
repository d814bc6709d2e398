"""Healthy runs near the faults of the objective: drifting weights, known losses, baselines, likelihoods. No torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from corpus.healthy import EPOCHS, PER, STEPS, healthy, losses, skills
from corpus.ingredients import assemble, at_epochs, classified, curve, parameters, probes, regressed
from tocsin.run import Evaluation


def squared(evaluations):
    """The mean squared errors that these evaluations show, one a step."""
    return [
        m.var_target + m.var_prediction - 2 * m.cov + (m.mean_prediction - m.mean_target) ** 2
        for m in (e.moments[0] for e in evaluations)
    ]


def of_baseline(e: Evaluation, name: str) -> Evaluation:
    """The same predictions as those of a baseline."""
    return replace(e, baseline=name, metrics={})


def two_tasks(rng, easy, hard, share):
    """A run of two weighted tasks: skills of both by epoch, and the weight share of the hard one by step."""
    kind, range_ = curve(rng, STEPS, 1.6, 0.3), curve(rng, STEPS, 1.6, 1.2)
    series = {"train/loss": (1 - share) * kind + share * range_, "train/loss/kind": kind, "train/loss/range": range_}
    series |= {"weight/kind": 1 - share, "weight/range": share, **probes(rng, STEPS)}
    evaluations = [
        classified(rng, PER * e, skill, task=task, epoch=e)
        for e in range(1, EPOCHS + 1)
        for task, skill in (("kind", easy[e - 1]), ("range", hard[e - 1]))
    ]
    series["val/loss"] = at_epochs("val/loss", 1.05 * series["train/loss"].reshape(EPOCHS, PER).mean(axis=1), PER)
    return assemble("", series, evaluations, parameters=parameters())


@healthy
def weights_that_settle(rng):
    """Learned weights move from .5/.5 to .6/.4 while both tasks improve to the end."""
    drift = 0.5 - 0.1 / (1 + np.exp(-(np.arange(STEPS) - STEPS / 3) / 30))
    return two_tasks(rng, skills(3.0), skills(2.0), drift)


@healthy
def losses_of_known_kind_beside_a_baseline(rng):
    """The errors are those of the predictions, better than the constant and than the recorded ridge regression."""
    evaluations = [of_baseline(regressed(rng, PER, 0.5), "ridge")]
    evaluations += [regressed(rng, PER * e, min(0.9, 0.2 * e), epoch=e) for e in range(1, EPOCHS + 1)]
    val = at_epochs("", squared(evaluations[1:]), PER)
    series = {**losses(rng), **probes(rng, STEPS), "val/loss/depth_mse": val}
    return assemble("", series, evaluations, parameters=parameters())


@healthy
def no_information_done_right(rng):
    """Neither a ridge regression nor the network finds anything; the network stays at the mean, which is right."""
    evaluations = [of_baseline(regressed(rng, PER, 0.0, s=0.2), "ridge")]
    evaluations += [regressed(rng, PER * e, 0.0, s=0.02, epoch=e) for e in range(1, EPOCHS + 1)]
    val = at_epochs("", np.array(squared(evaluations[1:])) / 1600, PER)
    series = {"train/loss": curve(rng, STEPS, 1.4, 1.0, 0.03), "val/loss": val, **probes(rng, STEPS)}
    return assemble("", series, evaluations, parameters=parameters())


@healthy
def likelihood_with_a_learned_scale(rng):
    """A Gaussian likelihood that begins high, comes down through all levels and varies where it ends."""
    nll = 40 * np.exp(-np.arange(STEPS) / 15.0) + curve(rng, STEPS, 2.5, 0.9, 0.3)
    evaluations = [regressed(rng, PER * e, min(0.9, k / 3), epoch=e) for e, k in enumerate(skills(2.8), 1)]
    series = {"train/loss": nll, "val/loss": at_epochs("", nll.reshape(EPOCHS, PER)[:, -10:].mean(axis=1), PER)}
    return assemble("", {**series, **probes(rng, STEPS)}, evaluations, parameters=parameters())

"""Healthy runs at which the rules on scores, batches and heads can look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from corpus.healthy import EPOCHS, PER, STEPS, healthy, losses, skills
from corpus.ingredients import assemble, at_epochs, classified, parameters, probes
from corpus.score_parts import batched, heads, restarts, scored
from tocsin.run import Evaluation, Moments, Run


def _learned(rng, evaluations, **series) -> Run:
    named = {name.replace("__", "/"): s for name, s in series.items()}
    return assemble("", {**losses(rng), **probes(rng, STEPS), **named}, evaluations, parameters=parameters())


@healthy
def scores_by_class(rng):
    return _learned(rng, [scored(rng, PER * e, skill) for e, skill in enumerate(skills(), 1)])


@healthy
def pooled_by_hand(rng):
    """Recorded in batches, and scored once over all of them."""
    return _learned(rng, [batched(rng, PER * e, k, averaged=False) for e, k in enumerate(skills(), 1)])


@healthy
def two_heads(rng):
    return _learned(rng, [heads(rng, PER * e, min(0.9, k / 3), stuck=False) for e, k in enumerate(skills(), 1)])


@healthy
def val_and_test(rng):
    """Two splits of one size and one skill, scored side by side."""
    evaluations = []
    for e, skill in enumerate(skills(), 1):
        val, test = (classified(rng, PER * e, skill, n=1000) for _ in range(2))
        evaluations += [val, replace(test, split="test", metrics={})]
    return _learned(rng, evaluations)


@healthy
def restarts_to_the_end(rng):
    """Seven cycles of the learning rate, the last one whole."""
    return restarts(rng, epochs=28)


@healthy
def with_a_baseline(rng):
    """A weak signal, and the predictions of a ridge regression recorded once beside the model's."""
    evaluations = [heads(rng, PER * e, min(0.4, k / 4), stuck=False) for e, k in enumerate(skills(), 1)]
    ridge = replace(heads(rng, PER * EPOCHS, 0.35, stuck=False), baseline="ridge")
    return _learned(rng, [*evaluations, ridge])


@healthy
def dropout_in_training(rng):
    """Dropout makes the training loss the higher one."""
    parts = losses(rng)
    train = parts["train/loss"]
    values = train.value if hasattr(train, "value") else np.asarray(train)
    val = 0.8 * values.reshape(EPOCHS, PER)[:, -4:].mean(axis=1)
    run = _learned(rng, [classified(rng, PER * e, skill) for e, skill in enumerate(skills(), 1)])
    series = {**run.series, "train/loss": parts["train/loss"], "val/loss": at_epochs("val/loss", val, PER)}
    return Run.of("", series=series, **{k: getattr(run, k) for k in ("evaluations", "parameters", "exit", "source")},
                  config={**run.config, "model": {"dropout": 0.3}})  # fmt: skip


@healthy
def margins_of_an_image(rng):
    """A sampled reconstruction: two pixels of four are dark in all samples but one."""
    evaluations = []
    for e, skill in enumerate(skills(), 1):
        lit = rng.gamma(2.0, size=(2, 400))
        dark = 0.06 * np.eye(400)[rng.integers(400, size=2)]
        guess = [*(min(0.9, skill) * lit + 0.3 * rng.normal(size=(2, 400))), *(0.0025 * rng.gamma(1.0, size=(2, 400)))]
        moments = tuple(Moments.of(t, p) for t, p in zip((*lit, *dark), guess, strict=True))
        evaluations.append(Evaluation("val", "reconstruction", PER * e, "regression", 400, moments=moments))
    return _learned(rng, evaluations)

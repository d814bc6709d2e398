"""Faults of predictions, evaluations and their scores, as records and logs show them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from corpus.faulty import faulty
from corpus.healthy import EPOCHS, PER, STEPS, losses, skills
from corpus.ingredients import assemble, classified, parameters, probes, regressed
from corpus.score_parts import batched, heads, restarts, scored
from tocsin.run import Confusion, Evaluation


@faulty("PRD008")
def noise_as_diversity(rng):
    """A term that rewards variance: the spread of the target at a correlation of .15."""
    evaluations = [regressed(rng, PER * e, 0.15, s=0.9) for e in range(1, EPOCHS + 1)]
    return assemble("", {**losses(rng), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@faulty("PRD010")
def weak_levels_sent_to_the_strongest(rng):
    """The three weakest of 12 levels get 28 dB, although the samples of 28 dB look otherwise."""
    k, n = 12, 3000
    labels = tuple(f"{v} dB" for v in range(-20, 4, 2))
    evaluations = []
    for e, skill in enumerate(skills(2.2), 1):
        target = rng.integers(0, k, n)
        guess = np.clip(np.rint(target + rng.normal(0, 1.6 / (0.6 + skill), n)), 0, k - 1).astype(int)
        stray = (target > 2) & (rng.random(n) < 0.03)
        guess = np.where(target < 3, rng.choice([3, 6, 9, 11], n, p=[0.15, 0.2, 0.25, 0.4]), np.maximum(guess, 3))
        guess = np.where(stray, rng.integers(0, 3, n), guess)
        dense = np.zeros((k, k), dtype=int)
        np.add.at(dense, (target, guess), 1)
        evaluations.append(Evaluation("val", "snr", PER * e, "ids", n, confusion=Confusion.of(dense, labels)))
    return assemble("", {**losses(rng), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@faulty("PRD011")
def head_at_its_bound(rng):
    """A ReLU head that is off for all but a few inputs beside one that works."""
    evaluations = [heads(rng, PER * e, min(0.9, k / 3), stuck=True) for e, k in enumerate(skills(), 1)]
    return assemble("", {**losses(rng), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@faulty("PRD012")
def seen_and_never_said(rng):
    """A bias against one class: its scores rank well, its argmax never comes."""
    evaluations = [scored(rng, PER * e, 1.2 + k / 3, bias=-9.0) for e, k in enumerate(skills(), 1)]
    return assemble("", {**losses(rng), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@faulty("DAT001")
def rare_class_given_up(rng):
    """1 sample of the rare class for 50 of the most frequent one, and the loss does not know."""
    priors, evaluations = (0.55, 0.43, 0.011), []
    for e, skill in enumerate(skills(), 1):
        evaluations.append(classified(rng, PER * e, 1.2 * skill, priors=priors, n=4000, bias=(0, 0, -5.0)))
    return assemble("", {**losses(rng), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@faulty("EVL005")
def one_set_for_both(rng):
    """The loader of the test set was given to the validation."""
    val = [classified(rng, PER * e, skill, epoch=e) for e, skill in enumerate(skills(), 1)]
    both = [one for e in val for one in (e, replace(e, split="test", metrics={}))]
    return assemble("", {**losses(rng), **probes(rng, STEPS)}, both, parameters=parameters())


@faulty("EVL008")
def stopped_between_two_annealings(rng):
    """Six cycles of the learning rate, and the end in the middle of the seventh."""
    return restarts(rng, epochs=26)


@faulty("EVL010")
def f1_by_the_batch(rng):
    """Macro-F1 of each batch, averaged."""
    evaluations = [batched(rng, PER * e, skill, averaged=True) for e, skill in enumerate(skills(), 1)]
    return assemble("", {**losses(rng), **probes(rng, STEPS)}, evaluations, parameters=parameters())


@faulty("GEN005")
def a_class_comes_and_goes(rng):
    """One of five classes is found by .6, .3, .6, ... of its samples."""
    evaluations = []
    for e, skill in enumerate(skills(), 1):
        bias = [0, 0, -1.6 if e % 3 == 0 or e == EPOCHS else 0, 0, 0]
        evaluations.append(classified(rng, PER * e, min(skill, 1.8), bias=bias))
    return assemble("", {**losses(rng), **probes(rng, STEPS)}, evaluations, parameters=parameters())

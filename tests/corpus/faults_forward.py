"""Faults that the probes of the forward pass see: activations, normalisation, inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from corpus import healthy
from corpus.faulty import faulty
from corpus.healthy import EPOCHS, PER, STEPS
from corpus.healthy_forward import ENDS, FIRST, forward
from corpus.ingredients import at_epochs, classified, curve, sample_steps
from tocsin.run import Run


def changed(run: Run, values) -> Run:
    """The run with other values in some series."""
    series = {name: replace(run.series[name], value=np.asarray(value, float)) for name, value in values.items()}
    return replace(run, series={**run.series, **series})


def unlearned(rng) -> Run:
    """A run whose training loss stays where it began."""
    run = forward(rng, healthy.classification(rng))
    flat = {"train/loss": curve(rng, STEPS, 2.3, 2.28, 0.1, 0.02)}
    flat["val/loss"] = at_epochs("", np.full(EPOCHS, 2.3), PER).value
    return replace(changed(run, flat), evaluations=())


@faulty("EVL007")
def statistics_that_never_arrive(rng):
    """Eval mode is off by nearly one sd at each evaluation; one class takes most of what is evaluated."""
    run = forward(rng, healthy.classification(rng))
    evaluations = tuple(classified(rng, step, 1.0, bias=[0, 3.0, 0, 0, 0]) for step in ENDS)
    lag = 0.8 + 0.05 * rng.random(EPOCHS)
    values = {"norm/lag/encoder.2": lag[1:], "norm/eval_lag/encoder.2": 1.1 * lag, "val/loss": np.full(EPOCHS, 3.0)}
    return replace(changed(run, values), evaluations=evaluations)


@faulty("OPT011")
def dead_layer(rng):
    """All units of a ReLU are silent from step 17 on."""
    at = sample_steps(STEPS)
    return changed(unlearned(rng), {"act/dead_frac/encoder.1": np.where(at > 16, 1.0, 0.4)})


@faulty("OPT012")
def saturated_layer(rng):
    """Nearly all outputs of a tanh sit at its bounds from the start."""
    at = sample_steps(STEPS)
    return changed(unlearned(rng), {"act/saturated_frac/gate": 0.97 + 0.01 * rng.random(at.size)})


@faulty("DAT002")
def trained_on_what_is_evaluated(rng):
    """One in seven evaluated samples had been trained on."""
    return changed(forward(rng, healthy.classification(rng)), {"input/overlap_frac": np.full(EPOCHS, 0.15)})


@faulty("DAT003")
def sorted_by_class(rng):
    """The same order in every epoch, class after class; the loss jumps with each."""
    run = forward(rng, healthy.classification(rng))
    order = np.tile(rng.integers(0, 2**50, 8), EPOCHS)
    jumps = np.tile(np.repeat(rng.uniform(0.2, 1.8, 5), PER // 5), EPOCHS)
    values = {"input/fingerprint/train": order, "input/likeness": 0.35 + 0.03 * rng.random(FIRST.size)}
    return changed(run, {**values, "train/loss": run.series["train/loss"].value * jumps})


@faulty("DAT004")
def divided_by_255_in_training_only(rng):
    values = {"input/mean/eval": np.full(EPOCHS, 102.0), "input/sd/eval": np.full(EPOCHS, 77.0)}
    return changed(forward(rng, healthy.classification(rng)), {**values, "input/max/eval": np.full(EPOCHS, 255.0)})


@faulty("DAT006")
def black_images(rng):
    """No feature of the training inputs varies within a batch."""
    return changed(unlearned(rng), {"input/constant_frac/train": np.ones(FIRST.size)})

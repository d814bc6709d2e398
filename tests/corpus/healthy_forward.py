"""Healthy runs as the probes of the forward pass see them: activations, normalisation, inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from corpus.healthy import EPOCHS, PER, STEPS, classification, healthy
from corpus.ingredients import sample_steps
from tocsin.run import Event, Run, Series

FIRST = np.concatenate([PER * e + np.arange(1, 9) for e in range(EPOCHS)])  # the forwards whose inputs are measured
ENDS = PER * np.arange(1, EPOCHS + 1)


def forward(rng, run: Run) -> Run:
    """The run with what the forward probes record of a healthy one: a shuffled loader, a ReLU, a tanh, a BatchNorm."""
    at = sample_steps(STEPS)
    lag = 0.3 / np.sqrt(np.arange(1, EPOCHS + 1)) + 0.02 * rng.random(EPOCHS)
    made = {
        "act/dead_frac/encoder.1": (at, 0.3 + 0.05 * rng.random(at.size)),
        "act/saturated_frac/gate": (at, 0.2 + 0.05 * rng.random(at.size)),
        "norm/lag/encoder.2": (ENDS[:-1] + 1, lag[1:]),
        "norm/eval_lag/encoder.2": (ENDS, 1.1 * lag),
        "input/fingerprint/train": (FIRST, rng.integers(0, 2**50, FIRST.size)),
        "input/fingerprint/eval": (ENDS, np.full(EPOCHS, 77)),
        "input/likeness": (FIRST, 0.01 * rng.standard_normal(FIRST.size)),
        "input/overlap_frac": (ENDS, np.zeros(EPOCHS)),
        "input/compared": (ENDS, np.full(EPOCHS, 256)),
        "input/rows": (ENDS, np.full(EPOCHS, 1500)),
        "input/repeat_frac": (ENDS, np.zeros(EPOCHS)),
    }
    for mode, steps in (("train", FIRST), ("eval", ENDS)):
        mean, spread = 0.4 + 0.02 * rng.standard_normal(steps.size), 0.3 + 0.01 * rng.standard_normal(steps.size)
        made |= {f"input/mean/{mode}": (steps, mean), f"input/sd/{mode}": (steps, spread)}
        made |= {f"input/min/{mode}": (steps, np.zeros(steps.size)), f"input/max/{mode}": (steps, np.ones(steps.size))}
        made[f"input/nonfinite/{mode}"] = (steps, np.zeros(steps.size))
        made[f"input/constant_frac/{mode}"] = (steps, np.full(steps.size, 0.1))
    series = {
        name: Series.of(name, value, step=step, epoch=(np.asarray(step) - 1) // PER + 1)
        for name, (step, value) in made.items()
    }
    train = run.series["train/loss"]
    series["train/loss"] = replace(train, epoch=(train.step - 1) // PER + 1.0)
    said = tuple(Event("end_epoch", "", int(step), data={"epoch": k}) for k, step in enumerate(ENDS, 1))
    return replace(run, series={**run.series, **series}, events=(*run.events, *said))


@healthy
def watched_forward(rng):
    """All probes of the forward pass, nothing odd in any."""
    return forward(rng, classification(rng))


@healthy
def training_accuracy_without_gradients(rng):
    """After each epoch training samples go through the model first, for their score, then those of the evaluation."""
    run = forward(rng, classification(rng))
    made = {"input/overlap_frac": np.ones(EPOCHS), "train/acc": np.linspace(0.4, 0.9, EPOCHS)}
    made["input/rows"] = np.full(EPOCHS, 2500)
    return replace(run, series={**run.series, **{k: Series.of(k, v, step=ENDS) for k, v in made.items()}})


@healthy
def statistics_that_lag_at_the_peak(rng):
    """BatchNorm's running statistics lag for four epochs at the peak of the learning rate, then catch up."""
    run = forward(rng, classification(rng))
    lag = np.r_[1.2, 1.5, 1.0, 0.7, 0.4, 0.2, 0.15, 0.1, 0.05, 0.05]
    val = run.series["val/loss"]
    series = {
        "norm/lag/encoder.2": replace(run.series["norm/lag/encoder.2"], value=lag[1:]),
        "norm/eval_lag/encoder.2": replace(run.series["norm/eval_lag/encoder.2"], value=lag),
        "val/loss": replace(val, value=val.value * np.r_[3, 3, 2.5, 2, 1.2, 1, 1, 1, 1, 1]),
    }
    return replace(run, series={**run.series, **series})


@healthy
def sparse_and_sure(rng):
    """Nine tenths of a wide layer silent in each batch, a last sigmoid at its bounds: a sparse code that learned."""
    run, n = forward(rng, classification(rng)), sample_steps(STEPS).size
    dead = replace(run.series["act/dead_frac/encoder.1"], value=0.93 + 0.01 * rng.random(n))
    sure = replace(run.series["act/saturated_frac/gate"], value=np.linspace(0.1, 0.97, n))
    return replace(run, series={**run.series, dead.name: dead, sure.name: sure})


@healthy
def fixed_order(rng):
    """The same order of random batches in every epoch, as of a file written once."""
    run = forward(rng, classification(rng))
    prints = run.series["input/fingerprint/train"]
    order = np.tile(rng.integers(0, 2**50, 8), EPOCHS).astype(float)
    return replace(run, series={**run.series, prints.name: replace(prints, value=order)})


@healthy
def augmented_training(rng):
    """Noise and crops: training inputs spread 1.6 times as widely as those of evaluations."""
    run = forward(rng, classification(rng))
    wide = {
        "input/sd/train": replace(run.series["input/sd/train"], value=np.full(FIRST.size, 0.48)),
        "input/min/train": replace(run.series["input/min/train"], value=np.full(FIRST.size, -1.2)),
        "input/max/train": replace(run.series["input/max/train"], value=np.full(FIRST.size, 2.2)),
    }
    return replace(run, series={**run.series, **wide})

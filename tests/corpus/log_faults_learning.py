"""Faults of optimisation, precision and generalisation, as foreign logs show them."""

from __future__ import annotations

import numpy as np

from corpus.faulty import faulty
from corpus.ingredients import at_epochs, curve
from tocsin.run import Event, Run, Series

PER = 50


def log(series, **fields):
    """A run as a reader gives it."""
    return Run.of(series=series, **{"exit": "finished", **fields})


def every(values, gap: int = 10):
    """One point in ``gap`` steps."""
    return Series.of("", values, step=gap * np.arange(1, len(values) + 1))


@faulty("OPT008")
def warmup_in_epochs(rng):
    """A warm-up of 1000 in a scheduler that is advanced once an epoch: 40 epochs reach 4 % of the rate."""
    epoch = np.arange(40 * PER) // PER
    loss = 1.0 + 0.05 * rng.standard_normal(epoch.size) - 0.02 * epoch / 40
    series = {"lr/0": every(3e-4 * (epoch + 1) / 1000, 1), "train/loss": every(loss, 1)}
    return log(series, config={"optimizer": {"lr": 3e-4}, "warmup_steps": 1000})


@faulty("OPT008")
def warmup_that_starts_over(rng):
    """A new scheduler each epoch: the rate climbs to 1e-6 and starts again, five times."""
    rate = np.tile(np.linspace(0, 1e-6, 60), 5)
    return log({"lr/0": every(rate), "train/loss": every(4.1 + 0.15 * rng.standard_normal(rate.size))})


@faulty("OPT010")
def blown_up(rng):
    """The loss falls for a fifth of the run, jumps above its start and stays there."""
    loss = np.r_[curve(rng, 100, 9.5, 4.0, 0.3, 0.03), 10.8 * np.exp(0.03 * rng.standard_normal(400))]
    return log({"train/loss": every(loss), "lr/0": every(np.minimum(1, np.arange(1, 501) / 50) * 6e-3)})


@faulty("AMP001")
def scale_that_never_settles(rng):
    """A third of the steps overflow, to the end; the scale falls from 65536 to next to nothing."""
    skip = np.arange(600) % 3 == rng.integers(3)
    loss = curve(rng, 600, 6.9, 6.6, 0.1, 0.01)
    return log({"amp/scale": every(65536 * 0.5 ** np.cumsum(skip), 1), "train/loss": every(loss, 1)})


@faulty("AMP001")
def overflow_messages(rng):
    """No scale is logged, but every fourth step says that it was skipped."""
    text = "[deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 64, reducing to 32"
    said = tuple(Event("message", text, int(step)) for step in range(4, 401, 4))
    return log({"train/loss": every(curve(rng, 400, 6.9, 6.6, 0.1, 0.01), 1)}, events=said)


@faulty("AMP004")
def zero_instead_of_nan(rng):
    """From the third of 30 logged points on the loss is 0.0 and the gradient norm NaN; the evaluations are NaN."""
    loss, norm = curve(rng, 30, 2.3, 1.0), 1 + rng.random(30)
    loss[3:], norm[2:] = 0.0, np.nan
    val = Series.of("", [2.1, np.nan, np.nan], step=[20, 160, 300])
    return log({"train/loss": every(loss), "grad/norm": every(norm), "val/loss": val})


@faulty("GEN002")
def at_chance_all_along(rng):
    """Ten classes, 30 epochs: the loss stays at 2.4 and the accuracy at 0.13."""
    train = 2.41 + 0.03 * rng.standard_normal(30 * PER)
    accuracy = 0.13 + 0.004 * rng.standard_normal(30)
    series = {"train/loss": every(train, 1), "val/accuracy": at_epochs("", accuracy, PER)}
    return log({**series, "val/loss": at_epochs("", 2.41 + 0.005 * rng.standard_normal(30), PER)})


@faulty("GEN003")
def patience_too_short(rng):
    """Early stopping on a noisy score ends the run at epoch 14 while the loss falls by 4 % an epoch."""
    epoch = np.arange(1, 15)
    val = (0.2 + 2 * np.exp(-epoch / 20)) * np.exp(0.005 * rng.standard_normal(14))
    said = Event("early-stop", "EarlyStopping: val_f1 did not improve in the last 2 records", 14 * PER)
    series = {"train/loss": every(curve(rng, 14 * PER, 2.3, 0.3, 1.2), 1), "val/loss": at_epochs("", val, PER)}
    return log(series, events=(said,), environment={"planned": {"epochs": 100}})


@faulty("GEN004")
def flat_below_its_ceiling(rng):
    """F1 stands at 0.62 from epoch 10 of 60 on; the data allow 0.94."""
    epoch = np.arange(1, 61)
    f1 = 0.62 - 0.5 * np.exp(-epoch / 2.5) + 0.004 * rng.standard_normal(60)
    series = {"val/f1": at_epochs("", f1, PER), "train/loss": every(curve(rng, 60 * PER, 2.3, 0.9, 0.05), 1)}
    return log(series, config={"ceilings": {"val/f1": 0.94}})


@faulty("GEN001")
def overfitted_in_eight_epochs(rng):
    """Fine-tuning: the evaluation loss is lowest after two epochs and rises in each of the six that follow."""
    val = np.array([0.52, 0.41, 0.46, 0.55, 0.63, 0.72, 0.8, 0.86]) * np.exp(0.005 * rng.standard_normal(8))
    train = np.array([0.61, 0.35, 0.22, 0.13, 0.08, 0.05, 0.03, 0.02])
    return log({"train/loss": every(train, 1), "val/loss": every(val, 1)})

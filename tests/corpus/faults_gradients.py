"""Faults between backward and step, as a watched run shows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from corpus.faulty import faulty
from corpus.healthy import PER, STEPS
from corpus.healthy_gradients import PLAN, counted, lives, two_terms, watched
from corpus.ingredients import parameters, probes, sample_steps
from tocsin.run import Series


@faulty("OPT013")
def step_in_one_batch_of_ten(rng):
    """``if step % 10 == 0: optimizer.step()`` beside a zero_grad in each iteration."""
    every = np.arange(1, STEPS + 1)
    done = (every + 9) // 10
    return watched(rng, {**counted(optimizer=done), **lives(cleared=np.maximum(0, every - done - 1))})


@faulty("OPT013")
def every_third_batch_lost(rng):
    """A guard that drops a third of the batches, from the fourth epoch on."""
    lost = np.cumsum((np.arange(STEPS) >= 3 * PER) & (np.arange(STEPS) % 3 == 0))
    return watched(rng, {**counted(optimizer=np.arange(1, STEPS + 1) - lost), **lives(cleared=lost)})


@faulty("OPT016")
def gradients_that_pile_up(rng):
    every = np.arange(1, STEPS + 1)
    return watched(rng, lives(carried=every - 1))


@faulty("OPT016")
def gradients_cleared_once_an_epoch(rng):
    every = np.arange(1, STEPS + 1)
    return watched(rng, lives(carried=every - (every + PER - 1) // PER))


@faulty("OPT015")
def loss_closed_outside_the_loop(rng):
    """Losses are reported batch by batch, but backward and step come once an epoch."""
    epoch = np.arange(1, STEPS + 1) // PER
    return watched(rng, counted(backward=epoch, optimizer=epoch))


@faulty("OPT015")
def accumulated_over_an_epoch(rng):
    """Declared: a step for 4 batches. Made: one for the 40 of an epoch."""
    epoch = np.arange(1, STEPS + 1) // PER
    return watched(rng, counted(optimizer=epoch), config={**PLAN, "accumulate": 4})


def without(rng, tensor: str, module: str):
    """A tensor that never gets a gradient though its module runs."""
    series, at = probes(rng, STEPS), sample_steps(STEPS)
    series[f"grad/count/{tensor}"] = Series.of("", np.zeros(at.size), step=at)
    series[f"param/changed/{tensor}"] = Series.of("", np.zeros(at.size - 1), step=at[1:])
    series[f"module/ran/{module}"] = Series.of("", np.ones(at.size - 1), step=at[1:])
    run = watched(rng, series, parameters=parameters())
    gone = [f"{stem}/{tensor}" for stem in ("grad/norm", "grad/at_max_frac", "grad/zero_frac", "update/ratio")]
    return replace(run, series={name: s for name, s in run.series.items() if name not in gone})


@faulty("OPT002")
def detached_encoder(rng):
    return without(rng, "encoder.0.weight", "encoder.0")


@faulty("OPT002")
def detached_head(rng):
    return without(rng, "head.weight", "head")


@faulty("OBJ005")
def task_undone_by_the_other(rng):
    depth = 1.9 + 0.05 * rng.standard_normal(STEPS)
    return two_terms(rng, -0.7, depth)

"""Healthy logs of many kinds of task, as their trainers print them: rounded, short, with the odd legal number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tocsin.run import Run, Series

TASKS: dict[str, Callable[[np.random.Generator], Run]] = {}


def task(builder):
    """Enter a builder under its own name."""
    TASKS[builder.__name__] = builder
    return builder


def draw(name: str, seed: int) -> Run:
    """The run of this task and seed."""
    rng = np.random.default_rng([seed, *name.encode()])
    return replace(TASKS[name](rng), name=f"{name}-{seed}")


def printed(values, digits=4):
    """Values by epoch as a log prints them."""
    at = np.arange(1, len(values) + 1)
    return Series.of("", np.round(values, digits), step=at, epoch=at)


def batches(values, gap=10, digits=4, per_epoch=None):
    """Values by training step."""
    step = gap * np.arange(1, len(values) + 1)
    epoch = None if per_epoch is None else 1 + (step - 1) // per_epoch
    return Series.of("", np.round(values, digits), step=step, epoch=epoch)


def table(columns, digits=4, **fields):
    """A log with one row an epoch; names are series names."""
    made = {k: v if isinstance(v, Series) else printed(np.asarray(v, float), digits) for k, v in columns.items()}
    series = {k: replace(v, name=k) for k, v in made.items()}
    return Run.of(series=series, **{"source": "console", "exit": "unknown", **fields})


def fall(rng, n, start, floor, tau=0.25, noise=0.02):
    """A loss by epoch: exponential to its floor."""
    return (floor + (start - floor) * np.exp(-np.arange(n) / (tau * n))) * np.exp(noise * rng.standard_normal(n))


def rise(rng, n, start, top, tau=0.3, noise=0.006):
    """A score by epoch: from its start towards its top."""
    return np.clip(top - (top - start) * np.exp(-np.arange(n) / (tau * n)) + noise * rng.standard_normal(n), 0, 1)


def of_samples(score, n, rng=None):
    """Scores as whole numbers of n samples."""
    seen = np.asarray(score) if rng is None else rng.binomial(n, np.clip(score, 0, 1)) / n
    return np.round(seen * n) / n


def epochs(rng, low=5, high=60):
    return int(rng.integers(low, high))

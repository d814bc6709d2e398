"""The learning rate of each planned optimizer step, before any is made."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from tocsin.prechecks.bench import Bench
from tocsin.prechecks.setup import SetupError
from tocsin.run import Run, Series

MOST_STEPS = 200_000
RULES = ("CFG002", "OPT008")


def planned_steps(bench: Bench) -> int | None:
    """Optimizer steps that are planned; None where neither steps nor epochs and length are known."""
    setup = bench.setup
    if setup.steps is not None:
        return setup.steps
    per_epoch = steps_per_epoch(bench)
    return None if per_epoch is None or setup.epochs is None else math.ceil(setup.epochs * per_epoch)


def steps_per_epoch(bench: Bench) -> int | None:
    """Optimizer steps of an epoch; None for a loader without length."""
    try:
        batches = len(bench.setup.train)  # type: ignore[arg-type]  # many a loader has a length
    except TypeError:
        return None
    return math.ceil(batches / bench.setup.accumulate)


def scheduled(bench: Bench) -> Run | None:
    """A run that holds nothing but the configuration and the learning rate of each planned step, ``lr/<group>``.

    None without a scheduler, without a plan, and beyond ``MOST_STEPS``.
    """
    steps, scheduler = planned_steps(bench), bench.setup.scheduler
    if scheduler is None or not steps or steps > MOST_STEPS:
        return None
    per_epoch = steps_per_epoch(bench)
    every = 1 if bench.setup.scheduler_every == "step" else per_epoch
    if every is None:
        return None
    rates: list[list[float]] = []
    with bench.restored(), warnings.catch_warnings(action="ignore"):  # that no optimizer step was made
        for k in range(steps):
            rates.append([float(g["lr"]) for o in bench.setup.optimizers for g in o.param_groups])
            if (k + 1) % every == 0:
                _advance(scheduler, k + 1)
    step = np.arange(1, steps + 1)
    epoch = np.ceil(step / per_epoch) if per_epoch else None
    series: Mapping[str, Series] = {
        f"lr/{k}": Series.of(f"lr/{k}", column, step=step, epoch=epoch) for k, column in enumerate(np.transpose(rates))
    }
    return Run("preflight", dict(series), config=bench.config, exit="finished")


def _advance(scheduler: Any, step: int) -> None:
    try:
        scheduler.step()
    except Exception as error:  # as it will in the training
        raise SetupError(
            f"preflight: the scheduler raised {type(error).__name__} after planned step {step}: {error}"
        ) from error

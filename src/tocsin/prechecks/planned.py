"""The learning rate of each planned optimizer step, before any is made."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from torch.optim.lr_scheduler import ReduceLROnPlateau

from tocsin import schedules
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.setup import SetupError
from tocsin.run import Floats, Run, Series

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
    batches = length(bench.setup.train)
    return None if batches is None else math.ceil(batches / bench.setup.accumulate)


def length(batches: Any) -> int | None:
    """How many batches a loader gives; None where it does not say."""
    try:
        return len(batches)
    except (TypeError, NotImplementedError, AttributeError):
        return None


_KEPT: WeakKeyDictionary[Bench, Floats | None] = WeakKeyDictionary()


def planned_rates(bench: Bench) -> Floats | None:
    """Learning rate of each parameter group at each planned step, [steps, groups].

    The same throughout without a scheduler. None without a plan, beyond ``MOST_STEPS``, and where it hangs on scores.
    """
    if bench not in _KEPT:
        _KEPT[bench] = _rates(bench)
    return _KEPT[bench]


def _rates(bench: Bench) -> Floats | None:
    steps, schedulers = planned_steps(bench), bench.setup.schedulers
    every = 1 if bench.setup.scheduler_every == "step" else steps_per_epoch(bench)
    if not steps or steps > MOST_STEPS or not every:
        return None
    if any(isinstance(one, ReduceLROnPlateau) for one in schedulers):  # hangs on what is measured
        return None
    rates: list[list[float]] = []
    optimizers, schedulers = copy.deepcopy((bench.setup.optimizers, schedulers))
    with warnings.catch_warnings(action="ignore"):  # that no optimizer step was made
        for k in range(steps):
            rates.append([float(g["lr"]) for o in optimizers for g in o.param_groups])
            for one in schedulers if (k + 1) % every == 0 else ():
                _advance(one, k + 1)
    return np.asarray(rates)


def scheduled(bench: Bench) -> Run | str:
    """A run that holds nothing but the configuration and the learning rate of each planned step, ``lr/<group>``.

    Else why there is none: no scheduler, no plan, or more than ``MOST_STEPS``.
    """
    if not bench.setup.schedulers:
        return "needs scheduler of the Setup"
    rates = planned_rates(bench)
    if rates is None:
        return f"needs steps or epochs of the Setup, {MOST_STEPS} steps at most, and rates that hang on no score"
    per_epoch, step = steps_per_epoch(bench), np.arange(1, len(rates) + 1)
    epoch = np.ceil(step / per_epoch) if per_epoch else None
    series = {f"lr/{k}": Series.of(f"lr/{k}", column, step=step, epoch=epoch) for k, column in enumerate(rates.T)}
    return Run("preflight", series, config=_with_rate(bench, rates), exit="finished")


def _with_rate(bench: Bench, rates: Floats) -> Mapping[str, Any]:
    """The configuration, with the rate that the scheduler is on its way to at the end where it names none.

    Without a scheduler's own word (``max_lr``) that is what the optimizer was given before the scheduler changed it.
    """
    asked = [g.get("max_lr", g.get("initial_lr", 0.0)) for o in bench.setup.optimizers for g in o.param_groups]
    rising = rates[0].max() < rates[-1].max() == rates.max()
    if not rising or schedules.nominal_rate(Run("preflight", config=bench.config)) is not None:
        return bench.config
    return {**bench.config, "lr": max(map(float, asked))}


def _advance(scheduler: Any, step: int) -> None:
    try:
        scheduler.step()
    except Exception as error:  # as it will in the training
        raise SetupError(
            f"preflight: the scheduler raised {type(error).__name__} after planned step {step}: {error}"
        ) from error

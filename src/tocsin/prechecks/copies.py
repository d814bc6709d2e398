"""A training of one's own: model, optimizers, schedulers, scaler and metrics, copied together."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import Any

from torch.optim import Optimizer

from tocsin.prechecks.setup import Setup, SetupError


def copied(setup: Setup) -> Setup:
    """The same training with a model, optimizers, scheduler and scaler of its own, tied to each other as before.

    Raises:
        SetupError: They cannot be copied.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            memo: dict[int, Any] = {}
            model, optimizers, scheduler, scaler, metrics = copy.deepcopy(
                (setup.model, setup.optimizers, setup.scheduler, setup.scaler, setup.metrics), memo
            )
            for own, made in zip(setup.optimizers, optimizers, strict=True):
                _complete(own, made, memo)
    except Exception as error:
        raise SetupError(
            "preflight works on copies, and this model, optimizer, scheduler, scaler or metric cannot be copied "
            f"({type(error).__name__}: {error}); give it a function that builds them: tocsin preflight module:function"
        ) from error
    mine = {id(p) for o in optimizers for group in o.param_groups for p in group["params"]}
    if not mine & {id(p) for p in model.parameters()} and any(
        id(p) in {id(q) for q in setup.model.parameters()}
        for o in setup.optimizers
        for group in o.param_groups
        for p in group["params"]
    ):
        raise SetupError(
            "preflight: the copied optimizer has lost the copied model; give preflight a function that builds both"
        )
    one = optimizers[0] if len(optimizers) == 1 and not isinstance(setup.optimizer, list | tuple) else optimizers
    return replace(setup, model=model, optimizer=one, scheduler=scheduler, scaler=scaler, metrics=metrics)


def _complete(own: Optimizer, made: Optimizer, memo: dict[int, Any]) -> None:
    """Give a copied optimizer what its class holds beside groups and state: torch leaves that out.

    Functions are not taken along: those that schedulers put there step the optimizer that they were made for.
    """
    for name, value in vars(own).items():
        if name not in vars(made) and not callable(value):
            vars(made)[name] = copy.deepcopy(value, memo)

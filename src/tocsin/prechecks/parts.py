"""What each part of a ``Setup`` must be, in words, and whether it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from tocsin.probes.wrappers import inner_optimizer

if TYPE_CHECKING:
    from tocsin.prechecks.setup import Setup

_FUNCTIONS = ("predict", "step", "raw", "group", "nuisance", "views", "val_losses")
_SHOWN = ("scheduler_every", "epochs", "steps", "accumulate")  # whose value tells more than its type
_SCALER = ("scale", "step", "update", "get_scale", "state_dict", "load_state_dict")


def faulty(setup: Setup) -> Iterator[str]:
    """What is wrong with the parts of a setup, each as "name must be what is expected, got what came"."""
    for name, good, wanted in (*_objects(setup), *_numbers(setup)):
        if not good:
            value = getattr(setup, name)
            shown = isinstance(value, str | Real) and name in _SHOWN
            yield f"{name} must be {wanted}, got {repr(value) if shown else type(value).__name__}"
    yield from _unusable(setup)


def _objects(setup: Setup) -> Iterator[tuple[str, bool, str]]:
    yield "model", isinstance(setup.model, nn.Module), "a torch.nn.Module"
    given = setup.optimizer
    several = isinstance(given, Sequence) and len(given) > 0 and all(isinstance(o, Optimizer) for o in given)
    yield "optimizer", isinstance(given, Optimizer) or several, "a torch.optim.Optimizer or several"
    yield "losses", callable(setup.losses), "a function losses(model, batch)"
    again = "batches that can be iterated again, such as a DataLoader or a list"
    yield "train", _again(setup.train), again
    yield "val", setup.val is None or _again(setup.val), again
    for name in _FUNCTIONS:
        yield name, getattr(setup, name) is None or callable(getattr(setup, name)), "a function"
    scaled = setup.scaler is None or all(callable(getattr(setup.scaler, name, None)) for name in _SCALER)
    yield "scaler", scaled, "a torch.amp.GradScaler"
    stepped = all(callable(getattr(one, "step", None)) for one in setup.schedulers)
    yield "scheduler", stepped, "a learning-rate scheduler or several"
    named = isinstance(setup.metrics, Mapping) and all(map(callable, setup.metrics.values()))
    yield "metrics", named, "functions metric(target, prediction) by name"


def _numbers(setup: Setup) -> Iterator[tuple[str, bool, str]]:
    yield "scheduler_every", setup.scheduler_every in ("step", "epoch"), "'step' or 'epoch'"
    yield "epochs", setup.epochs is None or _positive(setup.epochs, Real), "a number of epochs above 0"
    whole = "a whole number of optimizer steps, 1 or more"
    yield "steps", setup.steps is None or _positive(setup.steps, Integral), whole
    yield "accumulate", _positive(setup.accumulate, Integral), "a whole number of batches, 1 or more"


def _positive(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and 0 < float(value) < math.inf  # type: ignore[arg-type]  # both kinds are numbers


def _unusable(setup: Setup) -> Iterator[str]:
    """Parts of the right kind that nothing can be done with."""
    if isinstance(setup.model, torch.jit.ScriptModule):
        yield "model is compiled by torch.jit.script, which takes no hooks; give the module that it was made from"
    elif isinstance(setup.model, nn.Module) and any(map(is_lazy, [*setup.model.parameters(), *setup.model.buffers()])):
        yield "model has lazy tensors without a shape; call it with one batch before the optimizer is made"
    known = {id(inner_optimizer(o)) for o in setup.optimizers if isinstance(o, Optimizer)}
    driven = [getattr(one, "optimizer", None) for one in setup.schedulers]
    if known and any(isinstance(o, Optimizer) and id(inner_optimizer(o)) not in known for o in driven):
        yield "scheduler changes the rates of another optimizer than the one that is given; build it from that one"


def _again(batches: Any) -> bool:
    """Whether it can be iterated more than once."""
    return isinstance(batches, Iterable) and not isinstance(batches, Iterator)

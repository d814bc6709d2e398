"""Nothing of the caller's changes: random states are put back, loaders' and data sets' too, models are copied."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
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


_GENERATORS = (np.random.Generator, np.random.RandomState, torch.Generator, random.Random)
_MOST_ENTRIES = 32


@contextmanager
def kept_random(loaders: Iterable[Any]) -> Iterator[None]:
    """Put the random states of Python, numpy, torch and of these loaders' own generators back afterwards."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 (the user's may be this one)
    own = [(g, state_of(g)) for loader in loaders for g in (*_generators(loader), *held_generators(loader).values())]
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002 (as above)
        torch.set_rng_state(before[2])
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
        for generator, state in own:
            put_back(generator, state)


def held_generators(owner: Any, depth: int = 4) -> dict[str, Any]:
    """Random generators among the attributes of a loader's dataset and its transforms, by dotted name."""
    found: dict[str, Any] = {}
    seen: set[int] = set()

    def look(thing: Any, name: str, left: int) -> None:
        if isinstance(thing, _GENERATORS):
            found[name] = thing
        elif left and id(thing) not in seen:
            seen.add(id(thing))
            for key, value in _parts(thing):
                look(value, f"{name}.{key}" if name else key, left - 1)

    look(getattr(owner, "dataset", owner), "", depth)
    return found


def _parts(thing: Any) -> list[tuple[str, Any]]:
    """Attributes of an object, or the entries of a short list: transforms come in lists."""
    if isinstance(thing, list | tuple) and len(thing) <= _MOST_ENTRIES:
        return [(str(k), value) for k, value in enumerate(thing)]
    if isinstance(thing, torch.Tensor | np.ndarray | type):
        return []
    return list(getattr(thing, "__dict__", {}).items())


def state_of(generator: Any) -> Any:
    """The state of a generator of Python, numpy or torch."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def put_back(generator: Any, state: Any) -> None:
    """The inverse of ``state_of``."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)


def _generators(loader: Any) -> Iterator[torch.Generator]:
    """The generators that a ``DataLoader`` and its samplers draw from."""
    parts = [loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)]
    parts.append(getattr(parts[2], "sampler", None))
    found = {id(g): g for part in parts if isinstance(g := getattr(part, "generator", None), torch.Generator)}
    yield from found.values()

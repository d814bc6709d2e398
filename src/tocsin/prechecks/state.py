"""Random states are put back, those of loaders and data sets too, and workers are sent home."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

_GENERATORS = (np.random.Generator, np.random.RandomState, torch.Generator, random.Random)
_MOST_ENTRIES = 32


@contextmanager
def kept_random(loaders: Iterable[Any]) -> Iterator[None]:
    """Put the random states of Python, numpy, torch and of these loaders' own generators back afterwards.

    Workers that a loader keeps from now on are sent home: the next ones begin as the first would have.
    """
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 (the user's may be this one)
    mine = [loader for loader in loaders if loader is not None]
    own = [(g, state_of(g)) for loader in mine for g in _generators(loader)]
    idle = [loader for loader in mine if isinstance(loader, DataLoader) and loader._iterator is None]
    try:
        yield
    finally:
        for loader in idle:
            _send_home(loader)
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002 (as above)
        torch.set_rng_state(before[2])
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
        for generator, state in own:
            put_back(generator, state)


def _send_home(loader: DataLoader[Any]) -> None:
    """End the workers that a loader has kept (``persistent_workers``)."""
    if loader._iterator is not None:
        loader._iterator._shutdown_workers()  # type: ignore[attr-defined]  # of those with workers; others are not kept
        loader._iterator = None


def held_generators(owner: Any, depth: int = 5) -> dict[str, Any]:
    """Random generators among the attributes of a data set, what it wraps and its transforms, by dotted name."""
    found: dict[str, Any] = {}
    seen: set[int] = set()

    def look(thing: Any, name: str, left: int) -> None:
        if isinstance(thing, _GENERATORS):
            found[name] = thing
        elif left and id(thing) not in seen:
            seen.add(id(thing))
            for key, value in _parts(thing):
                look(value, f"{name}.{key}" if name else key, left - 1)

    look(owner, "", depth)
    return found


def _parts(thing: Any) -> list[tuple[str, Any]]:
    """Attributes of an object, or the entries of a short list: transforms come in lists."""
    if isinstance(thing, list | tuple) and len(thing) <= _MOST_ENTRIES:
        return [(str(k), value) for k, value in enumerate(thing)]
    if isinstance(thing, torch.Tensor | np.ndarray | type):
        return []
    if isinstance(thing, MethodType):
        return [("__self__", thing.__self__)]
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


_PARTS = ("sampler", "batch_sampler", "collate_fn", "worker_init_fn")


def _generators(loader: Any) -> list[Any]:
    """The generators that a loader, its data set, samplers and functions draw from, each once."""
    owners = [loader, *(getattr(loader, name, None) for name in ("dataset", *_PARTS))]
    owners.append(getattr(getattr(loader, "batch_sampler", None), "sampler", None))
    found = {id(g): g for owner in owners if owner is not None for g in held_generators(owner).values()}
    return list(found.values())

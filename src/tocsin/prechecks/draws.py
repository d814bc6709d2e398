"""Which random generators a data set draws from, and whether workers and epochs begin with the same numbers."""

from __future__ import annotations

import copy
import multiprocessing
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, default_collate, default_convert

from tocsin.prechecks.identity import sample_codes
from tocsin.prechecks.state import held_generators, state_of
from tocsin.probes.inputs import tensors_in

SAMPLES = 4
DATA_SET, COLLATE = "dataset", "collate_fn"
_WAIT = 20.0  # seconds for a worker


@dataclass(frozen=True)
class Drawn:
    """One sample taken twice in a row, or collated twice.

    Attributes:
        by: What was called: the data set or the loader's ``collate_fn``.
        worker: The worker that took it, 0 in the process itself.
        generators: Digest of each generator that was drawn from, after the first time, by name.
        again: The same after the second time.
        same: Both times had the same content.
        epoch: In the first epoch of the workers or the second, for which they are started anew.
    """

    by: str
    worker: int
    generators: dict[str, str]
    again: dict[str, str]
    same: bool
    epoch: int = 0

    @property
    def reseeded(self) -> bool:
        """Whether the sample sets each generator that it draws from to the same state, whatever was before."""
        return bool(self.generators) and self.same and self.generators == self.again


def take_twice(dataset: Any, key: Any, collate: Any = None) -> list[Drawn]:
    """Take a sample twice, and see which generators have moved; collate two of it twice, where that is the user's."""
    found = [_twice(DATA_SET, dataset, lambda: dataset[key])]
    if own_collate(collate):
        pair = [dataset[key], dataset[key]]
        found.append(_twice(COLLATE, collate, lambda: collate(copy.deepcopy(pair))))
    return found


def own_collate(collate: Any) -> bool:
    """Whether it is the user's, not one of those that only put samples together."""
    return collate is not None and collate not in (default_collate, default_convert)


def _twice(by: str, owner: Any, make: Callable[[], Any]) -> Drawn:
    _stir()
    before = _digests(by, owner)
    first = _content(make())
    after = _digests(by, owner)
    second = _content(make())
    again = _digests(by, owner)
    moved = [name for name, digest in after.items() if before.get(name) != digest]
    info = torch.utils.data.get_worker_info()
    return Drawn(
        by,
        0 if info is None else info.id,
        {name: after[name] for name in moved},
        {name: again.get(name, "") for name in moved},
        first == second,
    )


def _stir() -> None:
    """Move the global generators on: a seed that a sample has set before must show as a change."""
    random.random()
    np.random.random()  # noqa: NPY002 (the data set may draw from it)
    torch.rand(())


def keys_of(loader: DataLoader[Any]) -> list[Any]:
    """The first keys that the loader's sampler gives."""
    if loader.batch_sampler is None:
        return list(islice(iter(loader.sampler), SAMPLES))
    return [key for batch in islice(iter(loader.batch_sampler), SAMPLES) for key in batch][:SAMPLES]


def in_workers(loader: DataLoader[Any], keys: list[Any]) -> list[Drawn]:
    """The same in the loader's own workers, two at most, each of which gets every key; in two epochs, in order.

    In one epoch where workers are spawned: that takes seconds each time, and they get what the first ones got.

    A class of the data set's own kind stands in for it, so that a ``worker_init_fn`` meets what it expects.
    """
    workers = min(2, loader.num_workers)
    made = _stand_in(loader.dataset, loader.collate_fn)
    probe: DataLoader[Any] = DataLoader(
        made,
        batch_size=None,
        sampler=[key for key in keys for _ in range(workers)],
        num_workers=workers,
        worker_init_fn=loader.worker_init_fn,
        generator=loader.generator,
        multiprocessing_context=loader.multiprocessing_context,
        collate_fn=_unchanged,
        timeout=_WAIT,
    )
    ForkingPickler.register(type(made), lambda _: (_stand_in, (loader.dataset, loader.collate_fn)))
    try:
        epochs = range(2 if _forked(loader) else 1)
        return [replace(drawn, epoch=epoch) for epoch in epochs for taken in probe for drawn in taken]
    finally:
        del ForkingPickler._extra_reducers[type(made)]  # type: ignore[attr-defined]


def _forked(loader: DataLoader[Any]) -> bool:
    context = loader.multiprocessing_context or multiprocessing
    return bool(context.get_start_method() == "fork")


def _stand_in(dataset: Any, collate: Any) -> Any:
    made, kind = copy.copy(dataset), type(dataset)

    def take(self: Any, key: Any) -> list[Drawn]:
        real = copy.copy(self)
        real.__class__ = kind
        return take_twice(real, key, collate)

    made.__class__ = type(kind.__name__, (kind,), {"__getitem__": take, "__getitems__": None})
    return made


def _unchanged(value: Any) -> Any:
    return value


def _digests(by: str, owner: Any) -> dict[str, str]:
    known = {"random": random.getstate(), "numpy.random": np.random.get_state(), "torch": torch.get_rng_state()}  # noqa: NPY002
    known |= {f"{by}.{name}": state_of(g) for name, g in held_generators(owner).items()}
    return {name: _digest(state) for name, state in known.items()}


def _digest(state: Any) -> str:
    return blake2b("".join(_words(state)).encode(), digest_size=16).hexdigest()


def _words(state: Any) -> Iterator[str]:
    if isinstance(state, dict):
        for key, value in state.items():
            yield f"{key}:"
            yield from _words(value)
    elif isinstance(state, tuple):
        for value in state:
            yield from _words(value)
    elif isinstance(state, torch.Tensor | np.ndarray):
        yield np.asarray(state).tobytes().hex()
    else:
        yield f"{state!r},"


def _content(item: Any) -> str:
    """What a sample holds: its tensors and arrays, and plain values."""
    if isinstance(item, torch.Tensor):
        return f"{tuple(item.shape)}{sample_codes([item.reshape(1, -1)]).tolist()}"
    if isinstance(item, np.ndarray):
        return f"{item.shape}{_digest(item)}"
    if isinstance(item, dict):
        return "".join(f"{key}:{_content(value)}" for key, value in item.items())
    if isinstance(item, list | tuple):
        return "".join(map(_content, item))
    if isinstance(item, int | float | str | bytes | bool | None):
        return repr(item)
    held = list(tensors_in(vars(item))) if hasattr(item, "__dict__") else []
    return "".join(map(_content, held)) or (item.tobytes().hex() if hasattr(item, "tobytes") else str(type(item)))

"""The bench that a training lies on while it is checked: a few batches of it, and its model, put back each time."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from tocsin.prechecks.calls import Given, called
from tocsin.prechecks.own_copy import own_copy, size_of
from tocsin.prechecks.reading import unwrapped
from tocsin.prechecks.samples import Samples, gather, predicted
from tocsin.prechecks.setup import Batch, Setup, SetupError
from tocsin.surroundings import plain_config

BATCHES = 8
FEWEST = 2
SECONDS, MOST_BYTES = 30.0, 2**30


class Bench:
    """A training whose model and optimizers may be used up, with its first batches.

    Attributes:
        setup: The training.
        train: Its first ``BATCHES`` training batches, copies; fewer, but ``FEWEST``, of a loader that needs more than
            ``SECONDS`` for them, or whose batches are larger than ``MOST_BYTES`` together.
        val: Its first ``BATCHES`` batches of the evaluation, copies; none where it has none.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.model = setup.model
        self.train = _first(setup.train, "train")
        self.val = _first(setup.val, "val") if setup.val is not None else []
        self._samples: dict[str, Samples | None] = {}
        for p in self.trainable.values():
            p.grad = None  # what is found there must be of this preflight

    @cached_property
    def again(self) -> list[Batch]:
        """The first ``BATCHES`` training batches of another pass, copies: in their order, augmented anew."""
        return _first(self.setup.train, "train", "gave no batch in another pass: it must be one that can be repeated")

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The configuration as plain data."""
        return plain_config(unwrapped(self.setup.config))

    @cached_property
    def trainable(self) -> dict[str, nn.Parameter]:
        """Trainable tensors by name, the model's, then those that only an optimizer holds."""
        found = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        seen = {id(p) for p in self.model.parameters()}
        for k, optimizer in enumerate(self.setup.optimizers):
            for j, group in enumerate(optimizer.param_groups):
                for i, p in enumerate(group["params"]):
                    if id(p) not in seen and p.requires_grad:
                        found[f"optimizer {k} group {j} tensor {i}"] = p
        return found

    @cached_property
    def optimized(self) -> set[int]:
        """Identities of the tensors that an optimizer holds."""
        return {id(p) for o in self.setup.optimizers for group in o.param_groups for p in group["params"]}

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """The loss terms of a batch, ``total`` among them, with their graph.

        Raises:
            SetupError: ``losses`` gave something else, or raised.
        """
        given = self.values(batch)
        return {name: term for name, term in given.items() if isinstance(term, Tensor) and term.numel() == 1}

    def values(self, batch: Batch, of: str = "losses") -> dict[str, Any]:
        """All that ``losses`` (or ``val_losses``) gives for a batch by name, floats too; ``total`` is a scalar tensor.

        Raises:
            SetupError: It gave something else, or raised.
        """
        found = called(f"{of}(model, batch)", getattr(self.setup, of), self.model, own_copy(batch))
        named = {str(name): value for name, value in found.items()} if isinstance(found, Mapping) else {"total": found}
        total = named.get("total")
        if not isinstance(total, Tensor) or total.numel() != 1 or total.is_complex():
            raise SetupError(
                f"preflight: {of}(model, batch) must give a scalar tensor, or named terms with the total under "
                f"'total'; got {_told(total)}"
            )
        return named

    def numbers(self, batch: Batch) -> dict[str, float]:
        """The loss terms of a batch as an evaluation computes them, without gradients.

        With gradients where the loss differentiates itself, as a gradient penalty or a differential equation does.

        Raises:
            SetupError: ``losses`` gave something else, or raised.
        """
        try:
            with torch.no_grad():
                found = self.terms(batch)
        except SetupError:
            with torch.enable_grad():
                found = self.terms(batch)
        return {name: float(term.detach()) for name, term in found.items()}

    def predictions(self, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        """Target and prediction of a batch by task, without gradients.

        Raises:
            SetupError: ``predict`` gave something else, or raised.
        """
        return predicted(self.setup, batch)

    def samples(self, split: str = "train") -> Samples | None:
        """The first samples of a loader as tables; None where there is none, or where batches differ in shape."""
        if split not in self._samples:
            batches = getattr(self.setup, split)
            self._samples[split] = None if batches is None else gather(self.setup, Given(batches, split))
        return self._samples[split]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Use the model and its optimizers up; afterwards they are as before, gradients gone."""
        optimizers = self.setup.optimizers
        weights = copy.deepcopy(self.model.state_dict())
        states = copy.deepcopy([o.state_dict() for o in optimizers])
        extra = {id(p): p.detach().clone() for p in self.trainable.values()}
        modes = {module: module.training for module in self.model.modules()}
        scaler = copy.deepcopy(self.setup.scaler.state_dict()) if self.setup.scaler is not None else None
        random = torch.get_rng_state()
        try:
            yield
        finally:
            self.model.load_state_dict(weights)
            with torch.no_grad():
                for p in self.trainable.values():
                    p.copy_(extra[id(p)])
                    p.grad = None
            for optimizer, state in zip(optimizers, states, strict=True):
                optimizer.load_state_dict(state)
            for module, training in modes.items():
                module.training = training
            if scaler is not None:
                self.setup.scaler.load_state_dict(scaler)
            torch.set_rng_state(random)

    def has(self, need: str) -> bool:
        """Whether this part of the setup was given."""
        return self.setup.has(need)


def _first(batches: Any, name: str, what: str = "gave no batch") -> list[Batch]:
    started, found = time.perf_counter(), list[Batch]()
    for batch in islice(Given(batches, name), BATCHES):
        found.append(called(f"copying a batch of {name}", own_copy, batch))
        long = time.perf_counter() - started > SECONDS or sum(map(size_of, found)) > MOST_BYTES
        if long and len(found) >= FEWEST:
            break
    if not found:
        raise SetupError(f"preflight: {name} {what}")
    return found


def _told(total: Any) -> str:
    """What came in place of a total."""
    if isinstance(total, Tensor):
        return f"a tensor of {str(total.dtype).removeprefix('torch.')} {list(total.shape)}"
    return "no total" if total is None else type(total).__name__

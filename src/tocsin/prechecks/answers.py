"""What the model answers for a batch: seen from a hook, whatever ``losses`` makes of it, and changed where asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tocsin.prechecks.bench import Bench
from tocsin.prechecks.calls import called
from tocsin.prechecks.own_copy import own_copy
from tocsin.prechecks.portions import floating, leaves
from tocsin.prechecks.setup import Batch

Change = Callable[[Any], Any]


class _Answered(BaseException):
    """Ends ``losses`` once the model has answered; no user's ``except Exception`` may swallow it."""


@dataclass
class Answer:
    """The tensors of one call of the model."""

    inputs: list[Tensor]
    outputs: list[Tensor]


def answer(bench: Bench, batch: Batch, change: Change | None = None) -> Answer | None:
    """The first call of the model that ``losses`` makes, its arguments changed; None where it makes none.

    Raises:
        SetupError: ``losses`` raised before the model had answered.
    """
    seen: list[Answer] = []
    given: list[Any] = []

    def before(_: nn.Module, args: Any, kwargs: Any) -> Any:
        args, kwargs = change((args, kwargs)) if change is not None else (args, kwargs)
        given.append((args, kwargs))
        return args, kwargs

    def after(_: nn.Module, __: Any, output: Any) -> None:
        seen.append(Answer(_tensors(given[-1]), _tensors(output)))
        raise _Answered

    with hooked(
        bench.model.register_forward_pre_hook(before, with_kwargs=True), bench.model.register_forward_hook(after)
    ):
        try:
            called("losses(model, batch)", bench.setup.losses, bench.model, own_copy(batch))
        except _Answered:
            return seen[0]
    return None


def still(bench: Bench, batch: Batch, n: int, change: Change | None = None) -> Tensor | None:
    """The floating-point answers of ``n`` rows, beside each other, [n, D] float64 without a graph; None without any.

    Gradients are on meanwhile: a model may differentiate in its forward pass, as a force field does.

    Raises:
        SetupError: As ``answer``.
    """
    with torch.enable_grad():
        found = answer(bench, batch, change)
    outputs = floating(found.outputs, n) if found is not None else []
    return torch.cat([t.detach().double().reshape(n, -1) for t in outputs], 1) if outputs else None


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in leaves(value) if isinstance(leaf, Tensor) and leaf.layout == torch.strided]


@contextmanager
def hooked(*handles: Any) -> Iterator[None]:
    """Remove these hooks afterwards."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

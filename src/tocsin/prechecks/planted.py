"""One step of the user's own loop with gradients that were planted: what reaches the optimizer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tocsin.prechecks.answers import hooked
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.own_copy import own_copy

Plant = Callable[[Tensor], None]


@dataclass
class Stepped:
    """What one step did.

    Attributes:
        raw: Norm of the gradient that backward left, what was planted included, scaled as it was.
        applied: Norm of the gradient that each optimizer step used; empty where none was made.
        finite: Whether every gradient that an optimizer step used was.
        scale: The loss scale before and after.
    """

    raw: float = 0.0
    applied: list[float] = field(default_factory=list)
    finite: bool = True
    scale: tuple[float, float] = (1.0, 1.0)


def stepped(bench: Bench, plant: Plant | None = None, scale: float | None = None) -> Stepped | str:
    """The step on the first batch, ``plant`` called on each gradient as backward has left it; else what it raised.

    Model and optimizers are put back, and the scaler is a copy, with this loss scale if one is given.
    """
    scaler = copy.deepcopy(bench.setup.scaler)
    if scale is not None:
        scaler.load_state_dict({**scaler.state_dict(), "scale": scale})
    found, squares = Stepped(), dict[int, float]()

    def left(p: Tensor) -> None:
        if p.grad is not None:
            if plant is not None:
                plant(p)
            squares[id(p)] = _square(p.grad)

    def used(optimizer: Any, *_: Any) -> None:
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        found.applied.append(sum(map(_square, grads)) ** 0.5)
        found.finite &= all(bool(torch.isfinite(g).all()) for g in grads)

    hooks = [p.register_post_accumulate_grad_hook(left) for p in bench.trainable.values()]  # type: ignore[no-untyped-call]
    hooks += [o.register_step_post_hook(used) for o in bench.setup.optimizers]
    before = float(scaler.get_scale())
    with bench.restored(), hooked(*hooks):
        bench.model.train()
        try:
            bench.setup.step(bench.model, bench.setup.optimizer, scaler, own_copy(bench.train[0]))  # type: ignore[misc]
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    found.raw, found.scale = sum(squares.values()) ** 0.5, (before, float(scaler.get_scale()))
    return found


def _square(grad: Tensor) -> float:
    return float(grad.detach().double().square().sum())


def usable(bench: Bench) -> str | None:
    """Why nothing can be planted; None where it can."""
    scaler = bench.setup.scaler
    if not hasattr(scaler, "get_scale") or not getattr(scaler, "is_enabled", lambda: True)():
        return "the GradScaler is off"
    if any(not p.is_leaf for p in bench.trainable.values()):
        return "a trainable tensor is no leaf of the graph"
    return None

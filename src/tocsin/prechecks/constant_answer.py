"""The least loss that one answer for every sample of a batch can have, under the user's own loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tocsin.prechecks.answers import hooked
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.portions import floating, mapped
from tocsin.prechecks.setup import Batch
from tocsin.probes.inputs import tensors_in

_STEPS = 60
_SEED = 0


def constant_loss(bench: Bench, batch: Batch, n: int) -> float | None:
    """The model's answers are replaced by one row that is free, in the range they have (shares stay shares).

    None where the model does not answer with ``n`` rows, or where a constant drives the loss down without end.
    """
    return shared_constant(bench, [(batch, n)])


def shared_constant(bench: Bench, batches: list[tuple[Batch, int]]) -> float | None:
    """The same for several batches and their numbers of samples: one row for all, the mean of the batches' losses."""
    rows: dict[int, Tensor] = {}
    calls = samples = 0

    def replaced(_: nn.Module, __: Any, output: Any) -> Any:
        nonlocal calls

        def one(leaf: Any) -> Any:
            nonlocal calls
            if not isinstance(leaf, Tensor) or not floating([leaf], samples):
                return leaf
            calls += 1
            free, shown = _free(leaf.detach().float())  # half precision would overflow in the search
            row = rows.setdefault(calls, free.requires_grad_())
            return shown(row).to(leaf.dtype).expand_as(leaf)

        return _plain(output, one) if list(floating(tensors_in(output), samples)) else output

    def loss() -> Tensor:
        nonlocal calls, samples
        found = []
        for batch, n in batches:
            calls, samples = 0, n
            torch.manual_seed(_SEED)
            found.append(bench.terms(batch)["total"].reshape(()))
        return torch.stack(found).mean()

    with hooked(bench.model.register_forward_hook(replaced)):
        first = loss()
        if not rows or not first.requires_grad:
            return None
        return _least(loss, list(rows.values()))


def _plain(output: Any, change: Callable[[Any], Any]) -> Any:
    return change(output) if isinstance(output, Tensor) else mapped(output, change)


def _free(answers: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """One row to start at, and what makes of it an answer of the same kind: shares, their logarithms, or any values."""
    mean = answers.mean(0, keepdim=True)
    if answers.dim() > 1 and bool((answers >= 0).all()) and _one(answers.sum(1)):
        return mean.clamp_min(1e-6).log(), lambda row: F.softmax(row, 1)
    if answers.dim() > 1 and bool((answers <= 0).all()) and _one(answers.exp().sum(1)):
        return mean.clone(), lambda row: F.log_softmax(row, 1)
    if bool(((answers >= 0) & (answers <= 1)).all()):
        return torch.logit(mean.clamp(1e-4, 1 - 1e-4)), torch.sigmoid
    return mean.clone(), lambda row: row


def _one(sums: Tensor) -> bool:
    return bool(torch.allclose(sums, torch.ones_like(sums), atol=1e-4))


def _least(loss: Callable[[], Tensor], rows: list[Tensor]) -> float | None:
    best, sizes = math.inf, list[float]()
    optimizer = torch.optim.LBFGS(rows, max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        nonlocal best
        optimizer.zero_grad()
        value = loss()
        if math.isfinite(float(value.detach())):
            best = min(best, float(value.detach()))
        grads = torch.autograd.grad(value, rows, allow_unused=True)
        for row, grad in zip(rows, grads, strict=True):
            row.grad = grad
        sizes.append(math.hypot(*(float(grad.norm()) for grad in grads if grad is not None)))
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    endless = sizes[0] > 0 and sizes[-1] > sizes[0] / 2  # as steep as at first: there is no lowest point
    return None if endless or not math.isfinite(best) else best


def guessing(found: Mapping[str, tuple[Tensor, Tensor]]) -> int | None:
    """Number of classes where the first task's targets are class indices and its predictions one column a class."""
    for target, prediction in found.values():
        if not target.is_floating_point() and target.dim() == 1 and prediction.dim() == 2 and prediction.shape[1] > 1:
            return int(prediction.shape[1])
    return None

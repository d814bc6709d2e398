"""Which samples of a batch the answer for a sample depends on: a matrix of sizes, own samples on the diagonal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tocsin.prechecks.answers import answer, hooked, still
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.portions import floating, mapped
from tocsin.prechecks.setup import Batch
from tocsin.probes.inputs import tensors_in
from tocsin.stats import Floats

_SEED = 0
_MODULES = 256


def tracked(inputs: list[Tensor], n: int) -> Callable[[Any], Any]:
    """A change of arguments after which the floating inputs of ``n`` rows require gradients; they go to ``inputs``."""

    def track(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not floating([leaf], n):
            return leaf
        inputs.append(leaf.detach().clone().requires_grad_())
        return inputs[-1]

    return lambda given: mapped(given, track)


def by_gradient(bench: Bench, batch: Batch, n: int) -> Floats | None:
    """[n, n]: norm of the gradient of a random projection of answer i in input j; None without a gradient."""
    inputs: list[Tensor] = []
    with torch.enable_grad():
        found = answer(bench, batch, tracked(inputs, n))
    outputs = [t for t in floating(found.outputs, n) if t.requires_grad] if found is not None else []
    if not inputs or not outputs:
        return None
    try:
        return np.array([_row(outputs, inputs, i) for i in range(n)])
    except RuntimeError:  # a graph that cannot be walked twice
        return None


def _row(outputs: list[Tensor], inputs: list[Tensor], i: int) -> Floats:
    """A random projection: the sum of a softmax, say, has no gradient at all."""
    random = torch.Generator().manual_seed(_SEED)
    total = torch.zeros((), dtype=torch.float64, device=outputs[0].device)
    for t in outputs:
        weight = torch.randn(t[i].shape, generator=random, dtype=torch.float64).to(t.device, t.dtype)
        total = total + (weight * t[i]).sum().double()
    grads = torch.autograd.grad(total, inputs, retain_graph=True, allow_unused=True)
    squares = [g.detach().double().reshape(len(g), -1).square().nansum(1) for g in grads if g is not None]
    if not squares:
        return np.zeros(len(inputs[0]))
    row: Floats = torch.stack(squares).sum(0).sqrt().cpu().numpy()
    return row


def by_exchange(bench: Bench, batch: Batch, n: int) -> Floats | None:
    """[n, n]: by how much answer i moves when sample j is replaced by its neighbour, less what two equal calls differ.

    None where the model has no answer of ``n`` rows, or answers in another shape.
    """
    first, again = (_answered(bench, batch, n) for _ in range(2))
    if first is None or again is None or first.shape != again.shape:
        return None
    noise = float((first - again).abs().max())
    columns = []
    for j in range(n):
        moved = _answered(bench, batch, n, _exchanged(j, n))
        if moved is None or moved.shape != first.shape:
            return None
        columns.append((moved - first).abs().amax(1) - 2 * noise)
    return torch.stack(columns, 1).clamp_min(0.0).nan_to_num(nan=0.0).cpu().numpy().astype(np.float64)


def _answered(bench: Bench, batch: Batch, n: int, change: Callable[[Any], Any] | None = None) -> Tensor | None:
    torch.manual_seed(_SEED)  # a model that samples draws the same each time
    return still(bench, batch, n, change)


def _exchanged(j: int, n: int) -> Callable[[Any], Any]:
    def exchange(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not leaf.dim() or len(leaf) != n:
            return leaf
        leaf = leaf.clone()
        leaf[j] = leaf[(j + 1) % n]
        return leaf

    return lambda given: mapped(given, exchange)


def where(bench: Bench, batch: Batch, n: int, tolerance: float) -> str | None:
    """The name of the first module whose answer for a sample has a gradient in another one."""
    outputs: list[tuple[str, Tensor]] = []

    def keep(name: str) -> Callable[..., None]:
        def seen(_: nn.Module, __: Any, output: Any) -> None:
            outputs.extend((name, t) for t in floating(tensors_in(output), n) if t.requires_grad)

        return seen

    named = [(name, m) for name, m in bench.model.named_modules() if name][:_MODULES]
    inputs: list[Tensor] = []
    with hooked(*[m.register_forward_hook(keep(name)) for name, m in named]), torch.enable_grad():
        answer(bench, batch, tracked(inputs, n))
    for name, t in outputs:
        others = np.delete(row := _row([t], inputs, n // 2), n // 2)
        if list(t.shape).count(n) == 1 and others.max() > tolerance * max(row.max(), 1e-300):
            return name
    return None


def second_apart(bench: Bench, batch: Batch, n: int) -> bool:
    """Whether the answer has the input's dimension 1 and keeps its entries apart, as a batch along it would be."""
    inputs: list[Tensor] = []
    with torch.enable_grad():
        found = answer(bench, batch, tracked(inputs, n))
    outputs = [t for t in floating(found.outputs, n) if t.requires_grad] if found is not None else []
    if len(inputs) != 1 or not outputs or inputs[0].dim() < 2 or inputs[0].shape[1] < 2:
        return False
    size = inputs[0].shape[1]
    if any(t.dim() < 2 or t.shape[1] != size for t in outputs):
        return False
    random = torch.Generator().manual_seed(_SEED)
    total = sum((t[:, 0] * torch.randn(t[:, 0].shape, generator=random).to(t)).sum() for t in outputs)
    (grad,) = torch.autograd.grad(total, inputs, allow_unused=True)  # type: ignore[arg-type]
    return grad is not None and bool((grad[:, 1:] == 0).all())

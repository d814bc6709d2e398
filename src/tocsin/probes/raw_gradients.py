"""Raw gradients: what backward left in each tensor, before a sanitiser, before clipping, still multiplied by the loss
scale, local to the rank.

Hooks on all tensors only note, on sampled steps, which of them received a gradient; how large it is, is measured for
all of them in one call at the end of the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tocsin.probes import measures
from tocsin.probes.hook import Hook, Meter, transformed
from tocsin.probes.tensors import Tensors, by_device
from tocsin.probes.totals import total_count, total_norm

Values = dict[str, Tensor | float]


class RawGradients:
    """Per tensor: how often it received a gradient in this window, the norm of the latest, its non-finite entries."""

    def __init__(self, tensors: Tensors, meter: Meter) -> None:
        self.tensors = tensors
        self.meter = meter
        self._handles: list[Any] = []
        self._hooked = -1
        self._names: dict[int, str] = {}
        self._noted: list[Tensor] = []
        self._times: dict[str, int] = {}
        self._seen: dict[str, tuple[Tensor | float, Tensor | float]] = {}

    @property
    def fired(self) -> bool:
        """Whether a hook has seen a gradient in this window."""
        return bool(self._times or self._noted)

    def arm(self) -> None:
        """Hook every measured tensor, or go on with the hooks; frozen ones would raise and are left out."""
        self._seen.clear()
        self._times.clear()
        self._noted.clear()
        if self._handles and self._hooked == self.tensors.version:
            return
        self.disarm()
        self._hooked = self.tensors.version
        self._names = {id(p): name for name, p in self.tensors.measured.items()}
        note = _Note(self.meter, self._measure, self._noted)
        tensors: dict[str, Any] = dict(self.tensors.measured)  # torch leaves its hook methods untyped
        for p in tensors.values():
            if p.requires_grad and p.is_leaf:
                self._handles.append(p.register_post_accumulate_grad_hook(note))

    def disarm(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def read(self, scale: float) -> Values:
        """Values of the window; norms are divided by the loss ``scale``, and unknown where that fell to 0."""
        self._measure()  # what a pass that raised, or has not ended, has left
        values: Values = {f"grad/count/{name}": float(self._times.get(name, 0)) for name in self.tensors.measured}
        if not self._seen:  # no gradient, or all were used and cleared within the pass
            return values
        if scale:
            values |= {f"grad/norm/{name}": size / scale for name, (size, _) in self._seen.items()}
            values["grad/norm"] = total_norm([size for size, _ in self._seen.values()]) / scale
        values["grad/nonfinite"] = total_count([bad for _, bad in self._seen.values()])
        return values

    def _measure(self) -> None:
        """Sizes of the gradients noted since the last call; those that a hook has used and cleared only count."""
        grads: dict[str, Tensor] = {}
        for p in self._noted:
            name = self._names[id(p)]
            self._times[name] = self._times.get(name, 0) + 1
            if p.grad is not None:
                grads[name] = p.grad
        self._noted.clear()
        for names, group in by_device(grads.keys(), grads.values()):
            self._seen |= zip(names, zip(*sizes_and_nonfinite(group), strict=True), strict=True)


def sizes_and_nonfinite(grads: Sequence[Tensor]) -> tuple[Sequence[Tensor | float], Sequence[Tensor | float]]:
    """L2 norm of each and its number of NaN and inf entries, of tensors on one device; floats on the CPU.

    A norm is NaN or inf only where an entry is: where the squares overflowed it is taken again in float64.
    """
    norms = measures.norms(grads)
    if norms.device.type != "cpu":
        return norms.unbind(), [measures.nonfinite(grad) for grad in grads]
    # On the CPU a look at the norm is free, and the count is needed only when the norm is not finite.
    sizes, bad = norms.tolist(), [0.0] * len(grads)
    for k, grad in enumerate(grads):
        if not math.isfinite(sizes[k]):
            bad[k] = float(measures.nonfinite(grad))
            sizes[k] = sizes[k] if bad[k] else float(measures.norm(measures.dense(grad).double()))
    return sizes, bad


class _Note(Hook):
    """The hook of every tensor: notes it, and at the first of a pass asks for the ``action`` at its end."""

    def __init__(self, meter: Meter, action: Callable[[], None], noted: list[Tensor]) -> None:
        super().__init__("raw gradients", meter, action)
        self.noted = noted
        self._at_end = end_of_backward()
        self._pass = -1

    def __call__(self, *args: Tensor) -> None:
        if torch.compiler.is_compiling():
            return
        now = -2 if self._at_end is None else torch._C._current_graph_task_id()
        if now != self._pass:
            if transformed():
                return
            self._begin(now)
        self.noted.append(args[0])
        if self._at_end is None:
            super().__call__()

    def _begin(self, now: int) -> None:
        try:
            if self._at_end is not None:
                self._at_end(super().__call__)
                self._pass = now
        except RuntimeError:  # an engine that cannot be asked
            self._at_end = None


def end_of_backward() -> Callable[[Callable[[], None]], None] | None:
    """What takes a function to be called at the end of the backward pass that is running; None: measure at once.

    It is no public part of torch, though torch's own wrappers for many devices rest on it. Under them gradients are
    reduced among the ranks before that end, and what is local to the rank is seen only at once.
    """
    engine = getattr(torch.autograd.Variable, "_execution_engine", None)
    queue: Callable[[Callable[[], None]], None] | None = getattr(engine, "queue_callback", None)
    alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
    return queue if alone and hasattr(torch._C, "_current_graph_task_id") else None

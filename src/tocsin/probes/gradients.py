"""Raw gradients, from hooks on the tensors; applied gradients and updates, from the optimizers' own step hooks.

The raw gradient is what backward left: before a sanitiser, before clipping, still multiplied by the loss scale, local
to the rank. The applied one is what the optimizer used. Hooks on all tensors live on sampled steps only.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from tocsin.probes import measures
from tocsin.probes.hook import Hook, Meter
from tocsin.probes.tensors import Tensors, by_device

Values = dict[str, Tensor | float]
UPDATE_SHARE, UPDATE_MOST = 300, 4096


class RawGradients:
    """Per tensor: how often it received a gradient in this window, the norm of the latest, its non-finite entries."""

    def __init__(self, tensors: Tensors, meter: Meter) -> None:
        self.tensors = tensors
        self.meter = meter
        self._handles: list[Any] = []
        self._seen: dict[str, tuple[int, Tensor | float, Tensor | float]] = {}

    @property
    def fired(self) -> bool:
        """Whether a hook has seen a gradient in this window."""
        return bool(self._seen)

    def arm(self) -> None:
        """Hook every measured tensor; frozen ones would raise and are left out."""
        self.disarm()
        self._seen.clear()
        tensors: dict[str, Any] = dict(self.tensors.measured)  # torch leaves its hook methods untyped
        for name, p in tensors.items():
            if p.requires_grad and p.is_leaf:
                hook = Hook("raw gradients", self.meter, self._taker(name))
                self._handles.append(p.register_post_accumulate_grad_hook(hook))

    def disarm(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _taker(self, name: str) -> Any:
        def take(p: Tensor) -> None:
            if p.grad is None:
                return
            size: Tensor | float = measures.norm(p.grad)
            bad: Tensor | float = 0.0
            # On the CPU a look at the norm is free, and the count is needed only when the norm is not finite.
            if p.grad.device.type != "cpu":
                bad = measures.nonfinite(p.grad)
            elif not math.isfinite(size := float(size)):
                bad = float(measures.nonfinite(p.grad))
                size = float(measures.norm(measures.dense(p.grad).double())) if bad == 0 else size
            self._seen[name] = (self._seen.get(name, (0,))[0] + 1, size, bad)

        return take

    def read(self, scale: float) -> Values:
        """Values of the window; norms are divided by the loss ``scale``."""
        if not self._seen:
            return {f"grad/count/{name}": 0.0 for name in self.tensors.measured}
        values: Values = {}
        for name in self.tensors.measured:
            count, size, _ = self._seen.get(name, (0, None, 0.0))
            values[f"grad/count/{name}"] = float(count)
            if size is not None:
                values[f"grad/norm/{name}"] = size / scale
        values["grad/norm"] = _total([size for _, size, _ in self._seen.values()]) / scale
        values["grad/nonfinite"] = _sum([bad for _, _, bad in self._seen.values()])
        return values


class AppliedGradients:
    """What the optimizer used and did: taken in its post-step hook, before any ``zero_grad`` and any EMA copy."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self._names = {id(p): name for name, p in tensors.measured.items()}
        self._before: dict[int, list[tuple[list[str], Tensor]]] = {}
        self._values: Values = {}
        self._totals: dict[int, tuple[Tensor | float, Tensor | float]] = {}

    def arm(self) -> None:
        """Measure the next completed step of each optimizer."""
        self._names = {id(p): name for name, p in self.tensors.measured.items()}
        self._before.clear()
        self._values = {}
        self._totals.clear()

    def before_step(self, optimizer: Optimizer) -> None:
        """Keep a strided sample, at most 0.33 % of the entries or 16, of each tensor about to be moved."""
        self._before[id(optimizer)] = [(names, torch.cat(now)) for names, now in self._samples(optimizer)]

    def after_step(self, optimizer: Optimizer) -> None:
        """Measure the gradients used and the update made."""
        with_gradient = [(name, p, p.grad) for name, p in self._mine(optimizer) if p.grad is not None]
        if not with_gradient:
            return
        for name, _, grad in with_gradient:
            zero, at_max = measures.zero_and_max_frac(grad)
            self._values[f"grad/at_max_frac/{name}"] = at_max
            self._values[f"grad/zero_frac/{name}"] = zero
        moved = {name for name, _, _ in with_gradient}
        for (known, old), (names, now) in zip(
            self._before.get(id(optimizer), []), self._samples(optimizer), strict=False
        ):
            if known != names:  # moved to another device meanwhile
                continue
            sizes = [s.numel() for s in now]
            apart, held = torch.split(torch.cat(now).sub_(old), sizes), torch.split(old, sizes)
            ratios = measures.norms(apart) / measures.norms(held)
            here = ratios.tolist() if ratios.device.type == "cpu" else ratios.unbind()
            found = zip(names, here, strict=True)
            self._values |= {f"update/ratio/{name}": ratio for name, ratio in found if name in moved}
        grads = [grad for _, _, grad in with_gradient]
        groups = by_device(map(str, range(len(grads))), grads)
        total = _total([torch.linalg.vector_norm(measures.norms(group), dtype=torch.float64) for _, group in groups])
        counted = isinstance(total, Tensor) or not math.isfinite(total)
        self._totals[id(optimizer)] = (total, _sum([measures.nonfinite(g) for g in grads]) if counted else 0.0)

    def read(self) -> Values:
        """The values of each optimizer's last completed step in the window; nothing when none was completed."""
        self._before.clear()
        if not self._totals:
            return {}
        norm = _total([total for total, _ in self._totals.values()])
        bad = _sum([bad for _, bad in self._totals.values()])
        return {**self._values, "grad/applied_norm": norm, "grad/applied_nonfinite": bad}

    def _mine(self, optimizer: Optimizer) -> list[tuple[str, Tensor]]:
        held = (p for group in optimizer.param_groups for p in group["params"])
        return [(self._names[id(p)], p) for p in held if id(p) in self._names]

    def _samples(self, optimizer: Optimizer) -> list[tuple[list[str], list[Tensor]]]:
        """Strided samples by device and kind of number: each group is copied and compared in one call."""
        groups: dict[object, tuple[list[str], list[Tensor]]] = {}
        for name, p in self._mine(optimizer):
            sample = measures.strided(p, min(UPDATE_MOST, max(16, p.numel() // UPDATE_SHARE)))
            names, samples = groups.setdefault((sample.device, sample.dtype), ([], []))
            names.append(name)
            samples.append(sample)
        return list(groups.values())


def _total(sizes: list[Tensor | float]) -> Tensor | float:
    """Norm of the whole from the norms of its parts; a float where all are on the host."""
    if all(not isinstance(s, Tensor) or s.device.type == "cpu" for s in sizes):
        known = [float(s) for s in sizes]
        return math.nan if any(map(math.isnan, known)) else math.hypot(*known)
    device = next(s.device for s in sizes if isinstance(s, Tensor) and s.device.type != "cpu")
    whole: Tensor = torch.linalg.vector_norm(torch.stack([torch.as_tensor(s).to(device).double() for s in sizes]))
    return whole


def _sum(counts: list[Tensor | float]) -> Tensor | float:
    """Sum of counts, a float where all are on the host."""
    if all(not isinstance(c, Tensor) or c.device.type == "cpu" for c in counts):
        return float(sum(float(c) for c in counts))
    device = next(c.device for c in counts if isinstance(c, Tensor) and c.device.type != "cpu")
    return torch.stack([torch.as_tensor(c).to(device).double() for c in counts]).sum()

"""Applied gradients, which are what the optimizer used, and updates: from the optimizers' own step hooks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from tocsin.probes import measures
from tocsin.probes.tensors import Tensors, by_device
from tocsin.probes.totals import total_count, total_norm

Values = dict[str, Tensor | float]
Entries = Tensor | NDArray[np.generic]
UPDATE_SHARE, UPDATE_FEWEST, UPDATE_MOST = 400, 16, 4096


class AppliedGradients:
    """What the optimizer used and did: taken in its post-step hook, before any ``zero_grad`` and any EMA copy."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self._names = {id(p): name for name, p in tensors.measured.items()}
        self._before: dict[int, list[tuple[list[str], list[int], Entries]]] = {}
        self._values: Values = {}
        self._totals: dict[int, tuple[Tensor | float, Tensor | float]] = {}

    def arm(self) -> None:
        """Measure the next completed step of each optimizer."""
        self._names = {id(p): name for name, p in self.tensors.measured.items()}
        self._before.clear()
        self._values = {}
        self._totals.clear()

    def before_step(self, optimizer: Optimizer) -> None:
        """Keep a strided sample, at most 0.25 % of the entries or 16, of each tensor about to be moved."""
        self._before[id(optimizer)] = [(names, *gather(held)) for names, held in self._groups(optimizer)]

    def after_step(self, optimizer: Optimizer) -> None:
        """Measure the gradients used and the update made."""
        with_gradient = [(name, p.grad) for name, p in self._mine(optimizer) if p.grad is not None]
        if not with_gradient:
            return
        moved = {name for name, _ in with_gradient}
        before = self._before.pop(id(optimizer), [])
        for (known, sizes, old), (names, held) in zip(before, self._groups(optimizer), strict=False):
            sizes_now, now = gather(held)
            if known == names and sizes == sizes_now and type(old) is type(now):  # on the same device still
                found = zip(names, update_ratios(old, now, sizes), strict=True)
                self._values |= {f"update/ratio/{name}": ratio for name, ratio in found if name in moved}
        groups = by_device((name for name, _ in with_gradient), (grad for _, grad in with_gradient))
        norms = [measures.norms(grads) for _, grads in groups]
        for (names, grads), here in zip(groups, norms, strict=True):
            self._values |= _shares(names, grads, here)
        total = total_norm([torch.linalg.vector_norm(here, dtype=torch.float64) for here in norms])
        counted = isinstance(total, Tensor) or not math.isfinite(total)
        bad = total_count([measures.nonfinite(grad) for _, grad in with_gradient]) if counted else 0.0
        self._totals[id(optimizer)] = (total, bad)

    def read(self) -> Values:
        """The values of each optimizer's last completed step in the window; nothing when none was completed."""
        self._before.clear()
        if not self._totals:
            return {}
        norm = total_norm([total for total, _ in self._totals.values()])
        bad = total_count([bad for _, bad in self._totals.values()])
        return {**self._values, "grad/applied_norm": norm, "grad/applied_nonfinite": bad}

    def _mine(self, optimizer: Optimizer) -> list[tuple[str, Tensor]]:
        held = (p for group in optimizer.param_groups for p in group["params"])
        return [(self._names[id(p)], p) for p in held if id(p) in self._names]

    def _groups(self, optimizer: Optimizer) -> list[tuple[list[str], list[Tensor]]]:
        """Tensors by device and kind of number: each group is copied and compared in one call."""
        groups: dict[object, tuple[list[str], list[Tensor]]] = {}
        for name, p in self._mine(optimizer):
            names, held = groups.setdefault((p.device, p.dtype), ([], []))
            names.append(name)
            held.append(p)
        return list(groups.values())


def gather(tensors: Sequence[Tensor]) -> tuple[list[int], Entries]:
    """Strided samples of tensors of one kind, one behind the other, and the number of entries of each."""
    most = [min(UPDATE_MOST, max(UPDATE_FEWEST, p.numel() // UPDATE_SHARE)) for p in tensors]
    host = [h for h in map(measures.sample_on_host, tensors, most) if h is not None]
    if len(host) == len(tensors):
        return [h.size for h in host], np.concatenate(host)
    samples = list(map(measures.strided, tensors, most))
    return [s.numel() for s in samples], torch.cat(samples)


def update_ratios(old: Entries, now: Entries, sizes: list[int]) -> Sequence[Tensor | float]:
    """RMS of the change over RMS before it, of each part; both samples are used up.

    Raises:
        RuntimeError: The samples are on different devices.
    """
    if isinstance(old, Tensor) and isinstance(now, Tensor):
        moves, held = torch.split(now.sub_(old), sizes), torch.split(old, sizes)
        ratios = measures.norms(moves) / measures.norms(held)
        return ratios.tolist() if ratios.device.type == "cpu" else ratios.unbind()
    starts, apart, was = np.cumsum([0, *sizes[:-1]]), np.asarray(now), np.asarray(old)
    with np.errstate(all="ignore"):
        np.subtract(apart, was, out=apart)
        moved, before = (np.add.reduceat(np.square(x, out=x), starts) for x in (apart, was))
        found: list[float] = np.sqrt(moved / before).tolist()
    return found


def _shares(names: list[str], grads: list[Tensor], norms: Tensor) -> Values:
    """Shares of zeros and of entries at the largest magnitude; of zeros 1 only where the norm is 0."""
    found = [measures.zero_and_max_frac(grad) for grad in grads]
    values: Values = {}
    sizes = norms.tolist() if norms.device.type == "cpu" else norms.unbind()
    for name, grad, (zero, at_max), size in zip(names, grads, found, sizes, strict=True):
        some = (zero == 1) * (size > 0) / max(1, grad.numel())  # missed by the sample: one entry at least
        values[f"grad/zero_frac/{name}"] = zero - some
        values[f"grad/at_max_frac/{name}"] = at_max
    return values

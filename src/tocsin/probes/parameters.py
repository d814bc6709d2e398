"""The parameters themselves: whether their bytes moved, their norm, non-finite entries, and the distance of an EMA."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tocsin.probes import measures
from tocsin.probes.tensors import Tensors, by_device

Values = dict[str, Tensor | float]


class ParameterState:
    """Compares each tensor's bit sum with the previous sample: exact, and keeps one integer a tensor, not a clone."""

    def __init__(self, tensors: Tensors, ema: nn.Module | None = None) -> None:
        self.tensors = tensors
        self.ema = getattr(ema, "module", ema)
        self._sums: dict[str, Tensor] = {}
        self.read()

    def read(self) -> Values:
        """Values since the previous call. A tensor seen for the first time has no ``param/changed`` yet."""
        values: Values = {}
        names, held = list(self.tensors.measured), [p.detach() for p in self.tensors.measured.values()]
        for name, p in zip(names, held, strict=True):
            now, old = measures.bits(p), self._sums.get(name)
            if old is not None and old.device == now.device:
                values[f"param/changed/{name}"] = (now != old).float()
            self._sums[name] = now
        totals = [torch.linalg.vector_norm(measures.norms(group)) for _, group in by_device(names, held)]
        if not totals:
            return values
        total = torch.linalg.vector_norm(torch.stack([t.to(totals[0].device).double() for t in totals]))
        values["param/norm"] = total
        counted = total.device.type != "cpu" or not math.isfinite(total.item())
        bad = [measures.nonfinite(p).to(total.device) for p in held] if counted else []
        values["param/nonfinite"] = torch.stack(bad).sum() if bad else 0.0
        return values | self._ema_distance()

    def _ema_distance(self) -> Values:
        if self.ema is None:
            return {}
        averaged = dict(self.ema.named_parameters())
        pairs = [(p, averaged[name]) for name, p in self.tensors.measured.items() if name in averaged]
        samples = [(measures.strided(p, 4096), measures.strided(q, 4096).to(p.device)) for p, q in pairs]
        if not samples:
            return {}
        apart = torch.stack([measures.norm(p - q).double().cpu() for p, q in samples])
        size = torch.stack([measures.norm(p).double().cpu() for p, _ in samples])
        return {"ema/distance": torch.linalg.vector_norm(apart) / torch.linalg.vector_norm(size).clamp(min=1e-30)}

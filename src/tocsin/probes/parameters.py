"""The parameters themselves: whether their bytes moved, their norm, non-finite entries; how far an EMA stays behind."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tocsin.probes import measures
from tocsin.probes.tensors import Tensors, by_device

Values = dict[str, Tensor | float]
START_SHARE, START_MOST = 400, 4096


class ParameterState:
    """Compares each tensor's bit sum with the previous sample: exact, and keeps one integer a tensor, not a clone."""

    def __init__(self, tensors: Tensors, ema: nn.Module | None = None) -> None:
        self.tensors = tensors
        self.ema = getattr(ema, "module", ema)
        self._sums: dict[str, Tensor | int] = {}
        self._start: dict[str, Tensor] = {}
        self.read()

    def read(self) -> Values:
        """Values since the previous call. A tensor seen for the first time has no ``param/changed`` yet."""
        values: Values = {}
        names, held = list(self.tensors.measured), [p.detach() for p in self.tensors.measured.values()]
        for name, p in zip(names, held, strict=True):
            now, old = measures.bits(p), self._sums.get(name)
            self._sums[name] = here = now if isinstance(now, Tensor) and now.device.type != "cpu" else int(now)
            if isinstance(here, int) and isinstance(old, int):
                values[f"param/changed/{name}"] = float(here != old)
            elif isinstance(old, Tensor) and isinstance(here, Tensor) and old.device == here.device:
                values[f"param/changed/{name}"] = (here != old).float()
        totals = [torch.linalg.vector_norm(measures.norms(group)) for _, group in by_device(names, held)]
        if not totals:
            return values
        total = torch.linalg.vector_norm(torch.stack([t.to(totals[0].device).double() for t in totals]))
        values["param/norm"] = total
        counted = total.device.type != "cpu" or not math.isfinite(total.item())
        bad = [measures.nonfinite(p).to(total.device) for p in held] if counted else []
        values["param/nonfinite"] = torch.stack(bad).sum() if bad else 0.0
        return values | self._ema_distance() | self._ema_behind()

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

    def _ema_behind(self) -> Values:
        """1 - <e - t0, t - t0> / |t - t0|^2 on at most 0.25 % of the entries (of small tensors, 16), in float64."""
        if self.ema is None:
            return {}
        averaged = dict(self.ema.named_parameters())
        along, path = [], []
        for name, p in self.tensors.measured.items():
            if name not in averaged or averaged[name].shape != p.shape:
                continue
            now = _sampled(p)
            start = self._start.get(name)
            if start is None or start.shape != now.shape:
                self._start[name] = now.clone()
                continue
            moved = now.double() - start.to(now.device).double()
            followed = _sampled(averaged[name]).to(now.device).double() - start.to(now.device).double()
            along.append((followed * moved).sum().cpu())
            path.append(moved.square().sum().cpu())
        if not path:
            return {}
        return {"ema/behind": 1 - torch.stack(along).sum() / torch.stack(path).sum()}


def _sampled(p: Tensor) -> Tensor:
    return measures.strided(p, min(START_MOST, max(16, p.numel() // START_SHARE)))

"""Replicated parameters: fingerprints by which the parts that several processes wrote of one run are compared.

Each process samples at steps that are the same for all of them, whatever its budget says, and sends nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tocsin.probes import measures
from tocsin.probes.tensors import Tensors
from tocsin.run import looks_at_count

PROJECTIONS, ENTRIES, FEWEST = 8, 8192, 4
FIRST = (1, 2, 4, 8, 16)
_BITS = (1 << 53) - 1
Values = dict[str, Tensor | float]


class Replicas:
    """Bit sums of each tensor, which differ where one bit does, and projections that say how far two ranks are apart.

    Left out are tensors that ranks hold their own of by design: experts, and those whose owner has said so.
    """

    def __init__(self, tensors: Tensors, model: nn.Module, world: int) -> None:
        self.tensors = tensors
        self.model = model
        self.alone = world < 2
        self._last = 0

    def due(self, step: int) -> bool:
        """Whether all ranks sample ``step``: 1, 2, 4, 8, 16, then those at which the rules look; each once."""
        if self.alone or step <= self._last or not (step in FIRST or looks_at_count(step)):
            return False
        self._last = step
        return True

    def read(self) -> Values:
        """``param/bits/<tensor>`` and ``param/projection/<k>``."""
        named = self._replicated()
        values: Values = {f"param/bits/{name}": measures.bits(p.detach()) & _BITS for name, p in named.items()}
        if named:
            found = projections([p.detach() for p in named.values()])
            values |= {f"param/projection/{k}": one for k, one in enumerate(found.unbind())}
        return values

    def _replicated(self) -> dict[str, nn.Parameter]:
        own = set(getattr(self.model, "_ddp_params_and_buffers_to_ignore", ()))
        roles = {p.name: p.role for p in self.tensors.table()}
        return {
            name: p
            for name, p in self.tensors.measured.items()
            if name not in own and roles.get(name) != "expert" and not _is_partial(p)
        }


def _is_partial(p: nn.Parameter) -> bool:
    """Whether Megatron or DeepSpeed marks it as one of which each rank has its own part."""
    return bool(getattr(p, "tensor_model_parallel", False)) or not getattr(p, "allreduce", True)


def projections(tensors: Sequence[Tensor]) -> Tensor:
    """Sums of the entries under ``PROJECTIONS`` fixed patterns of signs, shape (PROJECTIONS,), float64 where there is.

    The mean square of the differences between two models' projections estimates the square of their distance, and
    that of one model's the square of its norm. On strided samples, at most ``ENTRIES`` or ``FEWEST`` a tensor, which
    are weighted so that each stands for the whole of its tensor.
    """
    most = max(FEWEST, ENTRIES // len(tensors))
    home = tensors[0].device
    wide = torch.float32 if home.type == "mps" else torch.float64
    parts = []
    for tensor in tensors:
        sample = measures.strided(tensor, most).reshape(-1).to(home, wide)
        parts.append(sample * (measures.dense(tensor).numel() / max(1, sample.numel())) ** 0.5)
    entries = torch.cat(parts)
    return signs(entries.numel(), home).to(wide) @ entries


def signs(n: int, device: torch.device) -> Tensor:
    """``PROJECTIONS`` rows of n signs, int8, always the same ones (the top bit of a multiplicative hash)."""
    place = torch.arange(1, PROJECTIONS * n + 1, dtype=torch.int64, device=device)
    code = place * -7046029254386353131
    code = (code ^ (code >> 29)) * -4658895280553007687
    return (((code >> 40) & 1) * 2 - 1).to(torch.int8).reshape(PROJECTIONS, n)

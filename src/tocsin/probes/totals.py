"""Norms and counts of a whole from those of its parts: floats where all parts are on the host."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def total_norm(sizes: Sequence[Tensor | float]) -> Tensor | float:
    """Norm of the whole from the norms of its parts; NaN where one is."""
    if all(not isinstance(s, Tensor) or s.device.type == "cpu" for s in sizes):
        known = [float(s) for s in sizes]
        return math.nan if any(map(math.isnan, known)) else math.hypot(*known)
    device = next(s.device for s in sizes if isinstance(s, Tensor) and s.device.type != "cpu")
    whole: Tensor = torch.linalg.vector_norm(torch.stack([torch.as_tensor(s).to(device).double() for s in sizes]))
    return whole


def total_count(counts: Sequence[Tensor | float]) -> Tensor | float:
    """Sum of counts."""
    if all(not isinstance(c, Tensor) or c.device.type == "cpu" for c in counts):
        return float(sum(float(c) for c in counts))
    device = next(c.device for c in counts if isinstance(c, Tensor) and c.device.type != "cpu")
    return torch.stack([torch.as_tensor(c).to(device).double() for c in counts]).sum()

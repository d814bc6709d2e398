"""The entries of a gradient that go into norms and products, the same ones for all gradients of a tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from tocsin.probes.measures import strided

MOST = 2**18  # of a tensor: norms and products of gradients are sums over so many, whatever the model's size


def entries(gradient: Tensor) -> Tensor:
    """At most ``MOST``, evenly spread, float64 on the CPU: sparse gradients with their zeros, complex ones as pairs."""
    whole = gradient if gradient.layout == torch.strided else gradient.to_dense()
    return strided(whole, MOST).double().cpu()

"""The model with weights that were never trained: what it knows then, it knows from its inputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from tocsin.prechecks.bench import Bench

_SEED = 0


@contextmanager
def drawn_anew(bench: Bench) -> Iterator[float]:
    """All weights drawn by their modules' own ``reset_parameters``, put back afterwards.

    Gives the share of the model's entries that such a draw reaches; parameters of the user's own modules stay.
    """
    with bench.restored():
        torch.manual_seed(_SEED)
        reached = {id(p): p.numel() for module in bench.model.modules() for p in _reset(module)}
        whole = sum(p.numel() for p in bench.model.parameters())
        yield sum(reached.values()) / max(whole, 1)


def _reset(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of a module that can draw them itself."""
    reset = getattr(module, "reset_parameters", None)
    if not callable(reset):
        return []
    try:
        reset()
    except Exception:  # of the user's own, which may expect arguments
        return []
    return list(module.parameters(recurse=False))

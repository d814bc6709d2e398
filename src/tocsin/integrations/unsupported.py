"""What no recorder of ours understands, said by name when it is attached; then nothing is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from tocsin.probes.sharding import sharded

_IN_BACKWARD = ("LayerWiseDummyOptimizer", "Lomo", "AdaLomo")


def unsupported(model: nn.Module, optimizers: Sequence[Any]) -> str:
    """Name of what is not supported in this training, "" where all is.

    Told by the names of classes, so that none of these libraries is imported.
    """
    kinds = {kind.__name__ for o in (model, *model.modules(), *optimizers) for kind in type(o).__mro__}
    foreign = [type(o).__name__ for o in optimizers if not isinstance(o, Optimizer)]
    if any("DeepSpeed" in kind for kind in kinds):
        return "DeepSpeed (its engine steps outside torch.optim)"
    if kind := sharded(model):
        return f"sharded parameters ({kind})"
    if kinds.intersection(_IN_BACKWARD) or any(hasattr(p, "_in_backward_optimizers") for p in model.parameters()):
        return "an optimizer inside backward"
    return f"the optimizer {foreign[0]}, which is none of torch.optim" if foreign else ""

"""Whether a model's parameters are spread over the processes of a group, so that each holds only a part of them.

Their norms and sums would need a collective at every sample, and processes that sample at different steps would wait
for each other for ever. So nothing of sharded parameters is measured. Told by names of classes and attributes: no
framework is imported.
"""

from __future__ import annotations

from torch import nn


def sharded(model: nn.Module) -> str:
    """What spreads the parameters of ``model``, by name; "" where each process holds all of them."""
    kinds = {kind.__name__ for module in model.modules() for kind in type(module).__mro__}
    if "FullyShardedDataParallel" in kinds:
        return "FSDP1"
    parameters = list(model.parameters())
    if any("DTensor" in {type(p).__name__, type(p.data).__name__} for p in parameters):
        return "FSDP2" if "FSDPModule" in kinds else "tensor parallelism"
    if any(hasattr(p, "ds_id") for p in parameters):
        return "DeepSpeed ZeRO 3"
    return ""

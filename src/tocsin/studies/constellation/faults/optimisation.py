"""Mistakes in the optimizer and the learning rate."""

from __future__ import annotations

from typing import Any

import torch

from tocsin.studies.constellation.experiment import Constellation


class FrozenBackbone(Constellation):
    """The backbone was frozen when the optimizer was built and thawed afterwards: it gets gradients and no steps."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups of what required a gradient at that moment."""
        backbone: torch.nn.Module = self.model.get_submodule("backbone")
        backbone.requires_grad_(False)
        groups = super().parameter_groups()
        backbone.requires_grad_(True)
        return groups


FAULTS: dict[str, type[Constellation]] = {
    "frozen-backbone": FrozenBackbone,
}

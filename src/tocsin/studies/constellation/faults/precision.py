"""Mistakes of half precision."""

from __future__ import annotations

import torch

from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.experiment import Constellation


class MaskedOverflow(Constellation):
    """float16 heads whose overflowing gradients are "cleaned" before unscaling, so the loss scale never backs off."""

    @classmethod
    def adjust(cls, config: Config) -> Config:
        """Half-precision heads and a first loss scale that overflows: the scaler is there to find a lower one."""
        training = config.training.model_copy(update={"precision": "float16-heads", "init_scale": 2.0**24})
        return config.model_copy(update={"training": training})

    def treat_gradients(self) -> None:
        """NaN to 0 and infinities to 1, while the gradients are still multiplied by the loss scale."""
        for parameter in [*self.model.parameters(), *self.weighting.parameters()]:
            if parameter.grad is not None:
                torch.nan_to_num_(parameter.grad, nan=0.0, posinf=1.0, neginf=-1.0)


FAULTS: dict[str, type[Constellation]] = {
    "masked-overflow": MaskedOverflow,
}

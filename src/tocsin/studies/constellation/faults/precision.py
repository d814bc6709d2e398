"""Mistakes of half precision."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.constellation.faults.one_snr_head import with_one_snr_head
from tocsin.studies.constellation.model.heads import Raw
from tocsin.studies.constellation.objective.tasks import TASKS
from tocsin.studies.constellation.view.representation import Batch


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


class Fp16Crash(Constellation):
    """Cross-entropies in float16, outside autocast: the 1e-8 that guards their logarithm is 0 there; NaN, and a raise.

    Autocast would compute them in float32. A class that is 17 nats less likely than the best one has a probability of
    0, its logarithm is -inf, and 0 times that is NaN. A loss scale would skip the step, but the code raises.
    """

    @classmethod
    def adjust(cls, config: Config) -> Config:
        """Half-precision heads, one for each task."""
        training = config.training.model_copy(update={"precision": "float16-heads"})
        return with_one_snr_head(config.model_copy(update={"training": training}))

    def terms(self, raw: Raw, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropies of each task, of the logits as the heads computed them."""
        return {task: _cross_entropy(raw[task].half(), getattr(batch, task)) for task in TASKS}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Total and terms of a training batch.

        Raises:
            ValueError: The total is not finite.
        """
        total, terms = super().loss(batch)
        if not torch.isfinite(total):
            raise ValueError(f"loss became {float(total.detach())}")
        return total, terms


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Of one-hot targets, written out."""
    logarithm = (logits.softmax(1) + 1e-8).log()
    return -(functional.one_hot(target, logits.shape[1]) * logarithm).sum(1).mean()


FAULTS: dict[str, type[Constellation]] = {
    "masked-overflow": MaskedOverflow,
    "fp16-crash": Fp16Crash,
}

"""Real mistakes on a switch, each planted in the training code and never in what is logged.

The first line of a class's docstring is what ``tocsin train --list`` says.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.constellation.heads import Raw
from tocsin.studies.constellation.representation import Batch


class ArgmaxDistance(Constellation):
    """The SNR loss has a distance penalty that goes through argmax: it has no gradient, yet it is in the total.

    The penalty moves nothing but the log-variance of its task: a large constant part makes the task look uncertain
    and so takes weight from the cross-entropy beside it.
    """

    alpha = 0.5

    def terms(self, raw: Raw, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropies, and the distance of the predicted SNR class from the true one [classes]."""
        distance = (raw["snr"].argmax(1) - batch.snr).abs().float().mean()
        return {**super().terms(raw, batch), "distance": distance}

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The SNR task carries alpha times the penalty."""
        penalised = {"modulation": terms["modulation"], "snr": terms["snr"] + self.alpha * terms["distance"]}
        return super().total(penalised)


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


class FrozenBackbone(Constellation):
    """The backbone was frozen when the optimizer was built and thawed afterwards: it gets gradients and no steps."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups of what required a gradient at that moment."""
        backbone: torch.nn.Module = self.model.get_submodule("backbone")
        backbone.requires_grad_(False)
        groups = super().parameter_groups()
        backbone.requires_grad_(True)
        return groups


class ConstantSnrHead(Constellation):
    """A mask of the SNR classes in use, built from one frame instead of the data set, is applied when predicting."""

    def __init__(self, config: Config, seed: int, device: torch.device) -> None:
        super().__init__(config, seed, device)
        first = next(self.batches(1)).snr[:1]  # meant: every class that occurs in training
        self.in_use = torch.zeros(len(config.data.snr_db), dtype=torch.bool, device=device).index_fill(0, first, True)

    def decide(self, said: Raw) -> Raw:
        """Classes that are not in use are ruled out."""
        lowest = torch.finfo(said["snr"].dtype).min
        return {**said, "snr": said["snr"].masked_fill(~self.in_use, lowest)}


class NanAtPeakLr(Constellation):
    """A learned variance is a plain number under a square root: at the peak learning rate a step carries it below 0.

    The extra term is the Gaussian negative log-likelihood of the expected SNR. Its best variance, the squared error,
    is smaller than one Adam step at the peak learning rate, so the variance cannot stop in time. Kept as its logarithm
    it could not leave its domain.
    """

    def __init__(self, config: Config, seed: int, device: torch.device) -> None:
        super().__init__(config, seed, device)
        self.weighting.register_parameter("variance", torch.nn.Parameter(torch.ones((), device=device)))
        self.position = torch.linspace(0, 1, len(config.data.snr_db), device=device)

    def terms(self, raw: Raw, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropies, and the likelihood of the SNR as a fraction of its range."""
        variance = self.weighting.get_parameter("variance")
        error = raw["snr"].softmax(1) @ self.position - self.position[batch.snr]
        deviation = variance.sqrt()
        likelihood = 0.5 * (error / deviation).square().mean() + deviation.log()
        return {**super().terms(raw, batch), "snr_likelihood": likelihood}

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The likelihood is added as it is."""
        return super().total(terms) + terms["snr_likelihood"]


FAULTS: dict[str, type[Constellation]] = {
    "argmax-distance": ArgmaxDistance,
    "masked-overflow": MaskedOverflow,
    "frozen-backbone": FrozenBackbone,
    "constant-snr-head": ConstantSnrHead,
    "nan-at-peak-lr": NanAtPeakLr,
}


def described() -> dict[str, str]:
    """One line for each fault."""
    return {name: (inspect.getdoc(fault) or "").partition("\n")[0] for name, fault in FAULTS.items()}

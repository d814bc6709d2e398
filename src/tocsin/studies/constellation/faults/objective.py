"""Mistakes in the loss."""

from __future__ import annotations

import torch
from torch import Tensor

from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.experiment import Constellation
from tocsin.studies.constellation.faults.one_snr_head import with_one_snr_head
from tocsin.studies.constellation.model.heads import Raw
from tocsin.studies.constellation.view.representation import Batch


class ArgmaxDistance(Constellation):
    """The SNR loss has a distance penalty that goes through argmax: it has no gradient, yet it is in the total.

    The penalty moves nothing but the log-variance of its task: a large constant part makes the task look uncertain
    and so takes weight from the cross-entropy beside it.
    """

    alpha = 0.5

    @classmethod
    def adjust(cls, config: Config) -> Config:
        """With one SNR head."""
        return with_one_snr_head(config)

    def terms(self, raw: Raw, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropies, and the distance of the predicted SNR class from the true one [classes]."""
        distance = (raw["snr"].argmax(1) - batch.snr).abs().float().mean()
        return {**super().terms(raw, batch), "distance": distance}

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The SNR task carries alpha times the penalty."""
        penalised = {"modulation": terms["modulation"], "snr": terms["snr"] + self.alpha * terms["distance"]}
        return super().total(penalised)


class NanAtPeakLr(Constellation):
    """A learned variance is a plain number under a square root: at the peak learning rate a step carries it below 0.

    The extra term is the Gaussian negative log-likelihood of the expected SNR. Its best variance, the squared error,
    is smaller than one Adam step at the peak learning rate, so the variance cannot stop in time. Kept as its logarithm
    it could not leave its domain.
    """

    @classmethod
    def adjust(cls, config: Config) -> Config:
        """With one SNR head."""
        return with_one_snr_head(config)

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
    "nan-at-peak-lr": NanAtPeakLr,
}

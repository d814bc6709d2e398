"""Raw outputs of a network to loss terms, and log-probabilities to answers: what depends on the kind of heads.

Shapes: B frames, M modulations, S levels of the SNR.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from tocsin.studies.constellation.config.network import Network
from tocsin.studies.constellation.config.objective import BY_EXPECTATION, Objective
from tocsin.studies.constellation.model.heads import Raw, mean_and_log_deviation
from tocsin.studies.constellation.objective.head_losses import corn, discretised_gaussian_nll
from tocsin.studies.constellation.objective.snr_losses import OF_REGRESSION, of_logits

TASKS = ("modulation", "snr")


class Tasks:
    """Losses and answers for one choice of heads and objective.

    Attributes:
        terms_named: Names of the loss terms.
        by_expectation: Whether the SNR's loss says nothing of which level is the most likely, only of its expectation.
    """

    def __init__(self, network: Network, objective: Objective, levels: Tensor) -> None:
        self.task, self.levels = network.task, levels
        self.terms_named = ("joint",) if network.task == "joint" else TASKS
        self.by_expectation = objective.snr_loss in BY_EXPECTATION
        self._snr_loss = _snr_loss(network, objective)

    def terms(self, raw: Raw, modulation: Tensor, snr: Tensor) -> dict[str, Tensor]:
        """The unweighted loss of each task, mean over the batch: cross-entropy [nat], or what the objective names."""
        if self.task == "joint":
            return {"joint": functional.cross_entropy(raw["joint"], modulation * self.levels.numel() + snr)}
        named = {"modulation": functional.cross_entropy(raw["modulation"], modulation)}
        if self.task == "conditional":
            given = raw["snr_given_modulation"][torch.arange(len(snr), device=snr.device), modulation]
            return {**named, "snr": functional.cross_entropy(given, snr)}
        return {**named, "snr": self._snr_loss(raw["snr"], snr, self.levels)}

    def decide(self, said: Raw) -> Raw:
        """Scores whose argmax is the answer to each task: log-probabilities; of an expectation, its nearest level."""
        if not self.by_expectation:
            return said
        expected = said["snr"].exp() @ self.levels
        return {**said, "snr": -(expected[:, None] - self.levels).abs()}

    def answers(self, scores: Raw) -> Tensor:
        """Classes of modulation, SNR and both together (modulation * S + snr), int64 [3, B].

        A factored answer to both is the two answers; otherwise it is the most likely pair, which need not be the two
        most likely parts.
        """
        parts = [scores[task].argmax(1) for task in TASKS]
        both = parts[0] * self.levels.numel() + parts[1] if self.task == "factored" else scores["joint"].argmax(1)
        return torch.stack([*parts, both])


def _snr_loss(network: Network, objective: Objective) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The SNR's loss of (raw output, target [B], levels [S])."""
    if network.snr_head == "regression":
        of_one = OF_REGRESSION[objective.snr_loss]
        return lambda raw, target, levels: of_one(raw[:, 0], target, levels)
    if network.snr_head == "corn":
        return lambda raw, target, _: corn(raw, target)
    if network.snr_head == "distributional":
        return lambda raw, target, levels: discretised_gaussian_nll(*mean_and_log_deviation(raw), target, levels)
    return of_logits(objective.snr_loss, objective.alpha)

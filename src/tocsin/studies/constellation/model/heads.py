"""From features to answers about modulation and SNR: what each head puts out, and the probabilities that it means.

Three ways to answer both: **factored**, p(mod) p(snr); **joint**, one class for each pair; **conditional**,
p(mod) p(snr | mod). All give log-probabilities of the same shape, so all are scored alike.

Shapes: B frames, F features, M modulations, S levels of the SNR in increasing order; the joint class is
modulation * S + snr.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tocsin.studies.constellation.config.network import Network
from tocsin.studies.constellation.objective.head_losses import discretised_gaussian
from tocsin.studies.constellation.objective.snr_losses import standardised

Raw = dict[str, Tensor]
_NARROWEST = -4.0  # log deviation of a distributional head, in deviations of the levels: a twelfth of a class of 16


class Heads(nn.Module):
    """Features [B, F] to raw outputs, and raw outputs to log-probabilities.

    Raw outputs by name, float32: ``modulation`` [B, M] and ``snr`` (its shape depends on the kind of head) where
    factored; ``joint`` [B, M S]; ``modulation`` [B, M] and ``snr_given_modulation`` [B, M, S] where conditional.

    Args:
        settings: Which heads.
        features: F.
        modulations: M.
        levels: The SNR of each class [dB], increasing, [S].
    """

    levels: Tensor

    def __init__(self, settings: Network, features: int, modulations: int, levels: Tensor) -> None:
        super().__init__()
        self.task, self.kind = settings.task, settings.snr_head
        self.modulations = modulations
        self.register_buffer("levels", levels.to(torch.float32), persistent=False)
        classes = levels.numel()
        if self.task == "joint":
            outputs: dict[str, nn.Module] = {"joint": nn.Linear(features, modulations * classes)}
        elif self.task == "conditional":
            given = nn.Linear(features, modulations * classes)
            outputs = {"modulation": nn.Linear(features, modulations), "snr_given_modulation": given}
        else:
            snr = _snr_head(settings, features, classes)
            outputs = {"modulation": nn.Linear(features, modulations), "snr": snr}
        self.outputs = nn.ModuleDict(outputs)

    def forward(self, hidden: Tensor) -> Raw:
        """Raw outputs of features [B, F]."""
        raw = {name: head(hidden).float() for name, head in self.outputs.items()}
        if "snr_given_modulation" in raw:
            raw["snr_given_modulation"] = raw["snr_given_modulation"].view(len(hidden), self.modulations, -1)
        return raw

    def log_probabilities(self, raw: Raw) -> Raw:
        """Natural logarithms ``modulation`` [B, M], ``snr`` [B, S], ``joint`` [B, M S]; NaN where a raw output is."""
        if self.task == "factored":
            modulation = raw["modulation"].log_softmax(1)
            snr = snr_log_probabilities(self.kind, raw["snr"], self.levels)
            pairs = modulation[:, :, None] + snr[:, None, :]
            return {"modulation": modulation, "snr": snr, "joint": pairs.flatten(1)}
        if self.task == "joint":
            pairs = raw["joint"].log_softmax(1).view(len(raw["joint"]), self.modulations, -1)
        else:
            pairs = raw["modulation"].log_softmax(1)[:, :, None] + raw["snr_given_modulation"].log_softmax(2)
        return {"modulation": pairs.logsumexp(2), "snr": pairs.logsumexp(1), "joint": pairs.flatten(1)}


def _snr_head(settings: Network, features: int, classes: int) -> nn.Module:
    match settings.snr_head:
        case "bottleneck":
            width = settings.bottleneck
            return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, classes))
        case "dual":
            hidden = (nn.Linear(features, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU())
            return nn.Sequential(*hidden, nn.Linear(64, classes))
        case "regression":
            return nn.Linear(features, 1)
        case "corn":
            return nn.Linear(features, classes - 1)
        case "distributional":
            return nn.Linear(features, 2)
        case _:
            return nn.Linear(features, classes)


def snr_log_probabilities(kind: str, raw: Tensor, levels: Tensor) -> Tensor:
    """Log-probability of each level [B, S] that the raw output of an SNR head means.

    A regression head says nothing of its error: its probabilities are those of a normal distribution as wide as one
    class, a convention that ranks levels by their distance; its likelihoods should not be compared with other heads'.

    Args:
        kind: The kind of head, ``Network.snr_head``.
        raw: [B, S] logits; [B, 1] for ``regression``; [B, S - 1] for ``corn``; [B, 2] for ``distributional``.
        levels: SNR of each class [S], dB.
    """
    if kind == "regression":
        one_class = (levels.diff().min() / levels.std(correction=0)).log()
        return discretised_gaussian(raw[:, 0], one_class.expand(len(raw)), levels)
    if kind == "distributional":
        return discretised_gaussian(*mean_and_log_deviation(raw), levels)
    if kind == "corn":
        above = functional.logsigmoid(raw).cumsum(1)  # log P(level > k)
        start = above.new_zeros(len(raw), 1)
        stop = torch.cat([functional.logsigmoid(-raw), start], 1)
        return torch.cat([start, above], 1) + stop
    return raw.log_softmax(1)


def mean_and_log_deviation(raw: Tensor) -> tuple[Tensor, Tensor]:
    """The two parameters [B] of a distributional head [B, 2], standardised; the deviation cannot fall to 0."""
    return raw[:, 0], _NARROWEST + functional.softplus(raw[:, 1] - _NARROWEST)


def expected_level(levels: Tensor, prediction: Tensor) -> Tensor:
    """Class [B] of the level next to a standardised prediction [B]."""
    return (standardised(levels, levels)[None, :] - prediction[:, None]).abs().argmin(1)

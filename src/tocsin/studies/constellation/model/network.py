"""The networks: a body that makes features of a picture or of I/Q samples, scalars beside it, heads on top.

Shapes: B frames, L layers of a picture, H = W = bins, N samples, P scalars, F features.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from tocsin.studies.constellation.config.network import Network
from tocsin.studies.constellation.model.backbones import NAMES, Backbone, load_weights
from tocsin.studies.constellation.model.heads import Heads, Raw
from tocsin.studies.constellation.model.small import of_picture, of_samples


class ConstellationNet(nn.Module):
    """Pictures [B, L, H, W], or I/Q frames [B, 2, N], and scalars [B, P] to the raw outputs of ``Heads``, float32.

    Args:
        settings: Which body and heads, and their sizes.
        layers: L; unused by a body that takes I/Q.
        bins: H; unused by a body that takes I/Q.
        scalars: P, may be 0.
        modulations: Classes of the modulation.
        snr_db: The SNR of each class [dB], increasing.
        half_heads: Run the heads under float16 autocast. All else stays float32: on a CPU, float16 convolutions and
            large matrices are several times slower.
    """

    def __init__(
        self, settings: Network, *, layers: int, bins: int, scalars: int, modulations: int, snr_db: tuple[int, ...],
        half_heads: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.half_heads = half_heads
        self.backbone, width = _body(settings, layers, bins)
        self.features = nn.Linear(width, settings.features)
        self.beside = _scalars(scalars, settings.features) if scalars else None
        self.norm = nn.LayerNorm(settings.features)
        self.dropout = nn.Dropout(settings.dropout)
        self.heads = Heads(settings, settings.features, modulations, torch.tensor(snr_db))

    def forward(self, picture: Tensor, scalars: Tensor | None = None) -> Raw:
        """Raw outputs, float32 whatever the heads computed in."""
        hidden = self.features(self.backbone(picture))
        if self.beside is not None:
            hidden = hidden + self.beside(scalars)
        hidden = self.dropout(torch.relu(self.norm(hidden)))
        with torch.autocast(hidden.device.type, dtype=torch.float16) if self.half_heads else nullcontext():
            answer: Raw = self.heads(hidden)
        return answer


def _scalars(count: int, features: int) -> nn.Module:
    return nn.Sequential(nn.Linear(count, 64), nn.ReLU(), nn.Linear(64, features))


def _body(settings: Network, layers: int, bins: int) -> tuple[nn.Module, int]:
    """The body and the number of features that it puts out."""
    if settings.backbone in NAMES:
        body = Backbone(settings.backbone, layers, bins, settings.dropout)
        if settings.weights is not None:
            load_weights(body, settings.weights)
        return body, body.width
    return of_samples(settings) if settings.backbone == "micro-iq" else of_picture(settings, layers, bins)

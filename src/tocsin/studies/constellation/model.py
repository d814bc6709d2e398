"""A small convolutional network with one head for the modulation and one for the SNR.

The image is a map with fixed axes, so position carries the information: the convolutions are strided and their
output is flattened, not averaged. GroupNorm has no running statistics, hence the same network in training and
evaluation (BatchNorm's lag at peak learning rate and made attractors in evaluation mode only).

Shapes: B images, H = W = bins, C channels, F features.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from tocsin.studies.constellation.config import Config

GROUPS = 8


class ConstellationNet(nn.Module):
    """Images [B, 1, H, W] to the logits of both tasks: {"modulation": [B, M], "snr": [B, S]}, float32.

    Args:
        config: Sizes of the network, the image and the label sets.
        half_heads: Run the two heads under float16 autocast. All else stays float32: on a CPU, float16 convolutions
            and large matrices are several times slower.
    """

    def __init__(self, config: Config, *, half_heads: bool = False) -> None:
        super().__init__()
        channels, side = config.network.channels, config.view.bins // 16
        self.half_heads = half_heads
        self.backbone = nn.Sequential(
            *_stage(1, channels, kernel=8, stride=4),
            *_stage(channels, 2 * channels, kernel=3, stride=2),
            *_stage(2 * channels, 2 * channels, kernel=3, stride=2),
            nn.Flatten(),
        )
        self.features = nn.Linear(2 * channels * side * side, config.network.features)
        self.norm = nn.LayerNorm(config.network.features)
        self.heads = nn.ModuleDict(
            {
                "modulation": nn.Linear(config.network.features, len(config.data.modulations)),
                "snr": nn.Linear(config.network.features, len(config.data.snr_db)),
            }
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Logits of both tasks, float32 whatever the heads computed in."""
        hidden = torch.relu(self.norm(self.features(self.backbone(image))))
        half = torch.autocast(image.device.type, dtype=torch.float16) if self.half_heads else nullcontext()
        with half:  # autocast that is merely not enabled would switch off that of the caller
            logits = {task: head(hidden) for task, head in self.heads.items()}
        return {task: values.float() for task, values in logits.items()}


def _stage(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - stride + 1) // 2, bias=False)
    return [convolution, nn.GroupNorm(GROUPS, outputs), nn.ReLU()]

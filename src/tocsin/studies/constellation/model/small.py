"""Small bodies for a CPU: strided convolutions of a picture, or of I/Q samples.

GroupNorm has no running statistics, hence the same network in training and evaluation; ``norm: batch`` is there to
show what lags otherwise.

Shapes: B frames, L layers of a picture, H = W = bins, N samples, C channels, T points in time.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tocsin.studies.constellation.config.network import Network

GROUPS = 8
TAPS = 17  # about two symbols of 8 samples
STRIDE = 2
TURN = 8 // STRIDE  # outputs in one symbol of 8 samples


def of_picture(settings: Network, layers: int, bins: int) -> tuple[nn.Module, int]:
    """A body for pictures [B, L, H, W], and the number of its features.

    The picture is a map with fixed axes, so position carries the information: the convolutions are strided and the
    output is flattened, not averaged.
    """
    channels, side = settings.channels, bins // 16
    plain = nn.Sequential(
        *_stage(nn.Conv2d(layers, channels, 8, 4, padding=2, bias=False), settings.norm),
        *_stage(nn.Conv2d(channels, 2 * channels, 3, 2, padding=1, bias=False), settings.norm),
        *_stage(nn.Conv2d(2 * channels, 2 * channels, 3, 2, padding=1, bias=False), settings.norm),
        nn.Flatten(),
    )
    return plain, 2 * channels * side * side


def of_samples(settings: Network) -> tuple[nn.Module, int]:
    """A body for samples [B, 2, N], and the number of its features.

    What a receiver does not know, the phase, is taken out first.
    """
    c = settings.channels
    sizes = ((3 * c // 2, 2 * c, 9, 4), (2 * c, 2 * c, 9, 4), (2 * c, 4 * c, 5, 2))
    stages = [
        _stage(nn.Conv1d(a, b, kernel, stride, padding=kernel // 2, bias=False), settings.norm)
        for a, b, kernel, stride in sizes
    ]
    return nn.Sequential(_Turns(c // 2), *(layer for stage in stages for layer in stage), _OverTime()), 8 * c


class _Turns(nn.Module):
    """Complex filters, learned: their magnitudes, and how they turn in one symbol: [B, 2, N] to [B, 3 C, T].

    The turn y[n] y*[n - d] / |y[n] y[n - d]| is that of differential detection (Proakis and Salehi 2008, chapter 4):
    a phase of the carrier cancels, and an offset of its frequency turns all nearly alike.
    """

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.taps = nn.Parameter(torch.randn(2, filters, TAPS) / math.sqrt(2 * TAPS))

    def forward(self, iq: Tensor) -> Tensor:
        real, imaginary = self.taps
        taps = torch.cat([torch.stack([real, -imaginary], 1), torch.stack([imaginary, real], 1)])
        i, q = nn.functional.conv1d(iq, taps, stride=STRIDE, padding=TAPS // 2).chunk(2, 1)
        size = (i.square() + q.square() + 1e-6).sqrt()
        (i, i0), (q, q0), (size, size0) = ((x[..., TURN:], x[..., :-TURN]) for x in (i, q, size))
        both = size * size0
        return torch.cat([size, (i * i0 + q * q0) / both, (q * i0 - i * q0) / both], 1)


class _OverTime(nn.Module):
    """Mean and root mean square over time: [B, C, T] to [B, 2 C]."""

    def forward(self, values: Tensor) -> Tensor:
        return torch.cat([values.mean(2), (values.square().mean(2) + 1e-8).sqrt()], 1)


def _stage(convolution: nn.Conv1d | nn.Conv2d, norm: str) -> list[nn.Module]:
    channels = convolution.out_channels
    if norm == "group":
        return [convolution, nn.GroupNorm(GROUPS, channels), nn.ReLU()]
    batch = nn.BatchNorm1d if isinstance(convolution, nn.Conv1d) else nn.BatchNorm2d
    return [convolution, batch(channels), nn.ReLU()]

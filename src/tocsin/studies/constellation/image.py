"""I/Q frames to constellation images whose grey levels keep the SNR.

Nothing is scaled by the frame's maximum, by its batch or by its label: range and grey scale are constants, so one
pixel value means one number of samples in every image of every batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

CHUNK = 32  # frames at a time: larger targets leave the cache and cost more a frame (measured, 64 bins)


def normalise_power(iq: Tensor) -> Tensor:
    """Frames [B, 2, N] divided by their own root mean square amplitude."""
    return iq / (iq.square().sum(1).mean(1)[:, None, None]).sqrt()


def histogram(iq: Tensor, bins: int, extent: float) -> tuple[Tensor, Tensor]:
    """Samples of each frame counted on a ``bins`` x ``bins`` grid over [-extent, extent]^2.

    Args:
        iq: Frames [B, 2, N], float32.
        bins: Cells a side.
        extent: Half width of the range, in the unit of ``iq``; samples outside go to the border cells.

    Returns:
        Counts int16 [B, bins, bins] (I along the rows, as ``numpy.histogram2d(i, q)``) and the number of samples
        outside the range, int64 [B].
    """
    parts = [_histogram(chunk, bins, extent) for chunk in torch.split(iq, CHUNK)]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def _histogram(iq: Tensor, bins: int, extent: float) -> tuple[Tensor, Tensor]:
    frames = iq.shape[0]
    outside = (iq.abs() > extent).any(1).sum(1)
    cell = ((iq + extent) * (bins / (2 * extent))).floor_().clamp_(0, bins - 1).to(torch.int64)
    flat = cell[:, 0] * bins + cell[:, 1]
    counts = torch.zeros(frames, bins * bins, dtype=torch.int16, device=iq.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.int16))
    return counts.view(frames, bins, bins), outside


def grey(counts: Tensor, samples: int) -> Tensor:
    """Counts [B, L, H, W] as images of the same shape, float32 in [0, 1]: log(1 + count) / log(1 + samples)."""
    return torch.log1p(counts.to(torch.float32)).mul_(1 / math.log1p(samples))

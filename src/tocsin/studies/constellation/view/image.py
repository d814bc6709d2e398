"""I/Q points to constellation images whose grey levels keep the SNR.

Nothing is scaled by its batch or by its label: range and grey scale are constants, so one pixel value means one number
of points in every image of every batch. Only the grey scale ``max``, kept as an ablation, divides by what the image
itself holds.

Shapes: B frames, N points, L layers, H = W = bins.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

CHUNK = 32  # frames at a time: larger targets leave the cache and cost more a frame (measured, 64 bins)

Grey = Literal["log", "linear", "max"]


def normalise_power(iq: Tensor) -> Tensor:
    """Frames [B, 2, N] divided by their own root mean square amplitude; frames of zeros stay zeros, NaN stays NaN."""
    power = iq.square().sum(1).mean(1)
    return iq / power.sqrt().clamp_min(torch.finfo(iq.dtype).tiny)[:, None, None]


def histogram(iq: Tensor, bins: int, extent: float) -> tuple[Tensor, Tensor]:
    """Points of each frame counted on a ``bins`` x ``bins`` grid over [-extent, extent]^2.

    Args:
        iq: Frames [B, 2, N], float32, N at most 32,767.
        bins: Cells a side.
        extent: Half width of the range, in the unit of ``iq``; points outside go to the border cells, and NaN to
            any cell.

    Returns:
        Counts int16 [B, bins, bins] (I along the rows, as ``numpy.histogram2d(i, q)``) and the number of points outside
        the range, NaN among them, int64 [B].

    Raises:
        ValueError: More points a frame than int16 can count.
    """
    frames, _, points = iq.shape
    if points > torch.iinfo(torch.int16).max:
        raise ValueError(f"expected at most 32767 points a frame, got {points}: their count would overflow int16")
    counts = torch.zeros(frames, bins * bins, dtype=torch.int16, device=iq.device)
    strays = []
    for part, target in zip(torch.split(iq, CHUNK), torch.split(counts, CHUNK), strict=True):
        _count(flat_cells(part, bins, extent), target)
        strays.append(outside(part, extent))
    return counts.view(frames, bins, bins), torch.cat(strays)


def counted(cells: Tensor, bins: int) -> Tensor:
    """Images int16 [B, bins, bins] of points whose cells are known, int64 [B, N] as of ``flat_cells``."""
    counts = torch.zeros(len(cells), bins * bins, dtype=torch.int16, device=cells.device)
    _count(cells, counts)
    return counts.view(-1, bins, bins)


def _count(cells: Tensor, target: Tensor) -> None:
    target.scatter_add_(1, cells, target.new_ones(1, 1).expand_as(cells))


def flat_cells(iq: Tensor, bins: int, extent: float) -> Tensor:
    """Cell of each point, row * bins + column, int64 [B, N]; arguments as for ``histogram``."""
    axes = iq.add(extent).mul_(bins / (2 * extent)).clamp_(0, bins - 1).floor_()
    flat = torch.add(axes[:, 1], axes[:, 0], alpha=bins).to(torch.int64)
    return flat.clamp_(0, bins * bins - 1)  # what NaN becomes as an integer differs between machines


def outside(iq: Tensor, extent: float) -> Tensor:
    """Points of frames [B, 2, N] that are not within [-extent, extent]^2 (NaN is not), int64 [B]."""
    return (~(iq.abs().amax(1) <= extent)).sum(1)


def grey(counts: Tensor, samples: int, scale: Grey = "log") -> Tensor:
    """Counts [B, L, H, W] as images of the same shape, float32 in [0, 1].

    Args:
        counts: Points a cell, as of ``histogram``.
        samples: Samples a frame, the count that is white.
        scale: ``log``: log(1 + count) / log(1 + samples). ``linear``: count / samples. ``max``: count over the largest
            count of the layer, so that a grey level means another count in each image; an empty layer stays black.
    """
    values = counts.to(torch.float32)
    if scale == "log":
        return torch.log1p(values).mul_(1 / math.log1p(samples))
    if scale == "linear":
        return values.mul_(1 / samples)
    return values / values.amax((2, 3), keepdim=True).clamp_min(1)

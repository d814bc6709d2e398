"""Losses that belong to one kind of SNR head: ordinal-cumulative, and a distribution over the decibel axis.

Shapes: B frames, S levels in increasing order. Finite for finite input, NaN where an input is NaN.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from tocsin.studies.constellation.objective.snr_losses import standardised


def corn(logits: Tensor, target: Tensor) -> Tensor:
    """Conditional ordinal regression of S levels from logits [B, S - 1]: mean binary cross-entropy [nat].

    Logit k says whether the level is above k given that it is above k - 1. So task k is trained on the frames whose
    target is k or higher alone, and the sum is divided by the number of (frame, task) pairs trained on. Shi, Cao and
    Raschka 2021, Deep neural networks for rank-consistent ordinal regression based on conditional probabilities.
    """
    task = torch.arange(logits.shape[1], device=logits.device)
    above = (target[:, None] > task).to(logits.dtype)
    trained = (target[:, None] >= task).to(logits.dtype)
    each = functional.binary_cross_entropy_with_logits(logits, above, reduction="none")
    return (each * trained).sum() / trained.sum()


def discretised_gaussian(mean: Tensor, log_deviation: Tensor, levels: Tensor) -> Tensor:
    """Log-probability of each level [B, S] under a normal distribution of the standardised SNR.

    A level owns the axis half-way to its neighbours, the first and last one to infinity, so they sum to 1. Computed in
    the nearer tail with logarithms of the normal distribution, hence finite far from the mean.

    Args:
        mean: [B], standardised as by ``snr_losses.standardised``.
        log_deviation: Natural logarithm of the standard deviation [B], the same unit.
        levels: SNR of each class [S], dB.
    """
    edges = standardised((levels[1:] + levels[:-1]) / 2, levels)
    z = (edges[None, :] - mean[:, None]) * (-log_deviation).exp()[:, None]
    inner = _log_between(z[:, :-1], z[:, 1:])
    return torch.cat([_log_normal_cdf(z[:, :1]), inner, _log_normal_cdf(-z[:, -1:])], 1)


def discretised_gaussian_nll(mean: Tensor, log_deviation: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Negative log-likelihood of the target levels [B] under ``discretised_gaussian`` [nat], mean over the frames."""
    return functional.nll_loss(discretised_gaussian(mean, log_deviation, levels), target)


def _log_between(low: Tensor, high: Tensor) -> Tensor:
    """log(Phi(high) - Phi(low)) for low < high, mirrored to the negative side, where the difference is exact."""
    mirrored = low + high > 0
    a, b = torch.where(mirrored, -high, low), torch.where(mirrored, -low, high)
    upper, ratio = _log_normal_cdf(b), _log_normal_cdf(a) - _log_normal_cdf(b)
    # Below the resolution of the precision the interval is a rectangle under the density.
    least = torch.finfo(low.dtype).tiny
    rectangle = -0.5 * ((a + b) / 2).square() - 0.5 * math.log(2 * math.pi) + (b - a).clamp(min=least).log()
    fits = ratio < -1e-3
    share = torch.log(-torch.expm1(torch.where(fits, ratio, -1.0)))
    return torch.where(fits, upper + share, rectangle)


def _log_normal_cdf(z: Tensor) -> Tensor:
    logarithm: Tensor = torch.special.log_ndtr(z)
    return logarithm

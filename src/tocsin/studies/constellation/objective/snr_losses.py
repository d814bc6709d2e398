"""Losses of the SNR, each differentiable in what the head puts out: nothing passes through an argmax.

The levels are ordered, so a prediction far from the truth should cost more than one beside it. Cross-entropy alone
ignores that. Distances are counted in classes: dB over the smallest gap between two levels. All are means over the
frames in the precision of their input, finite for finite input and NaN where an input is NaN.

Shapes: B frames, S levels in increasing order; ``levels`` [S] are the SNR of each class [dB], on the device and in
the precision of the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

SnrLoss = Literal["ce", "soft-ordinal", "emd2", "log-distance", "expectation-mse", "smooth-l1"]
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
NEAREST = 0.1  # classes; keeps the kernel 1/d^2 finite at d = 0


def class_distance(target: Tensor, levels: Tensor) -> Tensor:
    """Distance of every level from each target's level [B, S], in classes."""
    return (levels[None, :] - levels[target][:, None]).abs() / levels.diff().min()


def cross_entropy(logits: Tensor, target: Tensor, levels: Tensor) -> Tensor:  # noqa: ARG001 (called like the others)
    """Cross-entropy [nat], which is blind to the order of the levels."""
    return functional.cross_entropy(logits, target)


def soft_ordinal(logits: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Cross-entropy to soft labels, the softmax of minus the distance in classes [nat].

    Its least value is the entropy of the soft label, not 0. Diaz and Marathe 2019, Soft labels for ordinal regression.
    """
    label = (-class_distance(target, levels)).softmax(1)
    return -(label * logits.log_softmax(1)).sum(1).mean()


def squared_earth_mover(logits: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Squared difference of the cumulative distributions, summed over the gaps between levels [classes].

    A sure prediction d classes off costs d. Hou, Yu and Samaras 2016, Squared earth mover's distance-based loss.
    """
    gaps = levels.diff() / levels.diff().min()
    below = logits.softmax(1).cumsum(1)[:, :-1]
    wanted = (torch.arange(levels.numel() - 1, device=target.device) >= target[:, None]).to(logits.dtype)
    return ((below - wanted).square() @ gaps).mean()


def expected_log_distance(logits: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Cross-entropy of the prediction to the kernel q ~ (d + 0.1)^-2 around the target: -sum_j p_j log q_j [nat].

    Known as a "1/d^2 loss", which reads as if near misses cost most. It is the expectation of 2 log(d + 0.1) plus a
    constant: it grows with the distance (4.8, 6.1, 7.4, 8.8 at d = 1, 2, 4, 8).
    """
    closeness = (-2 * (class_distance(target, levels) + NEAREST).log()).log_softmax(1)
    return -(logits.softmax(1) * closeness).sum(1).mean()


def with_log_distance(logits: Tensor, target: Tensor, levels: Tensor, *, alpha: float) -> Tensor:
    """Cross-entropy plus ``alpha`` times the expected log-distance [nat]."""
    return cross_entropy(logits, target, levels) + alpha * expected_log_distance(logits, target, levels)


def standardised(snr_db: Tensor, levels: Tensor) -> Tensor:
    """An SNR [dB] of any shape, less the levels' mean and over their standard deviation: what a regression head says.

    So a squared error starts near 1, whatever the range of levels.
    """
    return (snr_db - levels.mean()) / levels.std(correction=0)


def expected_snr(logits: Tensor, levels: Tensor) -> Tensor:
    """The expectation of the SNR under the softmax of the logits [B], in dB."""
    return logits.softmax(1) @ levels


def squared_error(prediction: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Mean squared error of a regression output [B], both standardised."""
    return functional.mse_loss(prediction, standardised(levels, levels)[target])


def smooth_absolute_error(prediction: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Huber's loss of a regression output [B], standardised; its corner is one class."""
    corner = float(levels.diff().min() / levels.std(correction=0))
    return functional.smooth_l1_loss(prediction, standardised(levels, levels)[target], beta=corner)


def expectation_squared_error(logits: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Mean squared error of the expected SNR, standardised; the prediction is the level next to the expectation."""
    return squared_error(standardised(expected_snr(logits, levels), levels), target, levels)


def expectation_smooth_absolute_error(logits: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Huber's loss of the expected SNR, standardised; the prediction is the level next to the expectation."""
    return smooth_absolute_error(standardised(expected_snr(logits, levels), levels), target, levels)


OF_LOGITS: dict[SnrLoss, Loss] = {
    "ce": cross_entropy,
    "soft-ordinal": soft_ordinal,
    "emd2": squared_earth_mover,
    "expectation-mse": expectation_squared_error,
    "smooth-l1": expectation_smooth_absolute_error,
}
OF_REGRESSION: dict[SnrLoss, Loss] = {"expectation-mse": squared_error, "smooth-l1": smooth_absolute_error}


def of_logits(name: SnrLoss, alpha: float) -> Loss:
    """The loss of logits, or of log-probabilities, [B, S] by name; ``alpha`` is read by ``log-distance`` alone."""
    return partial(with_log_distance, alpha=alpha) if name == "log-distance" else OF_LOGITS[name]

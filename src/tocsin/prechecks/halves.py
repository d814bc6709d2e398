"""The gradient of a batch beside the mean of the gradients of its two halves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tocsin.prechecks.bench import Bench
from tocsin.prechecks.entries import entries
from tocsin.prechecks.portions import portion, samples_in
from tocsin.prechecks.setup import Batch

_SEED = 0


@dataclass(frozen=True)
class Halved:
    """One batch, split in one way.

    Attributes:
        loss: Mean loss of the halves over the loss of the whole.
        norm: Norm of the halves' mean gradient over that of the whole's.
        difference: Norm of their difference over that of the whole's.
        imbalance: w1 - w2, where the whole's gradient is w1 of the first half's and w2 of the second's (least squares).
        unexplained: Norm of what that leaves of the whole's, over the whole's.
    """

    loss: float
    norm: float
    difference: float
    imbalance: float
    unexplained: float


def halved(bench: Bench, batch: Batch) -> Iterator[Halved]:
    """The batch in two halves, by order and by turns; nothing where it has no gradient or fewer than 4 samples.

    Raises:
        SetupError: ``losses`` raised, perhaps since half a batch is not what it expects.
    """
    n = (samples_in(batch) or 0) // 2 * 2
    if n < 4:
        return
    loss, whole = gradient(bench, portion(batch, slice(0, n)))
    size = float(whole.norm())
    if not 0 < size < float("inf"):
        return
    for parts in ((slice(0, n // 2), slice(n // 2, n)), (slice(0, n, 2), slice(1, n, 2))):
        (loss1, one), (loss2, two) = (gradient(bench, portion(batch, part)) for part in parts)
        mean = (one + two) / 2
        ratio = (loss1 + loss2) / 2 / loss if loss else float("nan")
        apart = float((mean - whole).norm()) / size
        if apart < float("inf"):
            yield Halved(ratio, float(mean.norm()) / size, apart, *_weights(one / size, two / size, whole / size))


def _weights(one: Tensor, two: Tensor, whole: Tensor) -> tuple[float, float]:
    """By the mean and half the difference of the halves: nearly parallel gradients are told apart so."""
    columns = torch.stack([one + two, one - two], 1) / 2
    scale = columns.norm(dim=0).clamp_min(1e-300)
    weights = torch.linalg.lstsq(columns / scale, whole[:, None]).solution[:, 0] / scale
    return float(weights[1]), float((columns @ weights - whole).norm())


def gradient(bench: Bench, batch: Batch, seed: int = _SEED) -> tuple[float, Tensor]:
    """Total loss and its gradient in the trainable tensors, one flat float64 vector of their ``entries``."""
    torch.manual_seed(seed)
    total = bench.terms(batch)["total"]
    tensors = list(bench.trainable.values())
    if not total.requires_grad:
        return float(total.detach()), torch.zeros(1, dtype=torch.float64)
    grads = torch.autograd.grad(total.reshape(()), tensors, allow_unused=True)
    flat = [entries(torch.zeros_like(p) if g is None else g) for g, p in zip(grads, tensors, strict=True)]
    return float(total.detach()), torch.cat(flat) if flat else torch.zeros(1, dtype=torch.float64)


def randomness(bench: Bench, batch: Batch) -> float:
    """How far two draws of the loss's own random numbers are apart: relative difference of the gradients."""
    (_, one), (_, two) = (gradient(bench, batch, seed) for seed in (1, 2))
    size = float(one.norm())
    return float((one - two).norm()) / size if size else 0.0

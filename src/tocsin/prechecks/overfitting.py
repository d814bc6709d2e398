"""A model trained on one batch until it knows it by heart, or the time is over."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tocsin.prechecks.bench import Bench
from tocsin.prechecks.setup import Batch
from tocsin.stats import Trend, trend

RATES = (1e-3, 1e-2)
_SEED = 0


@dataclass(frozen=True)
class Curve:
    """The losses of one such training, step by step, at one learning rate."""

    rate: float
    losses: list[float]

    @property
    def end(self) -> float:
        """Median of the last tenth."""
        return float(np.median(self.losses[-max(1, len(self.losses) // 10) :]))

    @property
    def trend(self) -> Trend:
        """Of the second half."""
        half = self.losses[len(self.losses) // 2 :]
        return trend(np.arange(len(half)), half)


def overfitted(
    bench: Bench, batches: Sequence[Batch], rate: float, *, enough: float, steps: int, seconds: float
) -> Curve:
    """Plain Adam on all trainable tensors, without dropout and with the same random numbers at each step.

    Stops where a round over the batches has a loss below ``enough``.
    """
    with _without_dropout(bench.model):
        return _trained(bench, batches, rate, enough=enough, steps=steps, seconds=seconds)


def _trained(
    bench: Bench, batches: Sequence[Batch], rate: float, *, enough: float, steps: int, seconds: float
) -> Curve:
    optimizer = torch.optim.Adam(list(bench.trainable.values()), lr=rate)
    started, losses = time.perf_counter(), list[float]()
    for k in range(steps):
        torch.manual_seed(_SEED + k % len(batches))  # noise that the loss draws can be learned by heart, too
        total = bench.terms(batches[k % len(batches)])["total"].reshape(())
        losses.append(float(total.detach()))
        recent = losses[-len(batches) :]
        done = len(recent) == len(batches) and max(recent) < enough
        if done or not math.isfinite(losses[-1]) or not total.requires_grad:
            break
        if time.perf_counter() - started > seconds:
            break
        optimizer.zero_grad()
        torch.autograd.backward(total)
        optimizer.step()
    return Curve(rate, [loss for loss in losses if math.isfinite(loss)] or [math.inf])


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    """Training mode, for BatchNorm's untrained running statistics would be another model; dropout alone is off."""
    model.train()
    held = {m: m.dropout for m in model.modules() if isinstance(m, nn.RNNBase | nn.MultiheadAttention)}
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
        elif module in held:
            module.dropout = 0.0
    try:
        yield
    finally:
        for module, share in held.items():
            module.dropout = share

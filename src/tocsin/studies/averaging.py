"""Averaged weights: a copy of the model that follows it slowly, evaluated in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tocsin.studies.study import Experiment


def average_of(model: nn.Module, decay: float | None) -> AveragedModel | None:
    """A copy of the model whose parameters and buffers move by 1 - ``decay`` of the way to it at each update.

    It begins at the weights of the first update. Buffers are averaged, too, or batch normalisation would evaluate
    averaged weights with the statistics of others.
    """
    if decay is None:
        return None
    follow = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=follow, use_buffers=True)


@contextmanager
def answering(experiment: Experiment, model: nn.Module | None) -> Iterator[None]:
    """Let ``model`` answer for the experiment inside; None leaves its own one."""
    own = experiment.model
    experiment.model = own if model is None else model
    try:
        yield
    finally:
        experiment.model = own

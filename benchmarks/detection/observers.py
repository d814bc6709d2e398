"""Observers by name: ``none``, ``tocsin`` and ``tocsin-default``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

import tocsin
from detection.loop import Exit, Observer, Silent
from detection.training import Training


class Watch(Silent):
    """The real ``tocsin.watch``.

    Args:
        folder: Where the record goes.
        every: Steps between samples; None leaves that to the clock and the default budget. These steps take half a
            millisecond, of which 1 % buys next to nothing; a fixed interval stands for the samples that steps of
            some 20 ms would get, and makes a record repeat exactly.
    """

    def __init__(self, folder: Path, every: int | None = 8) -> None:
        self.folder = folder
        self.every = every

    def attach(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        *,
        scaler: Any = None,
        ema: nn.Module | None = None,
        scheduler: Any = None,
        config: Mapping[str, Any] | None = None,
        training: Training | None = None,  # noqa: ARG002 (of the protocol)
    ) -> None:
        self.run = tocsin.watch(
            model,
            optimizers,
            run_dir=self.folder,
            config=config,
            scaler=scaler,
            ema=ema,
            scheduler=scheduler,
            every=self.every,
            say=lambda _: None,
        )

    def losses(self, **terms: Any) -> None:
        self.run.losses(**terms)

    def evaluate(self, split: str, *, target: Any, prediction: Any, task: str = "main", **more: Any) -> None:
        self.run.evaluate(split, target=target, prediction=prediction, task=task, **more)

    def metrics(self, values: Mapping[str, float]) -> None:
        self.run.metrics(values)

    def end_epoch(self) -> None:
        self.run.end_epoch()

    def close(self, exit: Exit, error: BaseException | None = None) -> None:  # noqa: A002 (the word of the record)
        self.run.finish(exit, error)


OBSERVERS: dict[str, Callable[[Path], Observer]] = {
    "none": lambda _: Silent(),
    "tocsin": Watch,
    "tocsin-default": lambda folder: Watch(folder, every=None),
}

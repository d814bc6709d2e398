"""The one training loop, and what may watch it.

Another observer: write a class with the methods of ``Observer`` and hand it to ``train``:

    class Printer(Silent):
        def losses(self, **terms):
            print(float(terms["total"]))

    train(build("digits-mlp", "lr-zero", seed=0), Printer())

An observer sees what user code would give it and nothing of the fault: the model, its optimizers, the losses of each
step (tensors with their graphs, before the backward pass), targets and predictions of each evaluation by batches, the
metrics that the user's own code computed, and the ends of epochs. It may hook what it gets in ``attach``. One that
inspects a model before training (one batch, one loss function) finds ``training.batches(1)`` and ``training.loss``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from detection.training import Training

Exit = Literal["finished", "failed"]


class Observer(Protocol):
    """What watches a run; the middle four methods are those of the handle that ``tocsin.watch`` gives."""

    def attach(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        *,
        scaler: torch.amp.GradScaler | None,
        ema: nn.Module | None,
        scheduler: Any,
        config: Mapping[str, Any],
        training: Training,
    ) -> None:
        """Before the first step. ``ema``, ``scaler`` and ``scheduler`` are None where the run has none."""

    def losses(self, **terms: Tensor | float) -> None:
        """One step's losses: ``total`` and named terms, before the backward pass."""

    def evaluate(self, split: str, *, target: Tensor, prediction: Tensor, task: str = "main", **more: Any) -> None:
        """One batch of an evaluation."""

    def metrics(self, values: Mapping[str, float]) -> None:
        """Numbers that the training code computed itself."""

    def end_epoch(self) -> None:
        """The epoch is over."""

    def close(self, exit: Exit, error: BaseException | None = None) -> None:  # noqa: A002 (the word of the record)
        """After the last step, or with the exception that ended the run."""


class Silent:
    """Watches nothing; the base of observers that need few of the methods."""

    def attach(self, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], **more: Any) -> None: ...

    def losses(self, **terms: Tensor | float) -> None: ...

    def evaluate(self, split: str, *, target: Tensor, prediction: Tensor, task: str = "main", **more: Any) -> None: ...

    def metrics(self, values: Mapping[str, float]) -> None: ...

    def end_epoch(self) -> None: ...

    def close(self, exit: Exit, error: BaseException | None = None) -> None: ...  # noqa: A002 (the word of the record)


def train(training: Training, observer: Observer) -> dict[str, float]:
    """Run all epochs under an observer and return the metrics of the last evaluations.

    Raises:
        Exception: Whatever the training code raises, after the observer was told.
    """
    attach(training, observer)
    return follow(training, observer)


def attach(training: Training, observer: Observer) -> None:
    """Show the observer what user code would show it before the first step."""
    observer.attach(
        training.model,
        training.optimizers,
        scaler=training.scaler,
        ema=training.ema,
        scheduler=training.schedulers[0] if training.schedulers else None,
        config=training.config,
        training=training,
    )


def follow(training: Training, observer: Observer) -> dict[str, float]:
    """The loop itself."""
    try:
        metrics: dict[str, float] = {}
        for epoch in range(1, training.settings.epochs + 1):
            training.run_epoch(epoch, observer)
            metrics = training.evaluate("val", observer)
            observer.metrics(metrics)
            observer.end_epoch()
            if training.stops(epoch, metrics):
                break
        metrics |= training.finish(observer)
    except BaseException as error:
        observer.close("failed", error)
        raise
    observer.close("finished")
    return metrics

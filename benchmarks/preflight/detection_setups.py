"""The healthy trainings of the detection benchmark, before they begin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from detection.catalogue import HEALTHY, build
from detection.training import Batch, Training
from torch import Tensor, nn

import tocsin


class Epochs:
    """The training batches of one epoch after the other."""

    def __init__(self, training: Training) -> None:
        self.training, self.epoch = training, 0

    def __iter__(self) -> Iterator[Batch]:
        self.epoch += 1
        return self.training.batches(self.epoch)

    def __len__(self) -> int:
        return self.training.steps_per_epoch


class HeldOut:
    """The batches of the evaluation."""

    def __init__(self, training: Training) -> None:
        self.training = training

    def __iter__(self) -> Iterator[Batch]:
        return self.training.held_out("val")


def setup_of(task: str, variant: str, seed: int) -> tocsin.Setup:
    """As user code would hand it over; its functions use the training's own model, so nothing is copied."""
    training = build(task, variant, seed)

    def losses(_: nn.Module, batch: Batch) -> dict[str, Tensor]:
        total, terms = training.loss(batch)
        found = {name: v for name, v in training.logged(total, terms).items() if isinstance(v, Tensor)}
        return {**found, "total": total}

    def predict(_: nn.Module, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        outputs = training.predict(training.forward(batch))
        return {head: training.as_rows(kind, batch[head], outputs[head]) for head, kind in training.heads.items()}

    def step(_: nn.Module, __: Any, ___: Any, batch: Batch) -> dict[str, Tensor]:
        total, terms = training.loss(batch)
        training.learn(total)
        return {**terms, "total": total.detach()}

    settings = training.settings
    return tocsin.Setup(
        model=training.model,
        optimizer=training.optimizers,
        losses=losses,
        train=Epochs(training),
        val=HeldOut(training),
        predict=predict,
        step=step,
        scaler=training.scaler,
        scheduler=training.schedulers[0] if training.schedulers else None,
        epochs=settings.epochs,
        accumulate=settings.accumulate,
        config=training.config,
    )


def cells(seeds: int) -> list[tuple[str, str, int]]:
    """Task, variant and seed of every healthy training."""
    return [(task, name, s) for s in range(seeds) for name, v in HEALTHY.items() for task in v.tasks]


torch.set_num_threads(1)

"""A study before it is trained, for ``tocsin.preflight``: the same pieces that ``train`` puts together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

import tocsin
from tocsin.studies.assembly import assemble
from tocsin.studies.autocast import in_precision
from tocsin.studies.averaging import average_of
from tocsin.studies.stepping import fill_gradients, update
from tocsin.studies.study import Experiment, Study


class Epochs:
    """The batches of one epoch after the other, a new one each time that they are asked for."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.epoch = 0

    def __iter__(self) -> Iterator[Any]:
        self.epoch += 1
        return iter(self.experiment.batches(self.epoch))

    def __len__(self) -> int:
        return self.experiment.steps_per_epoch


def setup_of(
    study: Study,
    *,
    preset: str = "quick",
    fault: str | None = None,
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
) -> tocsin.Setup:
    """The study as it would be trained, on the CPU, with its own step: clipping, loss scale, what a fault does.

    Raises:
        StudyError: Unknown preset, fault or setting.
    """
    torch.manual_seed(seed)
    config = tocsin.reading(study.configure(preset, fault, overrides))
    assembly = assemble(study, config, fault, seed, torch.device("cpu"))
    experiment, settings = assembly.experiment, assembly.settings
    model, clip_norm = experiment.model, settings.clip_norm
    experiment.model = in_precision(model, settings.precision, "cpu")
    _ = average_of(model, settings.ema_decay)  # not used here: it would answer as the model before the first step
    held_out = {split: experiment.held_out(split) for split in ("val", "test")}

    def losses(_: nn.Module, batch: Any) -> dict[str, Tensor]:
        total, terms = experiment.loss(batch)
        return {"total": total, **terms}

    def predict(_: nn.Module, batch: Any) -> dict[str, tuple[Tensor, Tensor]]:
        return experiment.predictions(batch)

    def step(_: nn.Module, optimizer: Any, scaler: Any, batch: Any) -> dict[str, Tensor]:
        found = losses(experiment.model, batch)
        update(optimizer, scaler, fill_gradients(experiment, optimizer, scaler, found["total"], clip_norm))
        return found

    return tocsin.Setup(
        model=model,
        optimizer=assembly.optimizer,
        losses=losses,
        train=Epochs(experiment),
        val=held_out["val"],
        predict=predict,
        step=step,
        scaler=assembly.scaler,
        scheduler=assembly.schedule.recorded,
        steps=assembly.steps,
        config=experiment.config,
    )

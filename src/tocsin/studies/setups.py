"""A study before it is trained, for ``tocsin.preflight``: the same pieces that ``train`` puts together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

import tocsin
from tocsin.studies.study import Experiment, Study, Training


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
    experiment = study.build(study.configure(preset, fault, overrides), fault, seed, torch.device("cpu"))
    settings: Training = experiment.config.training
    optimizer = AdamW(experiment.parameter_groups(), lr=settings.peak_lr, weight_decay=settings.weight_decay)
    steps = settings.epochs * experiment.steps_per_epoch
    half = settings.precision != "float32"
    scaler = torch.amp.GradScaler("cpu", init_scale=settings.init_scale, enabled=half)
    clipped = [p for group in optimizer.param_groups for p in group["params"]]

    def losses(_: nn.Module, batch: Any) -> dict[str, Tensor]:
        total, terms = experiment.loss(batch)
        return {"total": total, **terms}

    def step(model: nn.Module, optimizer: Any, scaler: Any, batch: Any) -> dict[str, Tensor]:
        found = losses(model, batch)
        optimizer.zero_grad()
        scaler.scale(found["total"]).backward()
        experiment.treat_gradients()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(clipped, settings.clip_norm)
        scaler.step(optimizer)
        scaler.update()
        return found

    return tocsin.Setup(
        model=experiment.model,
        optimizer=optimizer,
        losses=losses,
        train=Epochs(experiment),
        step=step,
        scaler=scaler,
        scheduler=OneCycleLR(optimizer, settings.peak_lr, total_steps=steps, pct_start=settings.warmup_frac),
        steps=steps,
        config=experiment.config,
    )

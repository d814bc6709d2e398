"""The pieces of a training put together, the same for ``train`` and for ``preflight``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import AdamW

from tocsin.studies.schedules import Schedule, schedule_of
from tocsin.studies.settings import Training
from tocsin.studies.study import Experiment, Study, StudyError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Assembly:
    """A training that has not begun.

    Attributes:
        experiment: The study, built.
        settings: Settings of the loop, as the experiment wants them.
        steps: Batches in all.
        optimizer, schedule, scaler: Of the experiment's parameters; the scaler is off but for ``float16-heads``.
    """

    experiment: Experiment
    settings: Training
    steps: int
    optimizer: AdamW
    schedule: Schedule
    scaler: torch.amp.GradScaler


def assemble(study: Study, config: Any, fault: str | None, seed: int, device: torch.device) -> Assembly:
    """Build the experiment and what trains it; the process's random generators must be seeded before."""
    experiment: Experiment = study.build(config, fault, seed, device)
    settings: Training = experiment.config.training
    steps = settings.epochs * experiment.steps_per_epoch
    optimizer = AdamW(experiment.parameter_groups(), lr=settings.peak_lr, weight_decay=settings.weight_decay)
    half = settings.precision == "float16-heads"
    scaler = torch.amp.GradScaler(device.type, init_scale=settings.init_scale, enabled=half)
    return Assembly(experiment, settings, steps, optimizer, schedule_of(optimizer, settings, steps), scaler)


def fabric_of(device: str) -> Fabric:
    """Fabric on one device.

    Raises:
        StudyError: There is no such device here.
    """
    from lightning_fabric import Fabric  # four seconds, for which no preflight has a use

    kind, _, number = device.partition(":")
    try:
        return Fabric(accelerator=kind, devices=[int(number)] if number else 1)
    except Exception as error:
        raise StudyError(f"device {device!r} cannot be used: {error}") from error

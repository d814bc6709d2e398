"""One training under way: the pieces put together, and what the loop in ``training`` does with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning_fabric import Fabric, seed_everything
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import tocsin
from tocsin.studies.assembly import Assembly, assemble, fabric_of
from tocsin.studies.autocast import in_precision
from tocsin.studies.averaging import answering, average_of
from tocsin.studies.checkpoints import Keeper
from tocsin.studies.start_weights import start_from
from tocsin.studies.stepping import fill_gradients, update
from tocsin.studies.study import Study, StudyError


class Session:
    """A training between its first and its last step.

    Attributes:
        assembly: Experiment, optimizer, schedule, loss scale.
        model: The network itself, without the wrapper that puts it on its device and sets its precision.
        ema: Its averaged copy, or None.
        keeper: Progress and checkpoints.
    """

    def __init__(self, assembly: Assembly, keeper: Keeper, ema: AveragedModel | None, fabric: Fabric) -> None:
        self.assembly, self.keeper, self.ema, self.fabric = assembly, keeper, ema, fabric
        self.experiment, self.settings = assembly.experiment, assembly.settings
        self.model = self.experiment.model
        wrapped, self._stepper = fabric.setup(self.model, assembly.optimizer)
        self.experiment.model = self._in_precision(wrapped)
        self._averaged = None if ema is None else self._in_precision(fabric.setup_module(ema.module))

    def step(self, total: Tensor) -> None:
        """Learn from one batch, unless its gradients are not finite; that is counted."""
        optimizer, scaler = self.assembly.optimizer, self.assembly.scaler
        norm = fill_gradients(self.experiment, optimizer, scaler, total, self.settings.clip_norm, self.fabric.backward)
        if update(self._stepper, scaler, norm):
            self.assembly.schedule.after_step()
            if self.ema is not None:
                self.ema.update_parameters(self.model)
        else:
            self.keeper.skipped += 1
        self.keeper.step += 1

    def evaluate(self, split: str, run: tocsin.Recorder) -> dict[str, float]:
        """The split's metrics, of the averaged weights where there are some."""
        with answering(self.experiment, self._averaged):
            return self.experiment.evaluate(split, run.evaluate)

    def _in_precision(self, model: nn.Module) -> nn.Module:
        return in_precision(model, self.settings.precision, self.fabric.device.type)

    def end_epoch(self, folder: Path, metrics: dict[str, float], run: tocsin.Recorder) -> None:
        """Tell the schedule what was reached, write the checkpoints, and record which one is the best and by what."""
        selected = metrics[self.experiment.selection]
        self.assembly.schedule.after_evaluation(selected)
        if self.keeper.save(folder, selected):
            run.kept(by=self.experiment.selection)


def prepare(
    study: Study, config: Any, fault: str | None, seed: int, device: str, path: Path | None, init: Path | None
) -> Session:
    """Everything in place for the first step; with ``path`` for the one after the last checkpoint in that folder.

    Raises:
        StudyError: No such device, or a checkpoint that is missing or does not fit.
    """
    if path is not None and init is not None:
        raise StudyError("a run is either resumed or begun with another one's weights: leave out resume or init")
    fabric = fabric_of(device)
    place = fabric.device
    seed_everything(seed, workers=True, verbose=False)
    assembly = assemble(study, config, fault, seed, place)
    experiment, settings = assembly.experiment, assembly.settings
    origin = start_from(init, experiment, place) if init is not None else {}
    ema = average_of(experiment.model, settings.ema_decay)
    identity = {"study": study.name, "fault": fault, "seed": seed, "manifest": experiment.manifest}
    identity["config"] = experiment.config.model_dump(mode="json")
    keeper = Keeper(identity, assembly, ema, origin)
    if path is not None:
        keeper.restore(path, place)
        if keeper.epoch >= settings.epochs:
            raise StudyError(f"{path} already ended after {keeper.epoch} epochs: there is nothing to resume")
    return Session(assembly, keeper, ema, fabric)

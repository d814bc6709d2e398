"""The one training loop of all studies: read ``train`` from top to bottom.

Precision: the model, the losses and the optimizer are float32; a study may run its heads under float16 autocast, and
then the ``GradScaler`` skips steps whose gradients overflow, and counts them. Nothing else is skipped or mended: a NaN
is left to be seen.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from lightning_fabric import Fabric, seed_everything
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

import tocsin
from tocsin.studies import checkpoints
from tocsin.studies.folders import new_run_dir
from tocsin.studies.study import Experiment, Study, StudyError, Training

PUBLISH_S = 0.2
START_LR_DIVISOR = 25.0


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes:
        step, steps: Training steps done and in all.
        epoch, epochs: Current epoch from 1, and all.
        elapsed_s, remaining_s: Wall time of this process so far, and an estimate of what is left.
        losses: The latest total and terms.
        weights: The latest task weights.
        metrics: The epoch's metrics at its end, else empty.
        findings: All that has rung so far.
        main_metric: Name of the metric to show.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    elapsed_s: float
    remaining_s: float
    losses: Mapping[str, float]
    weights: Mapping[str, float]
    metrics: Mapping[str, float]
    findings: tuple[tocsin.Finding, ...]
    main_metric: str


def train(
    study: Study,
    *,
    preset: str = "quick",
    fault: str | None = None,
    seed: int = 0,
    run_dir: str | Path | None = None,
    device: str = "auto",
    resume: bool = False,
    overrides: Mapping[str, Any] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Train a study with the recorder on, and return the run's folder.

    Args:
        study: From ``studies.load``.
        preset: Name of a configuration of the study.
        fault: Name of a mistake to plant, or None.
        seed: Initial weights and order of the training frames.
        run_dir: Folder of the run; default ``runs/<study>-<adjective>-<noun>-<number>``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        resume: Go on from the last checkpoint in ``run_dir``.
        overrides: Settings by dotted key, e.g. ``{"training.epochs": 3}``.
        on_progress: Called several times a second and at the end of each epoch. It then shows the findings too: the
            recorder says on standard error only what is no finding.

    Raises:
        StudyError: Unknown preset, fault, setting or device, or a checkpoint that is missing or of another run.
    """
    config = study.configure(preset, fault, overrides)
    path = Path(run_dir) if run_dir is not None else new_run_dir(study.name)
    fabric = _fabric(device)
    seed_everything(seed, workers=True, verbose=False)

    experiment: Experiment = study.build(config, fault, seed, fabric.device)
    config = experiment.config
    settings: Training = config.training
    steps = settings.epochs * experiment.steps_per_epoch
    optimizer = AdamW(experiment.parameter_groups(), lr=settings.peak_lr, weight_decay=settings.weight_decay)
    scheduler = OneCycleLR(
        optimizer,
        max_lr=settings.peak_lr,
        total_steps=steps,
        pct_start=settings.warmup_frac,
        div_factor=START_LR_DIVISOR,
    )
    scaler = torch.amp.GradScaler(
        fabric.device.type, init_scale=settings.init_scale, enabled=settings.precision != "float32"
    )
    identity = {
        "study": study.name,
        "fault": fault,
        "seed": seed,
        "manifest": experiment.manifest,
        "config": config.model_dump(mode="json"),
    }
    keeper = Keeper(identity, experiment, optimizer, scheduler, scaler)
    if resume:
        keeper.restore(path / "checkpoints" / "last.pt", fabric.device)
        if keeper.epoch >= settings.epochs:
            raise StudyError(f"{path} already ended after {keeper.epoch} epochs: there is nothing to resume")
    model = experiment.model
    experiment.model, stepper = fabric.setup(model, optimizer)
    clipped = [p for group in optimizer.param_groups for p in group["params"]]

    recorder = tocsin.watch(
        model,
        optimizer,
        run_dir=path,
        config={"preset": preset, **identity},
        scaler=scaler if scaler.is_enabled() else None,
        scheduler=scheduler,
        start_step=keeper.step,
        say=None if on_progress is None else _say_trouble,
    )
    with recorder as run:
        folder = run.folder or path
        show = Publisher(on_progress, run, experiment, keeper.step, steps, settings.epochs)
        for epoch in range(keeper.epoch + 1, settings.epochs + 1):
            for batch in experiment.batches(epoch):
                total, terms = experiment.loss(batch)
                run.losses(total=total, **terms)  # before backward: the terms still have their graphs
                _clear_gradients(experiment)
                fabric.backward(scaler.scale(total))
                experiment.treat_gradients()
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(clipped, settings.clip_norm)
                scale = scaler.get_scale()
                scaler.step(stepper)
                scaler.update()
                if scaler.get_scale() >= scale:  # a lower scale means that this step was skipped
                    scheduler.step()
                keeper.step += 1
                show(epoch, keeper.step, {"total": total, **terms})
            keeper.epoch = epoch
            metrics = experiment.evaluate("val", run.evaluate)
            run.metrics(metrics)
            run.end_epoch()
            keeper.save(folder / "checkpoints", metrics[experiment.selection])
            show(epoch, keeper.step, {"total": total, **terms}, metrics)
        keeper.restore_best(folder / "checkpoints", fabric.device)
        run.metrics(experiment.evaluate("test", run.evaluate) | {"test/checkpoint_epoch": keeper.best_epoch})
        _write_tables(folder / "tables", experiment.tables)
    return folder


class Keeper:
    """What a run needs to go on where it stopped, and its best checkpoint so far.

    ``selection`` picks the best: an unweighted measure, because learned task weights change what a weighted loss means
    from epoch to epoch.
    """

    def __init__(
        self,
        identity: Mapping[str, Any],
        experiment: Experiment,
        optimizer: AdamW,
        scheduler: OneCycleLR,
        scaler: torch.amp.GradScaler,
    ) -> None:
        self.identity = identity
        self.parts: dict[str, Any] = {"optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
        self.weights: dict[str, nn.Module] = {"model": experiment.model, "weighting": experiment.weighting}
        self.step = self.epoch = self.best_epoch = 0
        self.best = math.inf

    def save(self, folder: Path, selected: float) -> None:
        """Write ``last.pt``, and ``best.pt`` where ``selected`` is the smallest so far; NaN never is."""
        weights = {name: module.state_dict() for name, module in self.weights.items()}
        if selected < self.best:
            self.best, self.best_epoch = selected, self.epoch
            checkpoints.save(folder / "best.pt", {**self.identity, "epoch": self.epoch, **weights})
        progress = {"step": self.step, "epoch": self.epoch, "best": self.best, "best_epoch": self.best_epoch}
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        state = {**self.identity, **progress, **weights, **parts, "random": checkpoints.random_state()}
        checkpoints.save(folder / "last.pt", state)

    def restore(self, path: Path, device: torch.device) -> None:
        """Take everything up from ``path``. The order of an epoch is a function of (seed, epoch): no more is needed.

        Raises:
            StudyError: No checkpoint, or one of another run or data set.
        """
        state = checkpoints.load(path, device)
        checkpoints.refuse_another(state, self.identity, path)
        for name, part in {**self.weights, **self.parts}.items():
            part.load_state_dict(state[name])
        checkpoints.restore_random_state(state["random"])
        self.step, self.epoch = state["step"], state["epoch"]
        self.best, self.best_epoch = state["best"], state["best_epoch"]

    def restore_best(self, folder: Path, device: torch.device) -> None:
        """Load the best weights for the final test; without a finite selection metric the last ones stay."""
        if self.best_epoch:
            state = checkpoints.load(folder / "best.pt", device)
            for name, module in self.weights.items():
                module.load_state_dict(state[name])


class Publisher:
    """Calls ``on_progress`` now and then: reading a loss from a device each step would slow the training."""

    def __init__(
        self, on_progress: Callable[[Progress], None] | None, run: Any, experiment: Experiment,
        first: int, steps: int, epochs: int,
    ) -> None:  # fmt: skip
        self.on_progress = on_progress
        self.run, self.experiment = run, experiment
        self.first, self.steps, self.epochs = first, steps, epochs
        self.began = self.published = monotonic()

    def __call__(
        self, epoch: int, step: int, losses: Mapping[str, Tensor], metrics: Mapping[str, float] | None = None
    ) -> None:
        """Publish at an epoch's end (``metrics``) or when the last time is ``PUBLISH_S`` ago."""
        now = monotonic()
        if self.on_progress is None or (metrics is None and now - self.published < PUBLISH_S):
            return
        self.published = now
        elapsed = now - self.began
        self.on_progress(
            Progress(
                step=step,
                steps=self.steps,
                epoch=epoch,
                epochs=self.epochs,
                elapsed_s=elapsed,
                remaining_s=elapsed / max(1, step - self.first) * (self.steps - step),
                losses={name: float(value.detach()) for name, value in losses.items()},
                weights=self.experiment.weights(),
                metrics=dict(metrics or {}),
                findings=tuple(self.run.findings),
                main_metric=self.experiment.main_metric,
            )
        )


def _fabric(device: str) -> Fabric:
    kind, _, number = device.partition(":")
    try:
        return Fabric(accelerator=kind, devices=[int(number)] if number else 1)
    except Exception as error:
        raise StudyError(f"device {device!r} cannot be used: {error}") from error


def _clear_gradients(experiment: Experiment) -> None:
    """Of all parameters, also of those that no optimizer holds."""
    experiment.model.zero_grad(set_to_none=True)
    experiment.weighting.zero_grad(set_to_none=True)


def _say_trouble(text: str) -> None:
    if not text.startswith(("tocsin: error ", "tocsin: warning ", "tocsin: finished ")):
        print(text, file=sys.stderr, flush=True)


def _write_tables(folder: Path, tables: Mapping[str, list[dict[str, float | str]]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

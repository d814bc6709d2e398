"""The one training loop of all studies: read ``train`` from top to bottom.

Precision: the model, the losses and the optimizer are float32; a study may run its heads under float16 autocast, and
then the ``GradScaler`` skips steps whose gradients overflow, and counts them. Nothing else is skipped or mended: a NaN
is left to be seen.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric, seed_everything
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

import tocsin
from tocsin.studies.checkpoints import Keeper
from tocsin.studies.progress import Progress, Publisher
from tocsin.studies.study import Experiment, Study, StudyError, Training


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
    path = Path(run_dir) if run_dir is not None else None
    fabric = _fabric(device)
    seed_everything(seed, workers=True, verbose=False)

    experiment: Experiment = study.build(config, fault, seed, fabric.device)
    config = experiment.config
    settings: Training = config.training
    steps = settings.epochs * experiment.steps_per_epoch
    optimizer = AdamW(experiment.parameter_groups(), lr=settings.peak_lr, weight_decay=settings.weight_decay)
    scheduler = OneCycleLR(optimizer, settings.peak_lr, total_steps=steps, pct_start=settings.warmup_frac)
    half = settings.precision != "float32"
    scaler = torch.amp.GradScaler(fabric.device.type, init_scale=settings.init_scale, enabled=half)
    identity = {"study": study.name, "fault": fault, "seed": seed, "manifest": experiment.manifest}
    identity["config"] = config.model_dump(mode="json")
    keeper = Keeper(identity, experiment, optimizer, scheduler, scaler)
    if resume:
        if path is None:
            raise StudyError("to resume, name the run's folder: run_dir")
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
        folder = run.folder or path or Path("runs") / study.name
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

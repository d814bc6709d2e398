"""The one training loop of all studies: read ``train`` from top to bottom.

Precision: weights, losses and the optimizer are float32; the network may compute in bfloat16, or its heads in float16
under a loss scale. A step whose gradients are not finite is skipped and counted in ``train/skipped_nonfinite``. Nothing
is mended, and the losses are recorded as they are: a NaN is left to be seen.

Everything that a run writes lies below its own folder, whose name is the run's.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tocsin
from tocsin.studies import exports
from tocsin.studies.checkpoints import LAST
from tocsin.studies.progress import Progress, Publisher
from tocsin.studies.session import Session, prepare
from tocsin.studies.study import Study, StudyError


def train(
    study: Study,
    *,
    preset: str = "quick",
    fault: str | None = None,
    seed: int = 0,
    run_dir: str | Path | None = None,
    device: str = "auto",
    resume: bool = False,
    init: str | Path | None = None,
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
        resume: Go on from the last checkpoint in ``run_dir``: weights, optimizer, schedule, order, random state.
        init: Checkpoint of a run whose weights this one begins with; all else begins afresh.
        overrides: Settings by dotted key, e.g. ``{"training.epochs": 3}``.
        on_progress: Called several times a second and at the end of each epoch. It then shows the findings too: the
            recorder says on standard error only what is no finding.

    Raises:
        StudyError: Unknown preset, fault, setting or device, or a checkpoint that is missing, that belongs to another
            run (``resume``), or that holds another network (``init``).
    """
    config = study.configure(preset, fault, overrides)
    path = Path(run_dir) if run_dir is not None else None
    if resume and path is None:
        raise StudyError("to resume, name the run's folder: run_dir")
    start = Path(init) if init is not None else None
    session = prepare(study, config, fault, seed, device, path if resume else None, start)
    experiment, keeper, epochs = session.experiment, session.keeper, session.settings.epochs
    with _watched(session, preset, path, quiet=on_progress is not None) as run:
        folder = run.folder or _unrecorded(path, study.name, resume)
        show = Publisher(on_progress, run, experiment, keeper.step, session.assembly.steps, epochs)
        for epoch in range(keeper.epoch + 1, epochs + 1):
            for batch in experiment.batches(epoch):
                total, terms = experiment.loss(batch)
                run.losses(total=total, **terms)  # before backward: the terms still have their graphs
                session.step(total)
                show(epoch, keeper.step, {"total": total, **terms})
            keeper.epoch = epoch
            metrics = session.evaluate("val", run)
            run.metrics(metrics | {"train/skipped_nonfinite": keeper.skipped})
            exports.add(folder / "tables", experiment.tables, epoch)
            run.end_epoch()
            session.end_epoch(folder, metrics, run)
            show(epoch, keeper.step, {"total": total, **terms}, metrics)
        keeper.restore_best(folder, session.fabric.device)
        run.metrics(session.evaluate("test", run) | {"test/checkpoint_epoch": keeper.best_epoch})
        exports.add(folder / "tables", experiment.tables, keeper.best_epoch)
        experiment.draw(folder)
    return folder


def _watched(session: Session, preset: str, path: Path | None, *, quiet: bool) -> tocsin.Recorder:
    scaler, keeper = session.assembly.scaler, session.keeper
    return tocsin.watch(
        session.model,
        session.assembly.optimizer,
        run_dir=path,
        config={"preset": preset, **keeper.identity, **keeper.origin, **session.experiment.facts()},
        scaler=scaler if scaler.is_enabled() else None,
        ema=session.ema,
        scheduler=session.assembly.schedule.recorded,
        start_step=keeper.step,
        say=_say_trouble if quiet else None,
    )


def _unrecorded(path: Path | None, study: str, resume: bool) -> Path:
    """Where the checkpoints of a run go that tocsin was told not to record: never among those of another run."""
    folder = path or Path("runs") / f"{study}-{secrets.token_hex(4)}"
    if (folder / LAST).exists() and not resume:
        raise StudyError(f"{folder} holds the checkpoints of another run: name another folder, or resume it")
    return folder


def _say_trouble(text: str) -> None:
    if not text.startswith(("tocsin: error ", "tocsin: warning ", "tocsin: finished ")):
        print(text, file=sys.stderr, flush=True)

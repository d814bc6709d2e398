"""Checkpoints: written whole or not at all, read without executing anything, refused where they do not fit."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tocsin.studies.study import Experiment, StudyError, leaves

FORMAT = 1
IDENTITY = ("study", "fault", "seed", "manifest", "config")


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` (tensors and plain data) to ``path``; a crash leaves the former file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as file:
        torch.save({"format": FORMAT, **state}, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint with ``weights_only``: a hostile file cannot run code.

    Raises:
        StudyError: There is none, it is damaged, or another format.
    """
    if not path.is_file():
        raise StudyError(f"nothing to resume: {path} does not exist")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise StudyError(f"{path} cannot be read as a checkpoint: {type(error).__name__}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise StudyError(f"{path}: expected a checkpoint of format {FORMAT}")
    return state


def refuse_another(saved: Mapping[str, Any], wanted: Mapping[str, Any], path: Path) -> None:
    """Refuse to go on with another study, fault, seed, configuration or data set.

    Raises:
        StudyError: Names what differs, with both values.
    """
    before, now = (dict(leaves({key: state[key] for key in IDENTITY})) for state in (saved, wanted))
    differing = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if differing:
        shown = "; ".join(f"{key}: {before.get(key)!r} there, {now.get(key)!r} here" for key in differing[:5])
        raise StudyError(f"{path} belongs to another run ({shown}): start afresh in another folder, or undo the change")


def random_state() -> dict[str, Any]:
    """The state of every random generator of this process, as tensors and plain data."""
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002 (the global one)
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(name), np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)],
        "python": [version, list(internal), gauss],
    }


def restore_random_state(state: Mapping[str, Any]) -> None:
    """The inverse of ``random_state``."""
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
    np.random.set_state(tuple(state["numpy"]))  # noqa: NPY002
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))


class Keeper:
    """What a run needs to go on where it stopped, and its best checkpoint so far.

    ``selection`` picks the best: an unweighted measure, because learned task weights change what a weighted loss means
    from epoch to epoch.
    """

    def __init__(
        self,
        identity: Mapping[str, Any],
        experiment: Experiment,
        optimizer: Optimizer,
        scheduler: LRScheduler,
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
            save(folder / "best.pt", {**self.identity, "epoch": self.epoch, **weights})
        progress = {"step": self.step, "epoch": self.epoch, "best": self.best, "best_epoch": self.best_epoch}
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        state = {**self.identity, **progress, **weights, **parts, "random": random_state()}
        save(folder / "last.pt", state)

    def restore(self, path: Path, device: torch.device) -> None:
        """Take everything up from ``path``. The order of an epoch is a function of (seed, epoch): no more is needed.

        Raises:
            StudyError: No checkpoint, or one of another run or data set.
        """
        state = load(path, device)
        refuse_another(state, self.identity, path)
        for name, part in {**self.weights, **self.parts}.items():
            part.load_state_dict(state[name])
        restore_random_state(state["random"])
        self.step, self.epoch = state["step"], state["epoch"]
        self.best, self.best_epoch = state["best"], state["best_epoch"]

    def restore_best(self, folder: Path, device: torch.device) -> None:
        """Load the best weights for the final test; without a finite selection metric the last ones stay."""
        if self.best_epoch:
            state = load(folder / "best.pt", device)
            for name, module in self.weights.items():
                module.load_state_dict(state[name])

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

from tocsin.studies.assembly import Assembly
from tocsin.studies.study import StudyError, leaves

FORMAT = 2
LAST, BEST = "checkpoints/last.pt", "checkpoints/best.pt"  # below the folder of the run, whose name tells it
COUNTS = ("step", "epoch", "skipped", "best", "best_epoch")
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


def load(path: Path, device: torch.device | str = "cpu", *, why: str = "nothing to resume") -> dict[str, Any]:
    """Read a checkpoint with ``weights_only``: a hostile file cannot run code.

    Raises:
        StudyError: There is none, it is damaged, or another format.
    """
    if not path.is_file():
        raise StudyError(f"{why}: {path} " + ("is no file" if path.exists() else "does not exist"))
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

    The selection metric picks the best: an unweighted measure, because learned task weights change what a weighted loss
    means from epoch to epoch.

    Attributes:
        step, epoch: Batches and epochs done.
        skipped: Batches whose gradients were not finite, so that no step was taken.
        origin: Where the first weights came from, as recorded; empty for a run that began afresh.
    """

    def __init__(
        self, identity: Mapping[str, Any], assembly: Assembly, ema: nn.Module | None, origin: Mapping[str, Any]
    ) -> None:
        self.identity = identity
        self.parts: dict[str, Any] = {
            "optimizer": assembly.optimizer,
            "scheduler": assembly.schedule,
            "scaler": assembly.scaler,
        }
        self.weights = {"model": assembly.experiment.model, "weighting": assembly.experiment.weighting}
        if ema is not None:
            self.weights["ema"] = ema
        self.origin = dict(origin)
        self.step = self.epoch = self.skipped = self.best_epoch = 0
        self.best = math.inf

    def save(self, folder: Path, selected: float) -> bool:
        """Write ``last.pt`` into the run's folder, and ``best.pt`` where ``selected`` is the smallest; NaN never is.

        Returns whether these weights are the best so far.
        """
        weights = {name: module.state_dict() for name, module in self.weights.items()}
        whose = {**self.identity, "run": folder.name, "epoch": self.epoch, "origin": self.origin}
        is_best = selected < self.best
        if is_best:
            self.best, self.best_epoch = selected, self.epoch
            save(folder / BEST, {**whose, **weights})
        counts = {name: getattr(self, name) for name in COUNTS}
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        save(folder / LAST, {**whose, **counts, **weights, **parts, "random": random_state()})
        return is_best

    def restore(self, folder: Path, device: torch.device) -> None:
        """Take everything up from a run's folder; an epoch's order is a function of (seed, epoch).

        Raises:
            StudyError: No checkpoint, or one of another run or data set.
        """
        state = load(folder / LAST, device)
        refuse_another(state, self.identity, folder / LAST)
        for name, part in {**self.weights, **self.parts}.items():
            part.load_state_dict(state[name])
        restore_random_state(state["random"])
        self.origin = state["origin"]
        for name in COUNTS:
            setattr(self, name, state[name])

    def restore_best(self, folder: Path, device: torch.device) -> None:
        """Load the best weights for the final test; without a finite selection metric the last ones stay."""
        if self.best_epoch:
            state = load(folder / BEST, device)
            for name, module in self.weights.items():
                module.load_state_dict(state[name])

"""Fine-tuning: the weights of another run's checkpoint to begin with, and a record of where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tocsin.studies import checkpoints
from tocsin.studies.study import Experiment, StudyError

SHOWN = 5
AVERAGED = "module."  # what AveragedModel puts before the names of its parameters


def start_from(path: Path, experiment: Experiment, device: torch.device) -> dict[str, Any]:
    """Load the network's weights from a checkpoint; task weights, optimizer and schedule begin afresh.

    The averaged weights are taken where the run kept some: those are the ones that it evaluated.

    Returns:
        What the run's configuration shall say: ``init_from``, and under ``init`` the run, study, seed, epoch and data
        manifest of that checkpoint, so that a split which both do not share can be found.

    Raises:
        StudyError: No checkpoint, or a parameter that is missing, superfluous or of another shape.
    """
    state = checkpoints.load(path, device, why="no weights to start from")
    weights = _weights(state)
    refuse_misfits(weights, experiment.model.state_dict(), path)
    experiment.model.load_state_dict(weights)
    known = ("run", "study", "fault", "seed", "epoch", "manifest")
    return {"init_from": str(path), "init": {key: state[key] for key in known}}


def _weights(state: Mapping[str, Any]) -> dict[str, Tensor]:
    if "ema" not in state:
        return dict(state["model"])
    return {name.removeprefix(AVERAGED): v for name, v in state["ema"].items() if name.startswith(AVERAGED)}


def refuse_misfits(saved: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that are not those of this network.

    Raises:
        StudyError: Names each parameter that does not fit, with both shapes.
    """
    before, now = ({name: tuple(value.shape) for name, value in each.items()} for each in (saved, wanted))
    misfits = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    if misfits:
        shown = "; ".join(f"{n}: {before.get(n, 'absent')} there, {now.get(n, 'absent')} here" for n in misfits[:SHOWN])
        more = f"; and {len(misfits) - SHOWN} more" if len(misfits) > SHOWN else ""
        raise StudyError(f"{path} holds another network ({shown}{more}): choose the same network and classes")

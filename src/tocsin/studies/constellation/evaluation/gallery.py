"""The pictures of a finished run, drawn from its tables and from test frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from tocsin.studies import exports
from tocsin.studies.constellation.data.source import SPLITS, Source
from tocsin.studies.constellation.evaluation import pictures
from tocsin.studies.exports import Row

SNRS_SHOWN = 8


def draw(folder: Path, frames: Source, picture: Callable[[Tensor], Tensor]) -> None:
    """Write ``pictures/*.png`` into a run's folder from its ``tables``.

    Args:
        folder: The run's folder.
        frames: The data set.
        picture: Grey levels of counts.
    """
    tables, made = folder / "tables", folder / "pictures"
    names, levels = frames.data.modulations, frames.data.snr_db
    shown, grid = _grid(frames, picture)
    for number, layer in enumerate(frames.view.layers):
        figure = pictures.constellations(grid[:, :, number], names, shown, layer)
        pictures.keep(figure, made / f"constellations_{layer}.png")
    for task, title, labels in (("modulation", "modulation", names), ("snr", "SNR", [f"{db} dB" for db in levels])):
        counts = _confusion(_last(exports.read(tables / f"test_confusion_{task}.csv")), labels)
        pictures.keep(pictures.confusion(counts, labels, title), made / f"confusion_{task}.png")
    pictures.keep(_accuracy(tables, levels), made / "accuracy_by_snr.png")
    masked = _last(exports.read(tables / "test_perturbation.csv"))
    if masked:
        pictures.keep(_masked(masked), made / "masked_pixels.png")
    _by_epoch(tables, made)


def _grid(frames: Source, picture: Callable[[Tensor], Tensor]) -> tuple[list[int], NDArray[np.float64]]:
    """SNRs that are shown, and an image of each modulation, SNR and layer [M, S', L, bins, bins]."""
    levels, count = frames.data.snr_db, len(frames.data.modulations)
    chosen = torch.arange(0, len(levels), -(-len(levels) // SNRS_SHOWN), device=frames.device)
    cell = (torch.arange(count, device=frames.device)[:, None] * len(levels) + chosen).flatten()
    grey = picture(frames.batch(cell, torch.full_like(cell, SPLITS["test"])).counts)
    return [levels[k] for k in chosen.tolist()], grey.view(count, len(chosen), *grey.shape[1:]).cpu().double().numpy()


def _last(rows: Sequence[Row]) -> list[Row]:
    """The rows of the last epoch."""
    return [row for row in rows if row["epoch"] == rows[-1]["epoch"]]


def _masked(rows: Sequence[Row]) -> Figure:
    arms: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        at = float(row["masked_share"]), float(row["masked_joint_accuracy"])
        arms.setdefault(str(row["arm"]), [(0.0, float(row["joint_accuracy"]))]).append(at)
    return pictures.masked_pixels(arms)


def _confusion(rows: Sequence[Row], labels: Sequence[str]) -> NDArray[np.float64]:
    place = {name: k for k, name in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)))
    for row in rows:
        counts[place[str(row["target"])], place[str(row["predicted"])]] = row["n"]
    return counts


def _accuracy(tables: Path, levels: Sequence[int]) -> Figure:
    rows = _last(exports.read(tables / "test_by_snr.csv"))
    n = np.array([row["n"] for row in rows], np.float64)
    tasks = {"joint": "joint", "modulation": "modulation", "SNR": "snr"}
    hits = {title: n * np.array([row[f"{task}_accuracy"] for row in rows]) for title, task in tasks.items()}
    return pictures.accuracy_by_snr(levels, hits, n, {**_oracle(tables, levels), **_receivers(tables)})


def _oracle(tables: Path, levels: Sequence[int]) -> dict[str, list[float]]:
    """Joint accuracy by SNR of the Bayes oracle, where the image has one."""
    pairs = _last(exports.read(tables / "test_by_pair.csv"))
    if not pairs or "oracle_joint_accuracy" not in pairs[0]:
        return {}
    of_level = [[float(r["oracle_joint_accuracy"]) for r in pairs if r["snr"] == f"{db} dB"] for db in levels]
    return {"joint: Bayes oracle of the image": [float(np.mean(part)) for part in of_level]}


def _receivers(tables: Path) -> dict[str, list[float]]:
    """Accuracies by SNR of receivers that need no training."""
    found: dict[str, list[float]] = {}
    for row in _last(exports.read(tables / "test_receivers.csv")):
        found.setdefault(str(row["name"]), []).append(float(row["accuracy"]))
    return found


def _by_epoch(tables: Path, made: Path) -> None:
    rows, test = exports.read(tables / "val_scores.csv"), exports.read(tables / "test_scores.csv")
    epochs = [float(row["epoch"]) for row in rows]
    index, db = ([float(row[name]) for row in rows] for name in ("attractor_index", "attractor_snr_db"))
    kept = float(test[-1]["epoch"]) if test else None
    pictures.keep(pictures.attractor_by_epoch(epochs, index, db, kept), made / "attractor_by_epoch.png")
    told = [key.removeprefix("weight_") for key in rows[0] if key.startswith("weight_")]
    weights = {"SNR" if task == "snr" else task: [float(row[f"weight_{task}"]) for row in rows] for task in told}
    pictures.keep(pictures.weights_by_epoch(epochs, weights), made / "task_weights.png")

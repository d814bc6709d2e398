"""What each input reaches by SNR, beside receivers that need no training: the picture of README and page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from arms import ARMS
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tocsin.studies import exports
from tocsin.studies.constellation.evaluation.pictures import LINES, keep

PANELS = {"snr_accuracy": "SNR right", "joint_accuracy": "SNR and modulation right"}
RECEIVERS = {"snr_accuracy": "spectral floor", "joint_accuracy": "both of these"}
ORDER = ("features", "lags", "iq", "image")


def draw(folder: Path, path: Path, runs: Sequence[tuple[str, int]]) -> None:
    """Means over seeds, with the range between them, of the oversampled arms; nothing if none was trained."""
    arms = [name for name in ORDER if any(arm == name for arm, _ in runs)]
    if not arms:
        return
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    for axis, (score, title) in zip(figure.subplots(1, 2, sharey=True), PANELS.items(), strict=True):
        for name, colour in zip(arms, LINES, strict=False):
            folders = [folder / f"{arm}-{seed}" / "tables" for arm, seed in runs if arm == name]
            _arm(axis, folders, score, ARMS[name].title, colour)
        seed = next(seed for arm, seed in runs if arm == arms[0])
        _receiver(axis, folder / f"{arms[0]}-{seed}" / "tables" / "test_receivers.csv", RECEIVERS[score])
        axis.set(title=title, xlabel="SNR [dB]", ylim=(0, 1.03))
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("share of the test frames")
    lines, names = figure.axes[0].get_legend_handles_labels()
    names[-1] = "without training: spectral floor; with a matched filter that is told all but the symbols"
    figure.legend(lines, names, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    keep(figure, path)


def _arm(axis: Axes, folders: Sequence[Path], score: str, title: str, colour: str) -> None:
    tables = [exports.read(folder / "test_by_snr.csv") for folder in folders]
    decibels = [_db(row["class"]) for row in tables[0]]
    found = np.array([[float(row[score]) for row in table] for table in tables])
    axis.plot(decibels, found.mean(0), color=colour, label=title, marker=".")
    axis.fill_between(decibels, found.min(0), found.max(0), color=colour, alpha=0.2, linewidth=0)


def _receiver(axis: Axes, path: Path, named: str) -> None:
    rows = [row for row in exports.read(path) if named in str(row["name"])]
    axis.plot([_db(r["snr"]) for r in rows], [float(r["accuracy"]) for r in rows], "--", color="black", label=named)


def _db(level: object) -> float:
    return float(str(level).removesuffix(" dB"))

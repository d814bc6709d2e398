"""Pictures of a run, drawn from plain numbers: each function returns a figure, ``keep`` writes it as PNG.

Colours are those of the map ``cividis`` and of Okabe and Ito 2008, which differ for colour-blind readers and in grey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tocsin.studies.constellation.intervals import wilson

LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DPI = 100


def keep(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; a crash leaves the former file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    FigureCanvasAgg(figure)
    figure.savefig(partial, dpi=_DPI, format="png", metadata={"Software": None})
    partial.replace(path)


def constellations(images: ArrayLike, modulations: Sequence[str], snr_db: Sequence[float]) -> Figure:
    """One image of each modulation (rows) and SNR (columns).

    Args:
        images: Grey levels in [0, 1], I along the first axis of an image, [M, S, bins, bins].
        modulations: Names of the rows.
        snr_db: SNR of the columns [dB].
    """
    grid = np.asarray(images, np.float64)
    rows, columns = grid.shape[:2]
    figure = Figure(figsize=(1.05 * columns + 0.9, 1.0 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, name in enumerate(modulations):
        for column, db in enumerate(snr_db):
            axis = axes[row, column]
            axis.imshow(grid[row, column].T, origin="lower", cmap="cividis", vmin=0, vmax=grid.max() or 1)
            axis.set(xticks=[], yticks=[])
            if row == 0:
                axis.set_title(f"{db:g} dB", fontsize=9)
            if column == 0:
                axis.set_ylabel(name, fontsize=9, rotation=0, ha="right", va="center")
    return figure


def confusion(counts: ArrayLike, labels: Sequence[str], task: str) -> Figure:
    """Rows are true classes, columns predictions, colours the share of the row; shares of 5 % and more in figures.

    Args:
        counts: Frames [K, K].
        labels: Names of the classes.
        task: What the classes are.
    """
    table = np.asarray(counts, np.float64)
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    size = 0.42 * len(labels) + 1.8
    figure = Figure(figsize=(size + 0.6, size), layout="constrained")
    axis = figure.subplots()
    drawn = axis.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    for row, column in np.argwhere(shares >= 0.05):
        share = shares[row, column]
        ink = "black" if share > 0.6 else "white"
        axis.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=6.5, color=ink)
    axis.set_xticks(range(len(labels)), labels, rotation=90, fontsize=8)
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.set(xlabel=f"predicted {task}", ylabel=f"true {task}", title=f"{task}: share of each true class [%]")
    figure.colorbar(drawn, ax=axis, shrink=0.7)
    return figure


def accuracy_by_snr(
    snr_db: Sequence[float],
    hits: Mapping[str, ArrayLike],
    frames: ArrayLike,
    known: Mapping[str, ArrayLike] | None = None,
) -> Figure:
    """Accuracy against SNR with 95 % Wilson intervals, and what is known to be attainable as broken lines.

    Args:
        snr_db: The levels [S], dB.
        hits: Frames that were right at each level [S], by task.
        frames: Frames of each level [S].
        known: Accuracies [S] of ceilings and baselines, by name.
    """
    figure, axis = _axes("accuracy", "SNR [dB]")
    n = np.asarray(frames, np.float64)
    for colour, (name, right) in zip(LINES, hits.items(), strict=False):
        low, high = wilson(right, n)
        axis.plot(snr_db, np.asarray(right) / n, "o-", color=colour, label=name, markersize=4)
        axis.fill_between(snr_db, low, high, color=colour, alpha=0.2, linewidth=0)
    for colour, (name, share) in zip(LINES[len(hits) :], (known or {}).items(), strict=False):
        axis.plot(snr_db, np.asarray(share, np.float64), "--", color=colour, label=name)
    axis.set_ylim(-0.02, 1.02)
    axis.legend(fontsize=8)
    return figure


def attractor_by_epoch(epochs: Sequence[float], index: ArrayLike, snr_db: ArrayLike, selected: float | None) -> Figure:
    """Largest share of the predictions that one SNR class takes, times the number of classes, and which class it is.

    Args:
        epochs: Of the evaluations [n].
        index: Attractor index [n]; 1 is none.
        snr_db: The class that takes most [n], dB.
        selected: Epoch of the checkpoint that was kept.
    """
    figure, axis = _axes("attractor index", "epoch")
    axis.axhline(1, color="0.6", linewidth=1)
    axis.axhline(2, color=LINES[1], linewidth=1, linestyle=":")
    values = np.asarray(index, np.float64)
    axis.plot(epochs, values, "o-", color=LINES[0], markersize=4)
    for epoch, value, db in zip(epochs, values, np.asarray(snr_db), strict=True):
        axis.annotate(f"{db:g} dB", (epoch, value), textcoords="offset points", xytext=(0, 5), ha="center", fontsize=7)
    if selected is not None:
        axis.axvline(selected, color=LINES[2], linestyle="--", linewidth=1, label="checkpoint kept")
        axis.legend(fontsize=8)
    axis.set_ylim(0, max(2.5, 1.15 * float(np.nanmax(values, initial=1))))
    return figure


def weights_by_epoch(epochs: Sequence[float], weights: Mapping[str, ArrayLike]) -> Figure:
    """The weight of each task in the total by epoch.

    Args:
        epochs: [n].
        weights: Weights [n] by task.
    """
    figure, axis = _axes("weight in the total", "epoch")
    for colour, (name, values) in zip(LINES, weights.items(), strict=False):
        axis.plot(epochs, np.asarray(values, np.float64), "o-", color=colour, label=name, markersize=4)
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=8)
    return figure


def _axes(y: str, x: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axis = figure.subplots()
    axis.set(xlabel=x, ylabel=y)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis

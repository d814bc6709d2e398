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
from numpy.typing import ArrayLike, NDArray

from tocsin.studies.constellation.evaluation.intervals import wilson

LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKS, _WIDTHS = "osD^v", (4.0, 2.0, 1.2, 1.2, 1.2)  # lines on top of each other: the narrower above the wider
_DPI = 100
_TILE, _GAP = 80, 2  # pixels of a small image, cells between two


def keep(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; a crash leaves the former file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    FigureCanvasAgg(figure)
    figure.savefig(partial, dpi=_DPI, format="png", metadata={"Software": None})
    partial.replace(path)


def constellations(images: ArrayLike, modulations: Sequence[str], snr_db: Sequence[float], layer: str) -> Figure:
    """One image of each modulation (rows) and SNR (columns), on one scale that saturates for the brightest hundredth.

    Args:
        images: Grey levels in [0, 1], I along the first axis of an image, [M, S, bins, bins].
        modulations: Names of the rows.
        snr_db: SNR of the columns [dB].
        layer: What is counted.
    """
    grid = _coarse(np.asarray(images, np.float64))
    rows, columns, side = grid.shape[:3]
    tiles = np.pad(grid, ((0, 0), (0, 0), (0, _GAP), (0, _GAP)), constant_values=np.nan)
    mosaic = tiles.transpose(0, 3, 1, 2)[:, ::-1].reshape(rows * (side + _GAP), columns * (side + _GAP))
    pixels = np.array(mosaic.shape[::-1]) / _DPI * (_TILE / side)
    figure = Figure(figsize=(pixels[0] + 1.0, pixels[1] + 0.6), layout="constrained")
    axis = figure.subplots()
    brightest = np.quantile(grid[grid > 0], 0.99) if (grid > 0).any() else 1
    axis.imshow(mosaic, cmap="cividis", vmin=0, vmax=brightest, interpolation="nearest")
    middle = (side - 1) / 2
    axis.set_xticks(np.arange(columns) * (side + _GAP) + middle, [f"{db:g} dB" for db in snr_db], fontsize=9)
    axis.set_yticks(np.arange(rows) * (side + _GAP) + middle + _GAP, modulations, fontsize=9)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_title(f"layer {layer}, one test frame each", fontsize=10)
    return figure


def _coarse(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Images [M, S, bins, bins] of at most ``_TILE`` cells a side, each the brightest of those it stands for."""
    bins = images.shape[2]
    step = -(-bins // _TILE)
    padded = np.pad(images, ((0, 0), (0, 0), (0, -bins % step), (0, -bins % step)))
    side = padded.shape[2] // step
    return np.asarray(padded.reshape(*images.shape[:2], side, step, side, step).max((3, 5)))


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
    drawn = axis.imshow(100 * shares, cmap="cividis", vmin=0, vmax=100)
    for row, column in np.argwhere(shares >= 0.05):
        share = shares[row, column]
        ink = "black" if share > 0.6 else "white"
        axis.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=ink)
    axis.set_xticks(range(len(labels)), labels, rotation=90, fontsize=8)
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.set(xlabel=f"predicted {task}", ylabel=f"true {task}", title=f"{task}: share of each true class [%]")
    figure.colorbar(drawn, ax=axis, shrink=0.7, label="%")
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
        known: Accuracies [S] of ceilings and baselines, by name; "joint: ..." has the colour of the task "joint".
    """
    figure, axis = _axes("accuracy", "SNR [dB]", legend=0.9 + 0.2 * len(hits) + 0.2 * len(known or {}))
    n = np.asarray(frames, np.float64)
    colours = dict(zip(hits, LINES, strict=False))
    for (name, colour), mark, wide in zip(colours.items(), _MARKS, _WIDTHS, strict=False):
        low, high = wilson(hits[name], n)
        axis.fill_between(snr_db, low, high, color=colour, alpha=0.15, linewidth=0)
        axis.plot(
            snr_db, np.asarray(hits[name]) / n, f"{mark}-", color=colour, label=name, fillstyle="none", linewidth=wide
        )
    for name, share in (known or {}).items():
        colour = colours.get(name.partition(":")[0], LINES[-1])
        axis.plot(snr_db, np.asarray(share, np.float64), "--", color=colour, label=name, linewidth=1.2)
    axis.set_ylim(-0.02, 1.02)
    figure.legend(loc="outside lower center", fontsize=8, ncols=1 if known else 3)
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
    axis.axhline(1, color="0.6", linewidth=1, label="1: no class is preferred")
    axis.axhline(2, color=LINES[1], linewidth=1, linestyle=":", label="2: one class takes twice its share")
    values, paper = np.asarray(index, np.float64), {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    axis.plot(epochs, values, "o-", color=LINES[0], markersize=4)
    for epoch, value, db in zip(epochs, values, np.asarray(snr_db), strict=True):
        axis.annotate(f"{db:g} dB", (epoch, value), textcoords="offset points", xytext=(0, 8), ha="center",
                      fontsize=7, bbox=paper)  # fmt: skip
    if selected is not None:
        axis.axvline(selected, color=LINES[2], linestyle="--", linewidth=1, label="checkpoint kept")
    axis.legend(fontsize=8)
    axis.set_ylim(0, max(2.5, 1.15 * float(np.nanmax(values, initial=1))))
    return figure


def masked_pixels(arms: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Accuracy against the share of the occupied pixels that was masked.

    Args:
        arms: Pairs of share and accuracy, by which pixels were masked.
    """
    figure, axis = _axes("joint accuracy", "share of the occupied pixels masked [%]")
    for colour, mark, (name, pairs) in zip(LINES, _MARKS, arms.items(), strict=False):
        share, accuracy = np.array(pairs, np.float64).T
        axis.plot(100 * share, accuracy, f"{mark}-", color=colour, label=name, markersize=4)
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=8)
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


def _axes(y: str, x: str, legend: float = 0.0) -> tuple[Figure, Axes]:
    """Empty axes; ``legend`` is the room below them [inch]."""
    figure = Figure(figsize=(6.4, 3.8 + legend), layout="constrained")
    axis = figure.subplots()
    axis.set(xlabel=x, ylabel=y)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis

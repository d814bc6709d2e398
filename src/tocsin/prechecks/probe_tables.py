"""Tables for the cheap probe: what samples hold as numbers, and features that a linear fit can read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.prechecks.samples import Samples

Floats = NDArray[np.float64]
MOST_ROWS = 2000
_MOST_ENTRIES, _MOST_COLUMNS = 2**21, 2**12  # of what is held as float64 at once: a second for all that is tried
_NARROW, _WIDE, _SKETCH, _COMPONENTS = 64, 256, 1024, 64
_LEVELS = 16
_FOURIER = 64


def chosen_rows(n: int, columns: int) -> NDArray[np.intp]:
    """Rows to look at, in order: all, or a fixed random part of them so that they fit."""
    most = min(MOST_ROWS, max(256, _MOST_ENTRIES // max(min(columns, _MOST_COLUMNS), 1)))
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def input_columns(samples: Samples) -> int | None:
    """Numbers that go into the model for one sample; None where some are codes (tokens, indices), not amounts."""
    coded = {torch.int16, torch.int32, torch.int64}
    if any(t.dtype in coded or t.is_complex() for t in samples.inputs):
        return None
    return sum(t[0].numel() for t in samples.inputs)


def input_rows(samples: Samples, rows: NDArray[np.intp]) -> Floats:
    """What goes into the model for these samples, all inputs beside each other, [n, columns]."""
    found = [np.asarray(_part(t, rows), np.float64) for t in samples.inputs]
    return np.concatenate(found, axis=1)


def _part(tensor: Tensor, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    flat = tensor.reshape(len(tensor), -1)
    every = -(-flat.shape[1] // _MOST_COLUMNS)
    part: NDArray[np.float64] = flat[torch.from_numpy(rows), ::every].double().numpy()
    return part


def features(table: Floats, *, plain: bool = False) -> Floats:
    """What a ridge regression is to see of a table, [n, at most about 350], by columns of unit variance.

    The standardised columns (64 principal components of more than 256) and each row's mean and spread. Unless
    ``plain``, what is not linear too: normal scores and few-valued columns by value where there are few, each row's
    least, largest and size, squares of the 16 leading components, and 64 random Fourier features. Nothing of it looks
    at targets. Values that are not finite count as the column's median.
    """
    whole = finite(table)
    x = standardised(whole)
    parts = [_components(x) if x.shape[1] > _WIDE else x]
    if table.shape[1] >= 8:
        parts.append(normal_scores(np.stack([whole.mean(axis=1), whole.std(axis=1)], axis=1)))
    if not plain and x.shape[1]:
        parts += _curved(whole, x, parts[0])
    return standardised(np.concatenate(parts, axis=1))


def _curved(whole: Floats, x: Floats, reduced: Floats) -> list[Floats]:
    """What a linear fit to the columns cannot see."""
    parts = [_fourier(reduced)]
    if whole.shape[1] <= _NARROW:
        parts.append(normal_scores(x))
    if whole.shape[1] <= _LEVELS:
        parts.append(_by_value(x))
    if whole.shape[1] >= 8:
        centred = whole - whole.mean(axis=0)
        sizes = np.stack([whole.min(axis=1), whole.max(axis=1), (centred**2).sum(axis=1)], axis=1)
        parts += [normal_scores(sizes), normal_scores(_components(centred, 16) ** 2)]
    return parts


def standardised(x: Floats) -> Floats:
    """Columns of mean 0 and variance 1, within 20; those that are constant left out."""
    largest = np.abs(x).max(axis=0, initial=0.0)
    scaled = x / np.where(largest > 0, largest, 1.0)
    spread = scaled.std(axis=0)
    kept = spread > 1e-7
    found: Floats = (scaled[:, kept] - scaled[:, kept].mean(axis=0)) / spread[kept]
    return found.clip(-20, 20)


def normal_scores(x: Floats) -> Floats:
    """Each column by rank, as quantiles of the normal distribution; equal values get equal scores."""
    ranks = np.empty_like(x)
    for k, column in enumerate(x.T):
        _, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
        ranks[:, k] = (np.cumsum(counts) - counts / 2)[inverse] / len(x)
    scores: Floats = torch.special.ndtri(torch.from_numpy(ranks)).numpy()
    return scores


def finite(x: Floats) -> Floats:
    """With the column's median for what is not finite."""
    good = np.isfinite(x)
    if good.all():
        return x
    held = np.where(good, x, np.nan)
    held[:, ~good.any(axis=0)] = 0.0
    return np.where(good, x, np.nanmedian(held, axis=0))


def _by_value(x: Floats) -> Floats:
    parts = [np.zeros((len(x), 0))]
    for column in x.T:
        values, inverse = np.unique(column, return_inverse=True)
        if 2 < values.size <= _LEVELS:
            parts.append(np.eye(values.size)[inverse])
    return np.concatenate(parts, axis=1)


def _components(x: Floats, most: int = _COMPONENTS) -> Floats:
    """Leading principal components, by a sketch where the table is very wide (Halko et al. 2011)."""
    random = np.random.default_rng(0)
    small = (x / max(float(np.abs(x).max(initial=0.0)), 1e-300)).astype(np.float32)
    if small.shape[1] > _SKETCH:
        order, signs = random.permutation(small.shape[1]), random.choice([-1, 1], small.shape[1])
        starts = np.linspace(0, order.size, _SKETCH, False).astype(int)
        small = np.add.reduceat(small[:, order] * signs.astype(np.float32), starts, axis=1)
    start = small @ random.standard_normal((small.shape[1], most + 16), np.float32)
    basis = np.linalg.qr(small @ (small.T @ start))[0]
    u, size, _ = np.linalg.svd(basis.T @ small, full_matrices=False)
    found: Floats = ((basis @ u)[:, :most] * size[:most]).astype(np.float64)
    return found


def _fourier(x: Floats) -> Floats:
    """Random Fourier features (Rahimi & Recht 2007) of two widths, for columns of one total variance."""
    random, columns = np.random.default_rng(1), x.shape[1]
    if not columns:
        return x
    scaled = x / max(float(np.sqrt((x**2).sum(axis=1).mean())), 1e-12)
    width = np.repeat([1.0, 4.0], _FOURIER // 2)
    found: Floats = np.cos(
        scaled @ (random.standard_normal((columns, _FOURIER)) * width) + random.uniform(0, 2 * np.pi, _FOURIER)
    )
    return found


def thinned(table: NDArray[Any], rows: NDArray[np.intp]) -> Floats:
    """These rows of a table as float64, with columns left out evenly where there are more than 4096."""
    return table[rows, :: max(1, -(-table.shape[1] // _MOST_COLUMNS))].astype(np.float64)


def views(table: Floats) -> Iterator[Floats]:
    """A table undone as if it were in natural logarithms or decibels, and its signed logarithm.

    A linear fit may read one and not the other; none of them adds information.
    """
    centred = finite(table) - np.median(finite(table))
    for rate in (1.0, np.log(10) / 10):
        yield np.exp((rate * centred).clip(-20, 20))
    yield np.sign(centred) * np.log1p(np.abs(centred) / max(float(np.median(np.abs(centred))), 1e-300))

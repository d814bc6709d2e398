"""Marks that preprocessing leaves on a sample, apart from what was measured: padding, and the step of its values."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.prechecks.probe_tables import Floats
from tocsin.prechecks.samples import Samples

_MOST_VALUES = 4096
_FEWEST_VALUES = 32
_FLAT = 1e-5  # of a sample's range: nearer values are the same one
_OFF = 0.03  # of a step: how far a value may lie off the lattice
_ON = 0.98  # share of the gaps that are whole steps
_INNER_ZEROS = 0.01
_FEW_PADDED = 0.05
_MARKED = 0.5
_SAME = 0.01
_NEARLY_ALL = 0.95
_OFF_LOG = 0.04  # of the level of a count of one: a byte, where the largest count of the scale is about a thousand
_TOLD_APART = 7  # the largest count whose logarithm lies four times as far from the next one's


def amounts(samples: Samples, rows: NDArray[np.intp]) -> Tensor | None:
    """The first input that holds amounts, at these rows; None where there is none of two dimensions or more."""
    for tensor in samples.inputs:
        if tensor.is_floating_point() and tensor.dim() >= 2:
            return tensor[torch.from_numpy(rows)]
    return None


def padding(inputs: Tensor) -> Floats | None:
    """How much exact zero stands before and after each sample along its last axis, as shares of it, [n, 2].

    None where it is no padding: zeros within samples too (a black background, sparse features), or less than 5 % of
    the samples have any.
    """
    flat = inputs.reshape(len(inputs), -1, inputs.shape[-1]) if inputs.dim() > 1 else inputs[:, None]
    length = flat.shape[-1]
    if length < _FEWEST_VALUES:
        return None
    used = (flat != 0).any(dim=1).numpy()
    some = used.any(axis=1)
    before = np.where(some, used.argmax(axis=1), length)
    after = np.where(some, used[:, ::-1].argmax(axis=1), 0)
    inner = (~used).sum(axis=1) - before - after
    share = inner.sum() / max(int((length - before - after).sum()), 1)
    if share > _INNER_ZEROS or np.mean(before + after > 0) < _FEW_PADDED:
        return None
    found: Floats = np.stack([before, after], axis=1) / length
    return found


def steps(inputs: Tensor) -> Floats | None:
    """Logarithm of the step between neighbouring values of each sample, [n, 1]; NaN where its values have none.

    Where most samples hold logarithms of counts (plus one) in place of counts, it is the level of a count of one. None
    where fewer than half of the samples have a step, or it is the same for nearly all: nothing was rescaled one by one.
    """
    table = _one_channel(inputs)
    if table.shape[1] < _FEWEST_VALUES:
        return None
    levels = [_levels(row) for row in table]
    for unit in (_step, _level_of_one):
        found = np.array([unit(one) for one in levels])
        if np.mean(np.isfinite(found)) >= _MARKED:
            return None if _same(found[np.isfinite(found)]) else np.log(found)[:, None]
    return None


def _same(known: Floats) -> bool:
    return float(np.mean(np.abs(known / np.median(known) - 1) <= _SAME)) >= _NEARLY_ALL


def _one_channel(inputs: Tensor) -> Floats:
    """Values of a sample's first channel, where that has enough: channels may be scaled one by one.

    The middle ones, where there are very many: borders of images are often empty.
    """
    first = inputs[:, 0].reshape(len(inputs), -1)
    flat = first if first.shape[1] >= _FEWEST_VALUES else inputs.reshape(len(inputs), -1)
    start = max(0, (flat.shape[1] - _MOST_VALUES) // 2)
    found: Floats = flat[:, start : start + _MOST_VALUES].double().numpy()
    return found


def _levels(values: Floats) -> Floats:
    """The distinct values, rising; none where hardly a value comes twice."""
    ordered = np.sort(values[np.isfinite(values)])
    span = float(ordered[-1] - ordered[0]) if ordered.size else 0.0
    levels = ordered[np.append(True, np.diff(ordered) > _FLAT * span)] if ordered.size else ordered
    return levels if levels.size - 1 <= 0.9 * ordered.size else levels[:0]


def _step(levels: Floats) -> float:
    """The least gap of which all gaps are multiples; NaN where there is none."""
    gaps = np.diff(levels)
    if gaps.size < 2:
        return np.nan
    least = float(gaps.min())
    whole = np.abs(gaps / least - np.round(gaps / least)) < _OFF
    return least if float(whole.mean()) >= _ON else np.nan


def _level_of_one(levels: Floats) -> float:
    """The gap above the lowest level, if levels are logarithms of 1, 2, 3 ... times a scale, as good as a byte can say.

    Only levels are looked at that tell counts apart; NaN with fewer than two of them above it.
    """
    if levels.size < 4:
        return np.nan
    above = (levels[1:] - levels[0]) / (levels[1] - levels[0])
    told = above[1:][above[1:] < np.log2(_TOLD_APART + 1.5)]
    whole = np.log2(np.round(2.0**told))
    return float(levels[1] - levels[0]) if told.size >= 2 and np.abs(told - whole).max() < _OFF_LOG else np.nan

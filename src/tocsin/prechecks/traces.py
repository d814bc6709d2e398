"""Marks that preprocessing leaves on a sample, apart from what was measured: padding, and the step of its values."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.prechecks.probe_tables import Floats
from tocsin.prechecks.samples import Samples

_MOST_VALUES = 1024
_FEWEST_VALUES = 32
_FLAT = 1e-5  # of a sample's range: nearer values are the same one
_OFF = 0.03  # of a step: how far a value may lie off the lattice
_ON = 0.98  # share of the gaps that are whole steps
_INNER_ZEROS = 0.01
_FEW_PADDED = 0.05
_MARKED = 0.5
_SAME = 0.01


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

    None where fewer than half of the samples have a step, or it is the same for all: nothing was rescaled one by one.
    """
    table = _one_channel(inputs)
    if table.shape[1] < _FEWEST_VALUES:
        return None
    found = np.array([_step(row) for row in table])
    known = found[np.isfinite(found)]
    if known.size < _MARKED * found.size or known.max() <= known.min() * (1 + _SAME):
        return None
    logs: Floats = np.log(found)[:, None]
    return logs


def _one_channel(inputs: Tensor) -> Floats:
    """Values of a sample's first channel, where that has enough: channels may be scaled one by one."""
    first = inputs[:, 0].reshape(len(inputs), -1)
    flat = first if first.shape[1] >= _FEWEST_VALUES else inputs.reshape(len(inputs), -1)
    found: Floats = flat[:, :_MOST_VALUES].double().numpy()
    return found


def _step(values: Floats) -> float:
    """The least gap of which all gaps are multiples; NaN where there is none."""
    ordered = np.sort(values[np.isfinite(values)])
    span = float(ordered[-1] - ordered[0]) if ordered.size else 0.0
    gaps = np.diff(ordered)
    gaps = gaps[gaps > _FLAT * span]
    if gaps.size < 2 or gaps.size > 0.9 * ordered.size:  # hardly a value twice: no lattice
        return np.nan
    least = float(gaps.min())
    whole = np.abs(gaps / least - np.round(gaps / least)) < _OFF
    return least if float(whole.mean()) >= _ON else np.nan

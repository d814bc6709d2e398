"""How far the moments of two sets of samples lie apart, with intervals, and what an 8-bit cast leaves behind."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin import stats

Floats = NDArray[np.float64]
MOST_FEATURES = 1024
MOST_CHANNELS = 64
_ENTRIES = 2**16
_DRAWN = 1024
_MOST_DRAWN = 2**21
_TAIL = 0.005
_LEVELS = 16  # of 256, at each end: z-scores hardly exceed 8
_ENDS = 0.05


@dataclass(frozen=True)
class Moments:
    """Of each feature: mean and sd of its entries, and standard errors of mean and log sd over samples; each [F]."""

    mean: Floats
    sd: Floats
    mean_error: Floats
    log_error: Floats


@dataclass(frozen=True)
class Drift:
    """How one moment of one feature differs.

    Attributes:
        feature: Which.
        moment: "mean" or "sd".
        size: How much, in sd of the wider one, or as a factor.
        low: The least that the interval allows.
        high: The most.
    """

    feature: int
    moment: str
    size: float
    low: float
    high: float


def by_feature(x: Tensor) -> Tensor:
    """Samples as [n, features, entries]: columns of a table, channels of images and series, else one feature."""
    if x.dim() == 2:
        return x[:, :: max(1, -(-x.shape[1] // MOST_FEATURES)), None]
    if x.dim() > 2 and x.shape[1] > MOST_CHANNELS >= x.shape[-1]:
        x = x.movedim(-1, 1)
    return x.flatten(2) if x.dim() > 2 and x.shape[1] <= MOST_CHANNELS else as_one(x)


def as_one(x: Tensor) -> Tensor:
    """Samples as [n, 1, entries]."""
    return x.reshape(len(x), 1, -1)


def clipped(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both [n, features, entries], the outermost 1 % of each feature in both together moved in."""
    pooled = np.concatenate([_drawn(a), _drawn(b)], axis=1)
    low, high = (
        torch.as_tensor(q, dtype=torch.float32)[:, None] for q in np.quantile(pooled, (_TAIL, 1 - _TAIL), axis=1)
    )
    return a.float().clamp(low, high), b.float().clamp(low, high)


def _drawn(x: Tensor) -> Floats:
    """Entries of each feature, [F, m], of at most ``_DRAWN`` samples, evenly spread."""
    rows = x[:: max(1, -(-len(x) // _DRAWN))]
    some = rows[:, :, :: max(1, -(-rows[0].numel() * len(rows) // _MOST_DRAWN))]
    drawn: Floats = some.transpose(0, 1).flatten(1).double().numpy()
    return drawn


def moments(x: Tensor) -> Moments:
    """``Moments`` of samples [n, features, entries]; the samples are taken for independent, the entries are not."""
    means = _of_samples(x)
    centre = means.mean(axis=0)
    squares = _of_samples(x, torch.as_tensor(centre, dtype=torch.float32)[:, None])
    variance, root = squares.mean(axis=0), math.sqrt(len(x))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = 0.5 * squares.std(axis=0, ddof=1) / root / variance
    return Moments(centre, np.sqrt(variance), means.std(axis=0, ddof=1) / root, spread)


def _of_samples(x: Tensor, centre: Tensor | None = None) -> Floats:
    """Means over the entries, of the values or of the squares about the centre; a few samples at a time."""
    parts = (x[k : k + 256].float() for k in range(0, len(x), 256))
    made = [(part if centre is None else (part - centre).square()).mean(dim=2).double().numpy() for part in parts]
    return np.concatenate(made)


def drifts(a: Moments, b: Moments, shift: float, ratio: float, confidence: float = 0.999) -> Iterator[Drift]:
    """Where the whole interval of a difference, shared by the features, lies beyond ``shift`` sd or ``ratio``."""
    known = (a.sd > 0) & (b.sd > 0)
    z = stats.z_of(1 - (1 - confidence) / max(1, 2 * int(known.sum())))
    for k in np.flatnonzero(known):
        unit = max(a.sd[k], b.sd[k])
        apart, half = abs(a.mean[k] - b.mean[k]) / unit, z * math.hypot(a.mean_error[k], b.mean_error[k]) / unit
        if apart - half > shift:
            yield Drift(int(k), "mean", float(apart), float(apart - half), float(apart + half))
        log, half = abs(math.log(a.sd[k] / b.sd[k])), z * math.hypot(a.log_error[k], b.log_error[k])
        if log - half > math.log(ratio):
            yield Drift(int(k), "sd", math.exp(log), math.exp(log - half), math.exp(min(log + half, 700)))


def beyond(train: Tensor, held: Tensor, ranges: float) -> tuple[int, float, float]:
    """How many samples have an entry so many training ranges outside of them, and that range."""
    low, high = float(train.min()), float(train.max())
    far = ranges * (high - low)
    flat = held.reshape(len(held), -1)
    out = (flat.amin(dim=1).double() < low - far) | (flat.amax(dim=1).double() > high + far)
    return (int(out.sum()), low, high) if far > 0 else (0, low, high)


def wrapped(x: Tensor, other: Tensor) -> bool:
    """Whether ``x`` looks like ``other`` after a cast to unsigned bytes: small negative values became 255, 254, ...

    All of at most 256 levels lie near both ends; taken back (256 less), they have the mean and sd of ``other``, which
    has more levels.
    """
    values, others = (_some(t) for t in (x, other))
    kinds = np.unique(values)
    if not 4 <= len(kinds) <= 2 * _LEVELS or len(np.unique(others)) <= 256 or kinds[0] != 0:
        return False
    for step in (1.0, 1 / 255):
        level = np.round(values / step)
        if not np.allclose(level * step, values, atol=1e-3 * step) or not 0 <= level.min() <= level.max() <= 255:
            continue
        back = np.where(level > 127, level - 256, level)
        near, minus = bool(np.all(np.abs(back) <= _LEVELS)), float(np.mean(back < 0))
        sd = float(others.std())
        alike = abs(back.mean() - others.mean()) < 0.5 * sd and 0.5 < back.std() / sd < 2
        return bool(near and _ENDS < minus < 1 - _ENDS and len(np.unique(back[back < 0])) > 1 and alike)
    return False


def _some(x: Tensor) -> Floats:
    flat = x.reshape(-1)
    at = torch.linspace(0, len(flat) - 1, min(_ENTRIES, len(flat)), dtype=torch.float64).long()
    some: Floats = flat[at].double().numpy()
    return some

"""Nearest neighbours of samples, by features on one scale and in few dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
DIMENSIONS = 64
MOST = 2048
_CLIP = 8.0  # sd: a feature that is nearly always the same must not decide alone
_ROWS = 512
_CANDIDATES = 4


@dataclass(frozen=True)
class Nearness:
    """Distance to the nearest training sample, in units of that sample's own distance to its nearest other one.

    Attributes:
        held: Of each evaluation sample, [n].
        trained: Of each training sample, itself left out everywhere, [m].
    """

    held: Floats
    trained: Floats


def nearness(train: Tensor, held: Tensor, seed: int = 0) -> Nearness | None:
    """``Nearness`` of rows of features; None with fewer than 20 samples, or without a feature that varies."""
    train, held = _even(train), _even(held)
    a, b = _reduced(train.reshape(len(train), -1), held.reshape(len(held), -1), seed)
    if min(len(a), len(b)) < 20 or not a.shape[1]:
        return None
    far, which = _nearest(a, a, 2, same=True)
    apart, at = _nearest(b, a, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = far[which[:, 0], 0]
        own = np.where(which[which[:, 0], 0] == np.arange(len(a)), far[which[:, 0], 1], own)
        return Nearness(_ratio(apart[:, 0], far[at[:, 0], 0]), _ratio(far[:, 0], own))


def _even(rows: Tensor) -> Tensor:
    """At most ``MOST`` rows, evenly spread, of finite entries."""
    if len(rows) > MOST:
        rows = rows[torch.linspace(0, len(rows) - 1, MOST).long()]
    return rows[torch.isfinite(rows.reshape(len(rows), -1)).all(dim=1)] if rows.is_floating_point() else rows


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), np.inf)


def _reduced(train: Tensor, held: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Both in units of the training samples' sd, by a random projection where there are more than ``DIMENSIONS``."""
    if not len(train) or not len(held):
        return train[:, :0].float(), held[:, :0].float()
    sd, mean = torch.std_mean(train.float(), dim=0, correction=0)
    kept = torch.nonzero(sd > 1e-6 * sd.max().clamp(min=1e-30)).reshape(-1)
    width = min(DIMENSIONS, len(kept))
    maker = torch.Generator().manual_seed(seed)
    made = [torch.zeros(len(rows), width) for rows in (train, held)]
    for columns in torch.split(kept, 4096):
        basis = torch.randn(len(columns), width, generator=maker) / max(width, 1) ** 0.5
        for rows, into in zip((train, held), made, strict=True):
            scaled = ((rows[:, columns].float() - mean[columns]) / sd[columns]).clamp(-_CLIP, _CLIP)
            if len(kept) <= DIMENSIONS:
                into.copy_(scaled)
            else:
                into.addmm_(scaled, basis)
    return made[0], made[1]


def _nearest(of: Tensor, among: Tensor, k: int, *, same: bool = False) -> tuple[Floats, NDArray[np.int64]]:
    """Distances to the ``k`` nearest rows of ``among``, not to itself where they are the ``same``, and which."""
    found, which = [], []
    for start in range(0, len(of), _ROWS):
        part = of[start : start + _ROWS]
        apart = torch.cdist(part, among)
        if same:
            apart[torch.arange(len(part)), torch.arange(start, start + len(part))] = torch.inf
        at = apart.topk(min(k + _CANDIDATES, apart.shape[1] - same), largest=False).indices
        exact = (part[:, None].double() - among[at].double()).norm(dim=2)  # fast distances cancel where rows are close
        order = exact.argsort(dim=1)[:, :k]
        found.append(exact.gather(1, order))
        which.append(at.gather(1, order))
    return torch.cat(found).numpy(), torch.cat(which).numpy()

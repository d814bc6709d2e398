"""Whether the samples of a batch are more alike than those of different batches: data in sorted order."""

from __future__ import annotations

import torch
from torch import Tensor

from tocsin.probes import measures

MOST_FEATURES = 1024
LEAST_ROWS = 16
BATCHES = (4, 8)  # between so many batches


class Likeness:
    """Batch means and variances within the first batches of an epoch, by feature."""

    def __init__(self) -> None:
        self._means: list[Tensor] = []
        self._within: list[Tensor] = []
        self._rows = 0

    def restart(self) -> None:
        """A new epoch begins."""
        self._means.clear()
        self._within.clear()

    def see(self, batch: Tensor) -> dict[str, Tensor | float]:
        """One training input; from the fourth of equal shape on, the share of variance between them so far."""
        if batch.dim() < 2 or batch.shape[0] < LEAST_ROWS or len(self._means) >= BATCHES[1]:
            return {}
        rows = measures.dense(batch).reshape(batch.shape[0], -1)
        rows = rows[:, :: -(-rows.shape[1] // MOST_FEATURES) | 1].to(torch.float32)
        if self._means and (rows.shape[0], rows.shape[1:]) != (self._rows, self._means[0].shape):
            return {}
        self._rows = rows.shape[0]
        var, mean = torch.var_mean(rows, dim=0)
        self._means.append(mean)
        self._within.append(var)
        return {"input/likeness": self._share()} if len(self._means) >= BATCHES[0] else {}

    def _share(self) -> Tensor:
        """Intraclass correlation, one-way analysis of variance summed over features; about 0 for random batches."""
        within = torch.stack(self._within).mean(dim=0).sum()
        between = torch.stack(self._means).var(dim=0).sum() * self._rows
        return (between - within) / (between + (self._rows - 1) * within)

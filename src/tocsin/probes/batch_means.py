"""Scores of a classifier averaged over the batches as they come: what many loops log in place of the pooled score."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_FOLD_CELLS = 2**18
_FOLD_BATCHES = 64
_NAMES = (
    "accuracy", "f1_macro", "f1_macro_all", "f1_micro", "f1_weighted", "precision_macro", "recall_macro",
    "recall_balanced", "f1", "precision", "recall",
)  # fmt: skip
SMALL_CLASSES = 64  # up to here a table is as cheap to keep as its margins
_OF_IDS = {"accuracy", "f1_macro", "f1_weighted", "precision_macro", "recall_macro", "recall_balanced"}
_OF_CLASSES = _OF_IDS | {"f1_macro_all"}
_OF_BINARY = _OF_CLASSES | {"f1", "precision", "recall"}
_OF_LABELS = {"f1_macro_all", "f1_micro"}


class BatchMeans:
    """Unweighted means over batches of the standard scores; counts wait on the device and are folded many at a time.

    ``f1_macro``, ``precision_macro`` and ``recall_macro`` are over the classes with a target or a prediction in the
    batch, ``f1_macro_all`` over all, ``recall_balanced`` over those with a target; ``f1``, ``precision`` and
    ``recall`` are of class 1 of two. 0 / 0 counts as 0.
    """

    def __init__(self) -> None:
        self._waiting: list[Tensor] = []
        self._tables: list[list[Tensor]] = []
        self._size = 0
        self._sums: Tensor | None = None
        self._batches = 0

    def add(self, counts: Tensor) -> None:
        """One batch: targets, predictions and hits of each class by each way of reading it, [R, 3, K]."""
        self._waiting.append(counts)
        if len(self._waiting) >= _FOLD_BATCHES or len(self._waiting) * counts.numel() > _FOLD_CELLS:
            self._fold()

    def add_tables(self, tables: list[Tensor], size: int) -> None:
        """One batch by its confusions, one for each way of reading it, [size * size] cells and more; few classes."""
        self._tables.append(tables)
        self._size = size
        if len(self._tables) >= _FOLD_BATCHES:
            self._fold()

    def add_alone(self, counts: Tensor) -> None:
        """One batch whose classes are its own, [1, 3, K of this batch]."""
        self._waiting.append(counts)
        self._fold()

    def _fold(self) -> None:
        if self._tables:
            cells = torch.stack([torch.stack(tables) for tables in self._tables])[..., : self._size**2]
            self._waiting, self._tables = list(_margins(cells.reshape(*cells.shape[:2], self._size, self._size))), []
        if self._waiting:
            waiting, self._waiting = torch.stack(self._waiting), []
            sums = _scores(waiting).sum(dim=0)
            self._sums = sums if self._sums is None else self._sums + sums
            self._batches += len(waiting)

    def means(self, kind: str, reading: int = 0) -> dict[str, float]:
        """The means by name, over two batches or more; a score that is undefined in a batch is left out."""
        self._fold()
        if self._sums is None or self._batches < 2:
            return {}
        values = (self._sums[reading].double().cpu() / self._batches).tolist()
        found = {name: v for name, v in zip(_NAMES, values, strict=True) if math.isfinite(v)}
        if kind == "multilabel":
            kept = {name: v for name, v in found.items() if name in _OF_LABELS}
            return {("f1_macro" if name == "f1_macro_all" else name): v for name, v in kept.items()}
        wanted = {"ids": _OF_IDS, "binary": _OF_BINARY}.get(kind, _OF_CLASSES)
        return {name: v for name, v in found.items() if name in wanted}


def _margins(tables: Tensor) -> Tensor:
    """Targets, predictions and hits [B, R, 3, K] of whole confusions [B, R, K, K]."""
    return torch.stack([tables.sum(-1), tables.sum(-2), tables.diagonal(dim1=-2, dim2=-1)], dim=2)


def margins(truth: Tensor, said: Tensor, valid: Tensor, size: int) -> Tensor:
    """Targets, predictions and hits of each of ``size`` classes among the valid rows, [3, size]; no synchronisation."""
    wide, away = size + 1, truth.new_full((), size)
    true, guess = torch.where(valid, truth, away), torch.where(valid, said, away)
    hit = torch.where(true == guess, true, away)
    index = torch.cat([true, guess + wide, hit + 2 * wide])
    counts = torch.zeros(3 * wide, dtype=torch.int32, device=truth.device)
    counts.scatter_add_(0, index, torch.ones_like(index, dtype=torch.int32))
    return counts.view(3, wide)[:, :size]


def seen_alone(truth: Tensor, said: Tensor, count: Tensor) -> Tensor:
    """The same from the cells of one batch's confusion, over the classes that occur in it, [1, 3, K']."""
    classes, place = torch.unique(torch.cat([truth, said]), return_inverse=True)
    true, guess = place[: len(truth)], place[len(truth) :]
    rows = torch.zeros(3, len(classes), dtype=count.dtype, device=count.device)
    rows[0].scatter_add_(0, true, count)
    rows[1].scatter_add_(0, guess, count)
    rows[2].scatter_add_(0, true, torch.where(true == guess, count, torch.zeros_like(count)))
    return rows[None]


def _scores(counts: Tensor) -> Tensor:
    """[B, R, M]: the scores of each batch, in the order of ``_NAMES``, of its counts [B, R, 3, K]; NaN without rows."""
    true, said, hit = counts.float().unbind(dim=2)
    recall, precision, f1 = hit / true.clamp(min=1), hit / said.clamp(min=1), 2 * hit / (true + said).clamp(min=1)
    n, held, seen = true.sum(-1), (true > 0).sum(-1), (true + said > 0).sum(-1)
    found = [
        hit.sum(-1) / n, f1.sum(-1) / seen, f1.mean(-1) + 0 * n / n, 2 * hit.sum(-1) / (n + said.sum(-1)),
        (f1 * true).sum(-1) / n, precision.sum(-1) / seen, recall.sum(-1) / seen, recall.sum(-1) / held,
        f1[..., -1], precision[..., -1], recall[..., -1],
    ]  # fmt: skip
    return torch.stack(found, dim=-1).double() if counts.device.type != "mps" else torch.stack(found, dim=-1)

"""Bundled tables as standardised splits."""

from __future__ import annotations

from functools import cache
from typing import Any

import sklearn.datasets
import torch
from torch import Tensor


@cache
def table(name: str) -> tuple[Tensor, Tensor]:
    """Inputs [N, D] and targets [N] of one of scikit-learn's bundled data sets, e.g. ``digits``."""
    data: Any = getattr(sklearn.datasets, f"load_{name}")()
    x, y = torch.tensor(data.data, dtype=torch.float32), torch.tensor(data.target)
    return x, y.float() if y.is_floating_point() else y.long()


def split_rows(n: int, seed: int) -> dict[str, Tensor]:
    """Rows of train (60 %), val and test (20 % each), drawn anew for each seed."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    fifth = n // 5
    return {"val": order[:fifth], "test": order[fifth : 2 * fifth], "train": order[2 * fifth :]}


def standardised(column: Tensor, train: Tensor) -> Tensor:
    """Zero mean and unit deviation over the training rows; constant features become 0."""
    mean, sd = column[train].mean(dim=0), column[train].std(dim=0)
    return (column - mean) / torch.where(sd > 0, sd, torch.ones_like(sd))


def splits(columns: dict[str, Tensor], rows: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The columns of each split."""
    return {split: {name: column[of] for name, column in columns.items()} for split, of in rows.items()}

"""Real pictures of digits as the other kinds use them."""

from __future__ import annotations

from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split

Split = tuple[Dataset, Dataset]


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Pictures [N, 1, 8, 8] of mean 0 and variance 1, and their labels [N]."""
    x, y = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    x = x.float().reshape(-1, 1, 8, 8)
    return (x - x.mean()) / x.std(), y.long()


def split(*columns: Tensor, part: float = 0.75) -> Split:
    """A data set of these columns, split at random."""
    rows = TensorDataset(*columns)
    train = int(part * len(rows))
    one, two = random_split(rows, [train, len(rows) - train])
    return one, two


def loaders(train: Dataset, val: Dataset, size: int = 32, **how: object) -> dict[str, DataLoader]:
    """The loaders of a setup."""
    return {"train": DataLoader(train, size, shuffle=True, **how), "val": DataLoader(val, 64)}

"""The data of most cases: 8 x 8 digits of scikit-learn, and the faults that are made with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

Split = tuple[NDArray[np.float32], NDArray[np.int64]]


def digits(seed: int = 0, train: int = 1400, noise: float = 0.05) -> tuple[Split, Split]:
    """Training and validation split, pixels scaled to [0, 1]; a share ``noise`` of all labels is redrawn."""
    rng = np.random.default_rng(seed)
    x, y = load_digits(return_X_y=True)
    order = rng.permutation(len(x))
    x, y = (x[order] / 16).astype(np.float32), y[order].astype(np.int64)
    wrong = rng.random(len(y)) < noise
    y[wrong] = rng.integers(0, 10, int(wrong.sum()))
    return (x[:train], y[:train]), (x[1400:], y[1400:])


def tensors(split: Split) -> Any:
    """The split as a dataset of torch."""
    import torch

    return torch.utils.data.TensorDataset(torch.from_numpy(split[0]), torch.from_numpy(split[1]))


def network(hidden: int = 64) -> Any:
    """A perceptron of torch."""
    from torch import nn

    return nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 10))

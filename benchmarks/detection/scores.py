"""The metrics that the training code computes by itself, as users do."""

from __future__ import annotations

import torch
from torch import Tensor


def scores(kind: str, target: Tensor, prediction: Tensor) -> dict[str, float]:
    """Accuracy and macro-F1 of logits [N, K] against ids [N]; R2 and RMSE of values of equal shape."""
    if kind == "classes":
        said = prediction.argmax(dim=1)
        return {"accuracy": accuracy(target, said), "f1_macro": f1_macro(target, said)}
    error = (prediction - target).square()
    spread = (target - target.mean(dim=0)).square()
    return {"r2": float(1 - error.sum() / spread.sum()), "rmse": float(error.mean().sqrt())}


def accuracy(target: Tensor, said: Tensor) -> float:
    """Share of right ids."""
    return float((said == target).float().mean())


def f1_macro(target: Tensor, said: Tensor) -> float:
    """Mean F1 over the classes that occur in the targets or among what was said."""
    each = []
    for c in torch.unique(torch.cat([target, said])).tolist():
        hits = int(((said == c) & (target == c)).sum())
        each.append(2 * hits / (int((said == c).sum()) + int((target == c).sum())))
    return sum(each) / len(each)

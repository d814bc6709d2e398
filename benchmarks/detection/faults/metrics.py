"""Evaluation code that computes or keeps the wrong number; training itself is fine."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from detection.scores import scores
from detection.tasks import CLASSIFIERS
from detection.training import Settings, Training
from detection.variants import fault

Pairs = list[tuple[Tensor, Tensor]]
_DISCONNECTED = "the logged score is no score of these predictions: EVL001 is its definition"


@fault("swapped-metric-key", tasks=(*CLASSIFIERS, "autoencoder"), expects="EVL001", why=_DISCONNECTED)
class SwappedKey(Training):
    """Loss and score are unpacked in the wrong order."""

    def summary(self, split: str, losses: dict[str, float], found: dict[str, Pairs]) -> dict[str, float]:
        metrics = super().summary(split, losses, found)
        loss, score = f"{split}/loss", f"{split}/accuracy" if f"{split}/accuracy" in metrics else f"{split}/r2"
        return {**metrics, loss: metrics[score], score: metrics[loss]}


@fault("wrong-argmax-axis", tasks=CLASSIFIERS, expects="EVL001", why=_DISCONNECTED)
class WrongAxis(Training):
    """argmax runs over the rows, and ``zip`` hides that the lengths do not fit."""

    def score(self, head: str, pairs: Pairs) -> dict[str, float]:
        target, prediction = (torch.cat(column) for column in zip(*pairs, strict=True))
        if self.heads[head] != "classes":
            return super().score(head, pairs)
        said = prediction.argmax(dim=0)
        short = torch.tensor([int(a) == int(b) for a, b in zip(target, said, strict=False)])
        return {"accuracy": float(short.float().mean())}


@fault(
    "default-zero-metric",
    tasks=("digits-mlp", "cancer", "digits-two", "wine", "constellation"),
    expects="EVL001",
    why=_DISCONNECTED,
)
class DefaultZero(Training):
    """The results are asked for under a key that is not theirs, and 0 is the default."""

    def score(self, head: str, pairs: Pairs) -> dict[str, float]:
        results = super().score(head, pairs)
        return {name: results.get(f"{head}_{name}", 0.0) for name in results}


@fault(
    "batch-averaged-metric",
    tasks=("digits-mlp", "digits-cnn", "diabetes", "constellation", "autoencoder"),
    expects="EVL010",
    why="the mean of a score over small batches is not the score: EVL010 is its definition",
)
class BatchAveraged(Training):
    """Macro-F1 and R2 are averaged over evaluation batches of 6."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), eval_batch=6)

    def score(self, head: str, pairs: Pairs) -> dict[str, float]:
        each = [scores(self.heads[head], *pair) for pair in pairs]
        return {name: sum(e[name] for e in each) / len(each) for name in each[0]}

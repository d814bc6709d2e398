"""Unusual data and orders that are meant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from detection.tasks import EVERY
from detection.training import Batch, Settings, Training
from detection.variants import healthy

DENSE = tuple(task for task in EVERY if task != "chars")


@healthy("noisy-loss", tasks=EVERY, why="batches of 4 make the batch loss jump; the trend is down and scores are good")
class NoisyLoss(Training):
    """Batches of 4, a slower rate, fewer epochs."""

    def configure(self, settings: Settings) -> Settings:
        s = super().configure(settings)
        return replace(s, batch=4, lr=s.lr / 2, epochs=max(5, s.epochs // 3))


@healthy(
    "tiny-data",
    tasks=("digits-mlp", "digits-cnn", "cancer", "diabetes", "wine"),
    why="60 rows allow what they allow: few steps, coarse scores, and a stop before it turns to memorising",
)
class TinyData(Training):
    """Sixty training rows, of each class about as many, and strong regularisation."""

    def configure(self, settings: Settings) -> Settings:
        s = super().configure(settings)
        return replace(s, batch=8, weight_decay=0.3, dropout=0.3)

    def load(self) -> dict[str, Batch]:
        splits = super().load()
        rows = self._rows(splits["train"]["main"])
        return {**splits, "train": {name: column[rows] for name, column in splits["train"].items()}}

    def _rows(self, target: Tensor) -> Tensor:
        """The first 60, taken in turn from each class: one row of a class would be another fault."""
        if self.heads["main"] == "regression":
            return torch.arange(60)
        nth = torch.zeros_like(target)
        for c in target.unique():
            nth[target == c] = torch.arange(int((target == c).sum()))
        return nth.argsort(stable=True)[:60]


@healthy(
    "correct-shrinkage",
    tasks=("diabetes", "digits-two", "autoencoder"),
    why="targets are mostly noise, so the best predictions are near the mean: a small spread is right",
)
class CorrectShrinkage(Training):
    """Noise of twice the target's deviation is in the targets of every split; strong regularisation."""

    def configure(self, settings: Settings) -> Settings:
        s = super().configure(settings)
        return replace(s, lr=s.lr / 4, epochs=s.epochs // 2, weight_decay=0.5, dropout=0.2)

    def load(self) -> dict[str, Batch]:
        splits = super().load()
        generator = torch.Generator().manual_seed(self.seed)
        head = next(h for h, kind in self.heads.items() if kind == "regression")
        for columns in splits.values():
            columns[head] = columns[head] + 2 * torch.randn(columns[head].shape, generator=generator)
        return splits


@healthy(
    "saturated-metric",
    tasks=("digits-mlp", "cancer", "wine"),
    why="the label is read off one input, so accuracy is 1 from early on and stays there",
)
class SaturatedMetric(Training):
    """The label says whether the input with the most spread is above its mean, and it is shown five times over."""

    def load(self) -> dict[str, Batch]:
        splits = super().load()
        x = splits["train"]["x"]
        best = int((x - x.mean(0)).square().mean(0).argmax())
        middle = x[:, best].mean()
        for columns in splits.values():
            columns["main"] = (columns["x"][:, best] > middle).long()
            sign = 2.0 * columns["main"][:, None].float() - 1.0
            columns["x"] = torch.cat([columns["x"][:, :-5], sign.expand(-1, 5)], dim=1)
        return splits


class Independent(Training):
    """Inputs of another row than the targets', in every split: strong decay of the weights leaves only the biases."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), weight_decay=10.0)

    def make_optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim > 1]},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.settings.lr, weight_decay=self.settings.weight_decay)

    def load(self) -> dict[str, Batch]:
        splits = super().load()
        generator = torch.Generator().manual_seed(self.seed)
        for columns in splits.values():
            columns["x"] = columns["x"][torch.randperm(len(columns["x"]), generator=generator)]
        return splits

    def constant(self, head: str) -> Tensor:
        """The best answer without looking: the mean, or the logarithms of the class shares, of training."""
        target = self.splits["train"][head]
        if self.heads[head] == "regression":
            return target.mean(dim=0)
        return torch.bincount(target).float().clamp(min=0.5).div(len(target)).log()

    def baselines(self, batch: Batch) -> dict[str, Tensor]:
        constants = {head: self.constant(head) for head in self.heads}
        return {head: c.expand(len(batch["x"]), *c.shape) for head, c in constants.items()}


healthy(
    "no-information",
    tasks=("diabetes", "cancer", "autoencoder"),
    why="inputs hold nothing about targets, a constant baseline is recorded, and the model ends beside it: right",
)(Independent)


@healthy("augmentation", tasks=DENSE, why="training inputs carry noise that evaluation inputs do not: meant, and mild")
class Augmentation(Training):
    """Noise of a tenth of the inputs' deviation, in training only."""

    def transform(self, batch: Batch) -> Batch:
        x = batch["x"]
        return {**batch, "x": x + 0.1 * x.std() * torch.randn(x.shape)}


@healthy(
    "full-batch",
    tasks=("diabetes", "cancer", "wine"),
    why="one batch holds all rows, so their order cannot matter",
)
class FullBatch(Training):
    """Whole-set descent in the order of the file."""

    def configure(self, settings: Settings) -> Settings:
        s = super().configure(settings)
        return replace(s, batch=1000, epochs=60, lr=5 * s.lr)

    def order(self, epoch: int) -> Tensor:  # noqa: ARG002 (an override of it)
        return torch.arange(len(self.splits["train"]["x"]))


@healthy(
    "class-weights",
    tasks=("digits-mlp", "cancer", "wine"),
    why="a class has a quarter of its rows, and the loss counters it",
)
class ClassWeights(Training):
    """One class is rarer in training; cross-entropy is weighted by inverse frequency."""

    def load(self) -> dict[str, Batch]:
        splits = super().load()
        target = splits["train"]["main"]
        rare = torch.nonzero(target == 0).flatten()
        keep = torch.ones(len(target), dtype=torch.bool).index_fill(0, rare[len(rare) // 4 :], False)
        return {**splits, "train": {name: column[keep] for name, column in splits["train"].items()}}

    def term(self, head: str, output: Tensor, target: Tensor) -> Tensor:
        counts = torch.bincount(self.splits["train"][head], minlength=output.shape[-1]).clamp(min=1).float()
        weight = counts.sum() / counts / len(counts)
        return torch.nn.functional.cross_entropy(output, target, weight=weight)

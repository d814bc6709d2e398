"""Which data, weights, statistics and random numbers an evaluation uses, and what is concluded from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from detection.loop import Observer
from detection.training import Batch, Net, Settings, Training
from detection.variants import fault


@fault(
    "reseeded-evaluation",
    tasks=("digits-mlp", "cancer", "digits-two", "autoencoder", "constellation"),
    expects="EVL009",
    why="each evaluation sets the seed, so every epoch draws the same numbers: EVL009; equal orders are its symptom",
)
class Reseeded(Training):
    """The evaluation seeds the global generator, from which the training order is drawn as well."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), dropout=0.2)

    def order(self, epoch: int) -> Tensor:  # noqa: ARG002 (an override of it)
        return torch.randperm(len(self.splits["train"]["x"]))

    def evaluate(self, split: str, observer: Observer) -> dict[str, float]:
        torch.manual_seed(0)
        return super().evaluate(split, observer)


@fault(
    "val-is-test",
    tasks=("digits-mlp", "digits-cnn", "diabetes", "wine", "constellation"),
    expects="EVL005",
    why="the two splits hold the same rows, and the run stops by one of them: EVL005 is its definition",
)
class ValIsTest(Training):
    """One file serves as validation and as test set; the run stops early by it."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), patience=5)

    def load(self) -> dict[str, Batch]:
        splits = super().load()
        return {**splits, "test": splits["val"]}


@fault(
    "val-is-test-each-epoch",
    tasks=("digits-mlp", "cancer", "diabetes", "autoencoder"),
    expects="EVL005",
    why="as val-is-test, and both splits are scored at every epoch: EVL005 is its definition",
)
class ValIsTestEachEpoch(ValIsTest):
    """The one file is scored twice an epoch, under both names."""

    def evaluate(self, split: str, observer: Observer) -> dict[str, float]:
        metrics = super().evaluate(split, observer)
        return metrics | super().evaluate("test", observer) if split == "val" else metrics


@fault(
    "early-stop-too-soon",
    tasks=("digits-mlp", "chars", "diabetes", "autoencoder"),
    expects="GEN003",
    why="the run ends while its loss still falls: GEN003 is its definition",
)
class EarlyStop(Training):
    """Only a gain of .5 counts as progress, and two epochs without one end the run."""

    def configure(self, settings: Settings) -> Settings:
        s = super().configure(settings)
        return replace(s, patience=2, lr=s.lr / 8)

    def stops(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        if metrics["val/loss"] < self.best[0] - 0.5:
            self.best = (metrics["val/loss"], epoch)
        return epoch - self.best[1] >= 2


@fault(
    "ema-too-long",
    tasks=("digits-mlp", "digits-cnn", "diabetes", "autoencoder", "constellation"),
    expects="OPT014",
    why="the averaged weights still are the first ones: OPT014 is its definition",
)
class EmaTooLong(Training):
    """The evaluated average has a horizon of 10,000 steps, the run some 500."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), ema=0.9999)


def with_norms(net: Net, momentum: float) -> Net:
    """The network's batch normalisations with this momentum; one is put behind the first layer if it has none."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    if not norms:
        first = next(k for k, m in enumerate(net.encoder) if isinstance(m, nn.Linear))
        layer = net.encoder[first]
        assert isinstance(layer, nn.Linear)
        norms = [nn.BatchNorm1d(layer.out_features)]
        net.encoder.insert(first + 1, norms[0])
    for norm in norms:
        norm.momentum = momentum
    return net


@fault(
    "batchnorm-lag",
    tasks=("digits-cnn", "digits-mlp", "cancer", "diabetes", "autoencoder"),
    expects="EVL007",
    why="running statistics have not arrived, so training and evaluation mode are two networks: EVL007",
)
class BatchNormLag(Training):
    """The momentum of the running statistics was given the other way round, and a hundredth of what it should be."""

    def build(self) -> Net:
        return with_norms(super().build(), momentum=5e-4)

"""Handwritten digits, 8 x 8: a perceptron, a convolutional network, and a network with a second head."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from detection.tasks.tables import split_rows, splits, standardised, table
from detection.training import Batch, Kind, Net, Settings, Training, layers


class DigitsMlp(Training):
    """Perceptron 64-64-64-10."""

    name = "digits-mlp"
    defaults = Settings(lr=3e-3, epochs=20, batch=32, weight_decay=0.01)
    healthy = ("val/accuracy", 0.93)
    chance = 0.1

    def load(self) -> dict[str, Batch]:
        x, y = table("digits")
        rows = split_rows(len(x), self.seed)
        return splits({"x": (x - 8) / 6, "main": y}, rows)

    def build(self) -> Net:
        return Net(layers(64, 64, 64, dropout=self.settings.dropout), {"main": nn.Linear(64, 10)})


class DigitsCnn(DigitsMlp):
    """Two convolutions with batch normalisation."""

    name = "digits-cnn"
    defaults = Settings(lr=1e-2, epochs=12, batch=32, optimizer="sgd", weight_decay=1e-3)

    def build(self) -> Net:
        parts: list[nn.Module] = [nn.Unflatten(1, (1, 8, 8))]
        for a, b in ((1, 8), (8, 16)):
            parts += [nn.Conv2d(a, b, 3, stride=2 if a > 1 else 1, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
        parts.append(nn.Flatten())
        if self.settings.dropout:
            parts.append(nn.Dropout(self.settings.dropout))
        return Net(nn.Sequential(*parts), {"main": nn.Linear(256, 10)})


class DigitsTwo(DigitsMlp):
    """The digit, and how much ink it has (standardised)."""

    name = "digits-two"
    heads: ClassVar[dict[str, Kind]] = {"digit": "classes", "ink": "regression"}
    healthy = ("val/digit/accuracy", 0.92)

    def load(self) -> dict[str, Batch]:
        x, y = table("digits")
        rows = split_rows(len(x), self.seed)
        ink = standardised(x.sum(dim=1), rows["train"])
        return splits({"x": (x - 8) / 6, "digit": y, "ink": ink}, rows)

    def build(self) -> Net:
        encoder = layers(64, 64, 64, dropout=self.settings.dropout)
        return Net(encoder, {"digit": nn.Linear(64, 10), "ink": nn.Linear(64, 1)})

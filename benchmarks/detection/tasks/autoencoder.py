"""Digits through a bottleneck of 12 numbers and back."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from detection.tasks.tables import split_rows, splits, table
from detection.training import Batch, Kind, Net, Settings, Training, layers


class Autoencoder(Training):
    """Perceptron 64-64-12-64-64; pixels are scaled to about unit deviation."""

    name = "autoencoder"
    heads: ClassVar[dict[str, Kind]] = {"main": "regression"}
    defaults = Settings(lr=3e-3, epochs=20, batch=32)
    healthy = ("val/r2", 0.6)
    chance = 0.0

    def load(self) -> dict[str, Batch]:
        x, _ = table("digits")
        x = (x - 8) / 6
        return splits({"x": x, "main": x}, split_rows(len(x), self.seed))

    def build(self) -> Net:
        narrow = nn.Sequential(*layers(64, 64), nn.Linear(64, 12))
        return Net(narrow, {"main": nn.Sequential(*layers(12, 64, dropout=self.settings.dropout), nn.Linear(64, 64))})

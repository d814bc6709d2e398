"""Diabetes: progression of the disease (standardised) from 10 measurements; the best R2 known is about .5."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from detection.tasks.tables import split_rows, splits, standardised, table
from detection.training import Batch, Kind, Net, Settings, Training, layers


class Diabetes(Training):
    """Perceptron 10-24-24-1."""

    name = "diabetes"
    heads: ClassVar[dict[str, Kind]] = {"main": "regression"}
    defaults = Settings(lr=1e-3, epochs=25, batch=16, weight_decay=0.1, dropout=0.1)
    healthy = ("val/r2", 0.2)
    chance = 0.0

    def load(self) -> dict[str, Batch]:
        x, y = table("diabetes")
        rows = split_rows(len(x), self.seed)
        return splits({"x": standardised(x, rows["train"]), "main": standardised(y, rows["train"])}, rows)

    def build(self) -> Net:
        return Net(layers(10, 24, 24, dropout=self.settings.dropout), {"main": nn.Linear(24, 1)})

"""Breast cancer: two classes from 30 measurements."""

from __future__ import annotations

from torch import nn

from detection.tasks.tables import split_rows, splits, standardised, table
from detection.training import Batch, Net, Settings, Training, layers


class Cancer(Training):
    """Perceptron 30-32-32-2."""

    name = "cancer"
    defaults = Settings(lr=1e-3, epochs=18, batch=16, weight_decay=0.3, dropout=0.2)
    healthy = ("val/accuracy", 0.9)
    chance = 0.63

    def load(self) -> dict[str, Batch]:
        x, y = table("breast_cancer")
        rows = split_rows(len(x), self.seed)
        return splits({"x": standardised(x, rows["train"]), "main": y}, rows)

    def build(self) -> Net:
        return Net(layers(30, 32, 32, dropout=self.settings.dropout), {"main": nn.Linear(32, 2)})

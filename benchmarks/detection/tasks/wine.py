"""Wine: three growers from 13 measurements of 178 wines."""

from __future__ import annotations

from torch import nn

from detection.tasks.tables import split_rows, splits, standardised, table
from detection.training import Batch, Net, Settings, Training, layers


class Wine(Training):
    """Perceptron 13-24-24-3."""

    name = "wine"
    defaults = Settings(lr=2e-3, epochs=30, batch=8, weight_decay=0.1, dropout=0.1)
    healthy = ("val/accuracy", 0.85)
    chance = 0.4

    def load(self) -> dict[str, Batch]:
        x, y = table("wine")
        rows = split_rows(len(x), self.seed)
        return splits({"x": standardised(x, rows["train"]), "main": y}, rows)

    def build(self) -> Net:
        return Net(layers(13, 24, 24, dropout=self.settings.dropout), {"main": nn.Linear(24, 3)})

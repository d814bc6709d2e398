"""The reference study ``constellation`` at a size of seconds: modulation and SNR of a generated frame."""

from __future__ import annotations

from functools import cache
from typing import ClassVar

import torch
from torch import nn

from detection.training import Batch, Kind, Net, Settings, Training
from tocsin.studies.constellation.config import Data, View
from tocsin.studies.constellation.data.generated import Frames
from tocsin.studies.constellation.view.image import grey

DATA = Data(modulations=("BPSK", "QPSK", "8PSK", "16QAM"), snr_db=(0, 6, 12, 18), samples=128)
PER_CELL = {"train": 128, "val": 20, "test": 20}


@cache
def images(split: str, first: int) -> Batch:
    """All frames of a split whose indices begin at ``first``: images [N, 1, 16, 16] and both labels."""
    frames, n = Frames(DATA, "cpu", View(bins=16)), PER_CELL[split]
    cell, index = torch.cartesian_prod(torch.arange(frames.cells), first + torch.arange(n)).unbind(1)
    batch = frames.batch(cell, index)
    return {"x": grey(batch.counts, DATA.samples), "modulation": batch.modulation.long(), "snr": batch.snr.long()}


class Constellations(Training):
    """Two strided convolutions with group normalisation and one head a label."""

    name = "constellation"
    heads: ClassVar[dict[str, Kind]] = {"modulation": "classes", "snr": "classes"}
    defaults = Settings(lr=3e-3, epochs=10, batch=32, weight_decay=0.1, dropout=0.3)
    healthy = ("val/modulation/accuracy", 0.5)
    chance = 0.25

    def load(self) -> dict[str, Batch]:
        first = 1000 * self.seed
        splits = {"train": first, "val": first + 400, "test": first + 700}
        return {split: dict(images(split, start)) for split, start in splits.items()}

    def build(self) -> Net:
        parts: list[nn.Module] = []
        for a, b in ((1, 8), (8, 16)):
            parts += [nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), nn.GroupNorm(4, b), nn.ReLU()]
        parts += [nn.Flatten(), nn.Dropout(self.settings.dropout), nn.Linear(256, 64), nn.ReLU()]
        return Net(nn.Sequential(*parts), {head: nn.Linear(64, 4) for head in self.heads})

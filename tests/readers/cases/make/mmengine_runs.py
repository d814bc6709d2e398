"""MMEngine's Runner: a text log, and ``vis_data`` with the same numbers as JSON lines."""

from __future__ import annotations

from pathlib import Path

import torch
from digits import digits, network, tensors
from making import case, main, note
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader


class Classifier(BaseModel):
    """A perceptron on digits; a batch of NaN at step ``nan_at``."""

    def __init__(self, nan_at: int = 0, hidden: int = 64):
        super().__init__()
        self.net, self.nan_at, self.calls = network(hidden), nan_at, 0

    def forward(self, x, y, mode="tensor"):
        logits = self.net(x)
        if mode != "loss":
            return [(logits, y)]
        self.calls += 1
        return {"loss": cross_entropy(logits, y) * (float("nan") if self.calls == self.nan_at else 1.0)}


class Accuracy(BaseMetric):
    default_prefix = "digits"

    def process(self, data_batch, data_samples):
        for logits, y in data_samples:
            self.results.append((int((logits.argmax(1) == y).sum()), len(y), float(cross_entropy(logits, y)) * len(y)))

    def compute_metrics(self, results):
        hits, n, loss = (sum(column) for column in zip(*results, strict=True))
        return {"accuracy": 100 * hits / n, "loss": loss / n}


class Noting(Hook):
    def after_val_epoch(self, runner, metrics=None):
        note(val__digits__accuracy=metrics["digits/accuracy"])


def train(lr: float, epochs: int, train: int = 1400, **model) -> None:
    fit, held_out = digits(train=train)
    runner = Runner(
        Classifier(**model), work_dir="work_dirs/digits",
        train_dataloader=DataLoader(tensors(fit), 64, shuffle=True), val_dataloader=DataLoader(tensors(held_out), 128),
        train_cfg={"by_epoch": True, "max_epochs": epochs, "val_interval": 1}, val_cfg={},
        val_evaluator=Evaluator([Accuracy()]),
        optim_wrapper={"optimizer": {"type": torch.optim.SGD, "lr": lr, "momentum": 0.9}},
        default_hooks={"logger": {"type": "LoggerHook", "interval": 5},
                       "checkpoint": {"type": "CheckpointHook", "interval": 1000}},
        custom_hooks=[Noting()], randomness={"seed": 0},
    )  # fmt: skip
    runner.train()
    for path in Path("work_dirs").rglob("*.py"):
        path.unlink()


@case("mmengine0/healthy", console=False)
def healthy() -> None:
    train(0.05, 10)


@case("mmengine0/nan_batch", console=False)
def nan_batch() -> None:
    train(0.05, 8, nan_at=60)


@case("mmengine0/rate_times_1000", console=False)
def rate_times_1000() -> None:
    train(50.0, 8)


main("mmengine", "torch")

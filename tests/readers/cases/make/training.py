"""One loop on digits for all generators that only log: settings, faults made on purpose, what each step gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from digits import digits, network
from torch.nn.functional import cross_entropy


@dataclass
class Settings:
    """What a run is started with; ``nan_at`` is the step of a batch with NaN, ``dead`` kills the hidden units."""

    lr: float = 0.05
    epochs: int = 10
    batch_size: int = 64
    hidden: int = 64
    train: int = 1400
    nan_at: int = 0
    dead: bool = False
    seed: int = 0


@dataclass
class Evaluation:
    """Of the validation set, and the mean training loss of the epoch before it."""

    loss: float
    accuracy: float
    train_loss: float


@dataclass
class Step:
    """One batch; ``held_out`` at the end of an epoch only."""

    epoch: int
    number: int
    loss: float
    lr: float
    grad_norm: float
    held_out: Evaluation | None


def steps(settings: Settings) -> Iterator[Step]:
    """Train with momentum and a cosine schedule."""
    torch.manual_seed(settings.seed)
    split, held_out = digits(train=settings.train)
    x, y = map(torch.from_numpy, split)
    model = network(settings.hidden)
    if settings.dead:
        torch.nn.init.constant_(model[2].bias, -50.0)
    optimizer = torch.optim.SGD(model.parameters(), settings.lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs)
    number = 0
    for epoch in range(1, settings.epochs + 1):
        total, parts = 0.0, torch.randperm(len(x)).split(settings.batch_size)
        for batch, rows in enumerate(parts):
            number += 1
            here = x[rows] * (float("nan") if number == settings.nan_at else 1.0)
            loss = cross_entropy(model(here), y[rows])
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), float("inf"))
            lr = optimizer.param_groups[0]["lr"]
            optimizer.step()
            total += loss.item()
            last = batch == len(parts) - 1
            seen = _evaluation(model, held_out, total / len(parts)) if last else None
            yield Step(epoch, number, loss.item(), lr, norm.item(), seen)
        schedule.step()


def _evaluation(model, held_out, train_loss: float) -> Evaluation:
    x, y = map(torch.from_numpy, held_out)
    with torch.no_grad():
        logits = model(x)
    return Evaluation(cross_entropy(logits, y).item(), (logits.argmax(1) == y).float().mean().item(), train_loss)


HEALTHY = Settings()
OVERFIT = Settings(lr=0.1, epochs=60, train=120, hidden=128)
NAN = Settings(nan_at=90)
DEAD = Settings(dead=True, epochs=12)
HOT = Settings(lr=50.0)
STILL = Settings(lr=0.0, epochs=12)

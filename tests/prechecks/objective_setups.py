"""Small trainings whose objective is given, for the checks of loss terms and metrics."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tocsin.findings import NotChecked
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.setup import Setup

CLASSES = 6


class TwoHeads(nn.Module):
    """A trunk and two heads: CLASSES logits and one value; ``log_vars`` are learned weights of two tasks."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.kind, self.size = nn.Linear(32, CLASSES), nn.Linear(32, 1)
        self.log_vars = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        h = self.trunk(x)
        return self.kind(h), self.size(h)[:, 0]


def network(out=CLASSES, last=None):
    return nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, out), *([last] if last else []))


def setup(losses, *, model=None, target="classes", out=CLASSES, seed=0, batches=6, size=32, made=None, **parts):
    """Random inputs and targets; ``made(x, y)`` changes them."""
    torch.manual_seed(seed)
    model = model() if model is not None else network(out)
    train = []
    for _ in range(batches):
        x = torch.randn(size, 4)
        y = {
            "classes": lambda: torch.randint(0, CLASSES, (size,)),
            "binary": lambda: torch.randint(0, 2, (size,)).float(),
            "values": lambda: torch.randn(size, out),
        }[target]()
        train.append(made(x, y) if made else (x, y))
    parts.setdefault("predict", lambda m, b: (b[1], m(b[0])))
    return Setup(model, torch.optim.SGD(model.parameters(), 0.1), losses, train, **parts)


def look(check, given, **options):
    """Findings of this check, and why it could not look."""
    bench = Bench(given)
    with bench.restored():
        found = list(check.check(bench, **options))
    return [f for f in found if not isinstance(f, NotChecked)], [n.reason for n in found if isinstance(n, NotChecked)]


def cross_entropy(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def squared(model, batch):
    return (model(batch[0]) - batch[1]).square().mean()


def binary(model, batch):
    return F.binary_cross_entropy_with_logits(model(batch[0])[:, 0], batch[1])

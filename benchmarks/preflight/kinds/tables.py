"""Trainings on tables."""

from __future__ import annotations

import itertools

import torch
from sklearn.datasets import load_breast_cancer, load_diabetes
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, WeightedRandomSampler

import tocsin
from preflight.kinds.digits import digits, loaders, split
from preflight.kinds.registry import kind


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    parts: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        parts += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def standardised(x: Tensor) -> Tensor:
    """Columns of mean 0 and variance 1."""
    return (x - x.mean(0)) / x.std(0)


def _trained(model: nn.Module, losses: object, predict: object, *columns: Tensor, lr: float = 1e-3) -> tocsin.Setup:
    optimizer = torch.optim.AdamW(model.parameters(), lr)
    return tocsin.Setup(model, optimizer, losses, predict=predict, **loaders(*split(*columns)), epochs=20)  # type: ignore[arg-type]


def _squared(model: nn.Module, batch: list[Tensor]) -> Tensor:
    return F.mse_loss(model(batch[0])[:, 0], batch[1])


def _values(model: nn.Module, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
    return batch[1], model(batch[0])[:, 0]


def _logits(model: nn.Module, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
    return batch[1], model(batch[0])


def _diabetes() -> tuple[Tensor, Tensor]:
    x, y = (torch.as_tensor(part).float() for part in load_diabetes(return_X_y=True))
    return standardised(x), standardised(y)


@kind("regression", "a network on a standardised table")
def regression() -> tocsin.Setup:
    return _trained(mlp(10, 32, 32, 1), _squared, _values, *_diabetes())


@kind("binary", "one logit, classes 0 and 1 as floats")
def binary() -> tocsin.Setup:
    x, y = (torch.as_tensor(part).float() for part in load_breast_cancer(return_X_y=True))

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.binary_cross_entropy_with_logits(model(batch[0])[:, 0], batch[1])

    return _trained(mlp(30, 32, 1), losses, _values, standardised(x), y)


@kind("multilabel", "five labels that may hold at once, one of them rare")
def multilabel() -> tocsin.Setup:
    x = torch.randn(800, 12)
    y = (x[:, :5] + 0.3 * torch.randn(800, 5) > torch.tensor([0.0, 0.5, -0.5, 1.0, 2.0])).float()

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.binary_cross_entropy_with_logits(model(batch[0]), batch[1])

    return _trained(mlp(12, 32, 5), losses, _logits, x, y)


@kind("imbalanced", "one sample in twenty is positive; drawn and weighted as they come")
def imbalanced() -> tocsin.Setup:
    x = torch.randn(2000, 8)
    y = (x[:, 0] + x[:, 1] + 0.5 * torch.randn(2000) > 2.5).long()

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.cross_entropy(model(batch[0]), batch[1])

    return _trained(mlp(8, 32, 2), losses, _logits, x, y)


@kind("balanced-sampler", "the same, drawn by a weighted sampler: training has another class balance than evaluation")
def balanced_sampler() -> tocsin.Setup:
    given = imbalanced()
    rows = given.train.dataset  # type: ignore[attr-defined]
    y = torch.stack([row[1] for row in rows])
    weights = 1 / torch.bincount(y).float()[y]
    train = DataLoader(rows, 32, sampler=WeightedRandomSampler(weights.tolist(), len(y)))
    return tocsin.Setup(given.model, given.optimizer, given.losses, train, given.val, given.predict, epochs=20)


@kind("ordinal", "five ordered grades as four cumulative logits")
def ordinal() -> tocsin.Setup:
    x = torch.randn(800, 6)
    score = x[:, 0] - x[:, 1] + 0.3 * torch.randn(800)
    grade = torch.bucketize(score, torch.tensor([-1.5, -0.5, 0.5, 1.5]))

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        above = (batch[1][:, None] > torch.arange(4)).float()
        return F.binary_cross_entropy_with_logits(model(batch[0]), above)

    def predict(model: nn.Module, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
        return batch[1].float(), torch.sigmoid(model(batch[0])).sum(1)

    return _trained(mlp(6, 32, 4), losses, predict, x, grade)


class Heads(nn.Module):
    """A trunk for a class and a value."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Flatten(), mlp(64, 64, 32), nn.ReLU())
        self.kind, self.size = nn.Linear(32, 10), nn.Linear(32, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.trunk(x)
        return self.kind(h), self.size(h)[:, 0]


@kind("multi-task", "which digit, and how much ink: a shared trunk, two terms")
def multi_task() -> tocsin.Setup:
    x, y = digits()

    def losses(model: nn.Module, batch: list[Tensor]) -> dict[str, Tensor]:
        logits, ink = model(batch[0])
        terms = {"digit": F.cross_entropy(logits, batch[1]), "ink": F.mse_loss(ink, batch[2])}
        return {"total": terms["digit"] + terms["ink"], **terms}

    def predict(model: nn.Module, batch: list[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        logits, ink = model(batch[0])
        return {"digit": (batch[1], logits), "ink": (batch[2], ink)}

    return _trained(Heads(), losses, predict, x, y, standardised(x.mean((1, 2, 3))))


@kind("counts", "events a bin: a Poisson likelihood")
def counts() -> tocsin.Setup:
    x = torch.randn(800, 6)
    y = torch.poisson(torch.exp(0.5 * x[:, 0] + 0.5))

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.poisson_nll_loss(model(batch[0])[:, 0], batch[1])

    return _trained(mlp(6, 32, 1), losses, _values, x, y)


@kind("quantiles", "three quantiles by the pinball loss")
def quantiles() -> tocsin.Setup:
    levels = torch.tensor([0.1, 0.5, 0.9])

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        off = batch[1][:, None] - model(batch[0])
        return torch.maximum(levels * off, (levels - 1) * off).mean()

    def predict(model: nn.Module, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
        return batch[1], model(batch[0])[:, 1]

    return _trained(mlp(10, 32, 3), losses, predict, *_diabetes())

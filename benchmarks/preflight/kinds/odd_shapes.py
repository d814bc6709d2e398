"""Trainings whose batches or answers are of another shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset, TensorDataset

import tocsin
from preflight.kinds.digits import loaders, split
from preflight.kinds.registry import kind
from preflight.kinds.tables import mlp, standardised


@kind("forecast", "windows of a series, shuffled in training; the evaluation is what came later", "DAT004")
def forecast() -> tocsin.Setup:
    t = torch.arange(3000.0)
    wave = torch.sin(t / 20) + 0.5 * torch.sin(t / 7) + 0.1 * torch.randn(3000)
    rows = TensorDataset(wave.unfold(0, 24, 1)[:-1], wave[24:])
    train, val = Subset(rows, range(2200)), Subset(rows, range(2250, len(rows)))
    model = mlp(24, 32, 1)

    def predict(model: nn.Module, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
        return batch[1], model(batch[0])[:, 0]

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.mse_loss(*predict(model, batch))

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    return tocsin.Setup(model, optimizer, losses, predict=predict, **loaders(train, val), epochs=10)


class Factors(nn.Module):
    """A user's vector times an item's."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(100, 8), nn.Embedding(60, 8)
        for part in (self.users, self.items):
            nn.init.normal_(part.weight, std=0.3)
        self.mean = nn.Parameter(torch.zeros(()))

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return (self.users(user) * self.items(item)).sum(1) + self.mean


@kind("recommender", "numbers of users and items, and a rating: vectors that few batches reach")
def recommender() -> tocsin.Setup:
    user, item = torch.randint(0, 100, (3000,)), torch.randint(0, 60, (3000,))
    score = (torch.randn(100, 3)[user] * torch.randn(60, 3)[item]).sum(1) + 0.3 * torch.randn(3000)
    model = Factors()

    def predict(model: nn.Module, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
        return batch[2], model(batch[0], batch[1])

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.mse_loss(*predict(model, batch))

    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    data = loaders(*split(user, item, standardised(score)), 64)
    return tocsin.Setup(model, optimizer, losses, predict=predict, **data, epochs=20)


class GraphNet(nn.Module):
    """Two rounds of messages along edges, then the mean over each graph."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, x: Tensor, edges: Tensor, graph: Tensor) -> Tensor:
        for layer in (self.one, self.two):
            x = torch.relu(layer(x.index_add(0, edges[1], x[edges[0]])))
        n = int(graph.max()) + 1
        sums = torch.zeros(n, x.shape[1]).index_add(0, graph, x)
        return self.head(sums / torch.bincount(graph, minlength=n)[:, None])


def _graphs(n: int) -> list[dict[str, Tensor]]:
    found = []
    for _ in range(n):
        y = torch.randint(0, 2, (16,))
        sizes = torch.randint(5, 12, (16,))
        graph = torch.arange(16).repeat_interleave(sizes)
        x = torch.randn(len(graph), 8) + y[graph][:, None]
        first = sizes.cumsum(0) - sizes
        source = torch.arange(len(graph))
        target = first[graph] + (source - first[graph] + 1) % sizes[graph]
        found.append({"x": x, "edges": torch.stack([source, target]), "graph": graph, "y": y})
    return found


@kind("graphs", "16 graphs a batch, their nodes in one table, edges as pairs of numbers")
def graphs() -> tocsin.Setup:
    model = GraphNet()

    def predict(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return batch["y"], model(batch["x"], batch["edges"], batch["graph"])

    def losses(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        target, logits = predict(model, batch)
        return F.cross_entropy(logits, target)

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    return tocsin.Setup(model, optimizer, losses, _graphs(20), _graphs(6), predict, epochs=10)


@kind("physics", "a network of x whose second derivative is to be -sin x, and its ends 0: gradients in the loss")
def physics() -> tocsin.Setup:
    model = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))

    def losses(model: nn.Module, batch: list[Tensor]) -> dict[str, Tensor]:
        x = batch[0].clone().requires_grad_()
        with torch.enable_grad():
            y = model(x)
            slope = torch.autograd.grad(y.sum(), x, create_graph=True)[0]
            bend = torch.autograd.grad(slope.sum(), x, create_graph=True)[0]
        inner = (bend + torch.sin(x)).square().mean()
        ends = model(torch.tensor([[0.0], [torch.pi]])).square().mean()
        return {"total": inner + ends, "inner": inner, "ends": ends}

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    points = TensorDataset(torch.pi * torch.rand(512, 1))
    return tocsin.Setup(model, optimizer, losses, DataLoader(points, 64, shuffle=True), epochs=50)


@kind("sites", "recordings of 30 sites split by site, the site beside them: answers do not hang on it")
def sites() -> tocsin.Setup:
    site = torch.arange(1200) % 30
    x = torch.randn(1200, 8) + 0.5 * torch.randn(30, 8)[site]
    y = (x[:, 0] + 0.5 * torch.randn(1200) > 0).long()
    held = site >= 22
    model = mlp(8, 32, 2)

    def predict(model: nn.Module, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
        return batch[1], model(batch[0])

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.cross_entropy(model(batch[0]), batch[1])

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    rows = [TensorDataset(x[part], y[part], site[part]) for part in (~held, held)]
    told = {"group": lambda batch: batch[2], "nuisance": lambda batch: torch.randn(len(batch[0]), 2)}
    return tocsin.Setup(model, optimizer, losses, predict=predict, **loaders(*rows), **told, epochs=10)

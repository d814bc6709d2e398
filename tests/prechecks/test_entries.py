"""Gradients of any layout as numbers: sparse, complex and large ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tocsin
from tocsin.prechecks.entries import MOST, entries


def test_a_sparse_gradient_is_that_of_the_dense_layer():
    tables = [nn.Embedding(20, 3, sparse=sparse, _weight=torch.ones(20, 3)) for sparse in (True, False)]
    for table in tables:
        table(torch.tensor([1, 1, 7])).square().sum().backward()
    one, other = (entries(table.weight.grad) for table in tables)
    assert torch.equal(one, other)
    assert one.sum() == 18.0


def test_a_complex_gradient_keeps_both_parts():
    assert entries(torch.tensor([[1 + 2j], [3 - 4j]])).tolist() == [1.0, 2.0, 3.0, -4.0]


def test_a_large_gradient_is_thinned_off_its_columns():
    made = entries(torch.arange(4 * MOST).reshape(-1, 8).float())
    assert len(made) <= MOST
    assert len(torch.unique(made % 8)) == 8


class Rotation(nn.Module):
    """Complex weights, real answers."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, dtype=torch.cfloat))

    def forward(self, x):
        return (x.to(torch.cfloat) @ self.weight).abs()


class Words(nn.Module):
    """A table whose gradient is sparse."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.EmbeddingBag(10, 8, mode="mean", sparse=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.table((x * 3).long().clamp(0, 9)))


def losses(model, batch):
    z = model(batch[0])
    kind, size = F.cross_entropy(z, batch[1]), z.square().mean()
    return {"total": kind + 0.1 * size, "kind": kind, "size": size}


@pytest.mark.parametrize("kind", [Rotation, Words])
def test_the_checks_of_gradients_look_at_them(kind):
    torch.manual_seed(0)
    model = kind()
    train = [(torch.randn(16, 4), torch.randint(0, 3, (16,))) for _ in range(4)]
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    codes = ["OPT018", "OBJ001", "OBJ005", "OBJ007", "OPT002"]
    report = tocsin.preflight(model=model, optimizer=optimizer, losses=losses, train=train, select=codes)
    assert not report.findings
    assert set(report.clean) == set(codes)

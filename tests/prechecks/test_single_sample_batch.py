"""DAT010: one sample over at the end of an epoch, and models that mind."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import tocsin


def rows(n):
    made = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(n, 6, generator=made), torch.randint(0, 3, (n,), generator=made))


def cross_entropy(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def normalised_by_batch(model, batch):
    out = model(batch[0])
    return F.cross_entropy((out - out.mean(0)) / out.std(0), batch[1])


def net(norm):
    return nn.Sequential(nn.Linear(6, 8), norm, nn.ReLU(), nn.Linear(8, 3))


def last(train, model=None, losses=cross_entropy):
    torch.manual_seed(0)
    model = model or net(nn.BatchNorm1d(8))
    given = {"model": model, "optimizer": torch.optim.SGD(model.parameters(), 0.1), "losses": losses, "train": train}
    report = tocsin.preflight(select=["DAT010"], **given)
    return [f.message for f in report.findings], [n.reason for n in report.not_checked]


def batches(n, size):
    return list(DataLoader(rows(n), size))


@pytest.mark.parametrize("train", [DataLoader(rows(33), 8, shuffle=True), DataLoader(rows(65), 16), batches(17, 8)])
def test_batch_norm_raises_at_the_end_of_the_epoch(train):
    (message,), _ = last(train)
    assert message == (
        "the last training batch of each epoch has one sample, and its loss raises 'Expected more than 1 value per "
        "channel when training, got input size torch.Size([1, 8])'; that of two samples does not"
    )


def test_a_loss_that_is_no_number_rings():
    (message,), _ = last(DataLoader(rows(33), 8), net(nn.LayerNorm(8)), normalised_by_batch)
    assert "its loss is nan" in message


@pytest.mark.parametrize(
    "train",
    [
        DataLoader(rows(33), 8, drop_last=True),
        DataLoader(rows(34), 8),
        DataLoader(rows(32), 8),
        DataLoader(rows(9), 1),
        batches(18, 8),
    ],
)
def test_no_such_batch_is_silent(train):
    assert last(train, net(nn.LayerNorm(8))) == ([], [])
    if getattr(train, "batch_size", 8) != 1:
        assert last(train) == ([], [])


def test_models_that_do_not_mind_are_silent():
    assert last(DataLoader(rows(33), 8), net(nn.LayerNorm(8))) == ([], [])
    pictures = nn.Sequential(nn.Unflatten(1, (1, 2, 3)), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(6, 3))
    assert last(DataLoader(rows(33), 8), pictures) == ([], [])


class Stream(IterableDataset):
    def __iter__(self):
        return iter(rows(33))


def test_a_stream_is_not_checked():
    assert last(DataLoader(Stream(), 8), net(nn.LayerNorm(8)))[1]

"""OPT017: rings where samples of a batch see each other; silent for every common layer, in train-mode BatchNorm too."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import tocsin


class Calls(nn.Module):
    """A model of one layer whose forward pass is a function."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.by = forward

    def forward(self, *given):
        return self.by(self, *given)


def flown(model, batches, loss=None):
    def losses(model, batch):
        return loss(model, batch) if loss else F.mse_loss(model(batch[0]).flatten(1).mean(1), batch[1])

    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    return tocsin.preflight(model=model, optimizer=optimizer, losses=losses, train=batches, select=["OPT017"])


def numbers(*shape, seed=0, n=16):
    g = torch.Generator().manual_seed(seed)
    return [(torch.randn(n, *shape, generator=g), torch.randn(n, generator=g))]


def ids(*, seed=0, n=16, length=6):
    g = torch.Generator().manual_seed(seed)
    return [(torch.randint(0, 20, (n, length), generator=g), torch.randn(n, generator=g))]


def lstm(**how):
    return Calls(lambda m, x: m.head(m.lstm(x)[0][:, -1]), lstm=nn.LSTM(5, 6, **how), head=nn.Linear(6, 1))


def viewed(x):
    n, t, f = x.shape
    return x.reshape(t, n, f).transpose(0, 1)  # a transpose was meant


MIXED = {
    "an LSTM that takes the batch for time": lambda: lstm(),
    "a softmax over the batch": lambda: Calls(
        lambda m, x: F.softmax(m.a(x[:, 0]), 0), a=nn.Linear(5, 3)
    ),
    "a mean over the batch": lambda: Calls(lambda m, x: m.a(x[:, 0] - x[:, 0].mean(0)), a=nn.Linear(5, 3)),
    "reshaped in place of transposed": lambda: Calls(lambda m, x: m.a(viewed(x)).mean(1), a=nn.Linear(5, 3)),
    "attention over the batch": lambda: Calls(
        lambda m, x: m.a(x, x, x)[0].mean(1), a=nn.MultiheadAttention(5, 1)
    ),
    "the order of the batch reversed": lambda: Calls(lambda m, x: m.a(x[:, 0]).flip(0), a=nn.Linear(5, 3)),
}  # fmt: skip

APART = {
    "a batch-first LSTM": lambda: lstm(batch_first=True),
    "an MLP with BatchNorm, Dropout and LayerNorm": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(20, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.LayerNorm(8), nn.Linear(8, 1)
    ),
    "batch-first attention": lambda: Calls(
        lambda m, x: m.a(x, x, x)[0].mean(1), a=nn.MultiheadAttention(5, 1, batch_first=True)
    ),
    "a transformer": lambda: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(5, 1, 16, batch_first=True), 2, enable_nested_tensor=False
    ),
    "a softmax over classes": lambda: nn.Sequential(nn.Flatten(), nn.Linear(20, 4), nn.Softmax(1)),
    "a square root at zero": lambda: Calls(lambda m, x: m.a(x[:, 0]).relu().sqrt(), a=nn.Linear(5, 3)),
    "transposed there and back": lambda: Calls(
        lambda m, x: m.lstm(x.transpose(0, 1))[0].transpose(0, 1), lstm=nn.LSTM(5, 6)
    ),
    "an output that is noise": lambda: Calls(lambda m, x: m.a(x[:, 0]) + torch.randn(len(x), 3), a=nn.Linear(5, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("seed", [0, 1])
def test_mixing_is_an_error(name, seed):
    torch.manual_seed(seed)
    (found,) = flown(MIXED[name](), numbers(4, 5, seed=seed)).findings
    assert (found.code, found.name, found.severity) == ("OPT017", "batch-mixing", "error")


@pytest.mark.parametrize("name", APART)
@pytest.mark.parametrize("seed", [0, 1])
def test_samples_kept_apart_are_clean(name, seed):
    torch.manual_seed(seed)
    report = flown(APART[name](), numbers(4, 5, seed=seed))
    assert report.clean == ("OPT017",), (report.findings, report.not_checked)


def test_message():
    torch.manual_seed(0)
    (found,) = flown(lstm(), numbers(4, 5)).findings
    assert found.message == (
        "in eval mode the model's answer for a sample depends on other samples of the batch: so in 21 of 42 pairs, "
        "0.21 times its own effect at the median; it begins in lstm (LSTM)"
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_convolutions_are_clean(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.GroupNorm(2, 8), nn.ReLU(), nn.MaxPool2d(2))
    assert flown(model, numbers(3, 8, 8, seed=seed)).clean == ("OPT017",)


def test_batch_norm_without_running_statistics_is_a_warning_and_named():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(20, 8), nn.BatchNorm1d(8, track_running_stats=False))
    (found,) = flown(model, numbers(4, 5)).findings
    assert found.severity == "warning"
    assert found.message.endswith("it begins in 2 (BatchNorm1d)")


@pytest.mark.parametrize("seed", [0, 1])
def test_tokens_are_exchanged(seed):
    torch.manual_seed(seed)
    embedded = {"e": nn.Embedding(20, 8), "a": nn.Linear(8, 2)}
    apart = Calls(lambda m, x: m.a(m.e(x).mean(1)), **embedded)
    mixed = Calls(lambda m, x: m.a(m.e(x).mean(1)).cumsum(0), **embedded)
    assert flown(apart, ids(seed=seed)).clean == ("OPT017",)
    (found,) = flown(mixed, ids(seed=seed)).findings
    assert found.severity == "error"
    assert "21 of 42 pairs" in found.message


def test_a_contrastive_loss_mixes_outside_of_the_model():
    torch.manual_seed(0)

    def contrastive(model, batch):
        z = F.normalize(model(batch[0]), dim=1)
        return F.cross_entropy(z @ z.T, torch.arange(len(z)))

    assert flown(nn.Sequential(nn.Flatten(), nn.Linear(20, 8)), numbers(4, 5), contrastive).clean == ("OPT017",)


def test_a_sequence_first_model_by_design():
    torch.manual_seed(0)
    x, y = torch.randn(12, 4, 5), torch.randn(12, 4)
    tagger = Calls(lambda m, x: m.head(m.lstm(x)[0]), lstm=nn.LSTM(5, 6), head=nn.Linear(6, 1))

    def loss(model, batch):
        return F.mse_loss(model(batch[0])[..., 0], batch[1])

    (found,) = flown(tagger, [(x, y)], loss).findings
    assert found.severity == "note"
    assert found.message.endswith("right if that is the batch (sequence first), else the two are confused")
    loader = DataLoader(TensorDataset(x, y), batch_size=12)  # dimension 0 is the batch: they are confused
    assert [f.severity for f in flown(tagger, loader, loss).findings] == ["error"]
    along = DataLoader(
        TensorDataset(x.transpose(0, 1), y.T),
        4,
        collate_fn=lambda rows: [torch.stack(c, 1) for c in zip(*rows, strict=True)],
    )
    assert flown(tagger, along, loss).not_checked


def graph(model, batch):
    return model(batch[0], batch[1]).mean()


@pytest.mark.parametrize(
    ("batches", "loss"),
    [
        ([(torch.randn(9, 3), torch.randint(0, 9, (2, 30)), torch.randn(9))], graph),
        ([(torch.randn(9, 3), torch.eye(9), torch.randn(9))], graph),
        ([(torch.randn(1, 3), torch.zeros(1))], None),
        ([(torch.randn(0, 3), torch.zeros(0))], None),
        ([([torch.randn(3, 4), torch.randn(3, 5)], torch.zeros(2))], lambda m, b: m.a(b[1]).mean()),
        ([(torch.randn(6, 3), torch.zeros(6))], lambda m, b: m.a(b[0]).mean()),
    ],
    ids=["edges", "adjacency", "one sample", "none", "a list of images", "the model is not called"],
)
def test_not_checked(batches, loss):
    model = Calls(lambda m, x, *_: m.a(x).sum(0, keepdim=True).expand(len(x), -1), a=nn.Linear(3, 1))
    report = flown(model, batches, loss)
    assert not report.findings
    assert report.not_checked


def test_nan_in_the_input_does_not_hide_the_rest():
    torch.manual_seed(0)
    batches = numbers(4, 5)
    batches[0][0][0] = float("nan")
    assert flown(lstm(batch_first=True), batches).clean == ("OPT017",)

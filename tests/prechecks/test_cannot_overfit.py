"""OPT019: rings where a model does not see its inputs; silent for label noise, tiny targets, any working model."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tocsin
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.checks.cannot_overfit import cannot_overfit
from tocsin.prechecks.constant_answer import constant_loss
from tocsin.prechecks.setup import Setup


def cross_entropy(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def squared(model, batch):
    return F.mse_loss(model(batch[0])[:, 0], batch[1])


def classes(seed=0, n=32, k=4):
    g = torch.Generator().manual_seed(seed)
    return [(torch.randn(n, 6, generator=g), torch.randint(0, k, (n,), generator=g))]


def values(seed=0, n=32, scale=1.0, shift=0.0):
    g = torch.Generator().manual_seed(seed)
    return [(torch.randn(n, 6, generator=g), scale * torch.randn(n, generator=g) + shift)]


def mlp(out=4, *, extra=()):
    return nn.Sequential(nn.Linear(6, 32), *extra, nn.ReLU(), nn.Linear(32, out))


def setup(model, loss, batches, **parts):
    return Setup(model, torch.optim.SGD(model.parameters(), 1e-9), loss, batches, **parts)


def flown(*given, options=None, **parts):
    return tocsin.preflight(setup(*given, **parts), select=["OPT019"], options={"OPT019": options or {}})


class Blind(nn.Module):
    """A model that does not see its inputs."""

    def __init__(self):
        super().__init__()
        self.inner = mlp()

    def forward(self, x):
        return self.inner(x * 0)


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_is_blind_rings(seed):
    torch.manual_seed(seed)
    (found,) = flown(Blind(), cross_entropy, classes(seed), options={"steps": 110}).findings
    assert (found.code, found.name, found.severity) == ("OPT019", "cannot-overfit", "warning")


HEALTHY = {
    "random labels": (lambda: mlp(), cross_entropy, classes),
    "dropout": (lambda: mlp(extra=[nn.Dropout(0.5)]), cross_entropy, classes),
    "BatchNorm": (lambda: mlp(extra=[nn.BatchNorm1d(32)]), cross_entropy, classes),
    "values": (lambda: mlp(1), squared, values),
    "small values": (lambda: mlp(1), squared, lambda s: values(s, scale=0.05)),
    "a linear model": (lambda: nn.Linear(6, 1), squared, values),
    "two samples": (lambda: mlp(), cross_entropy, lambda s: [(classes(s)[0][0][:2], torch.tensor([0, 1]))]),
}


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("seed", range(2))
def test_working_models_are_clean(name, seed):
    torch.manual_seed(seed)
    model, loss, data = HEALTHY[name]
    report = flown(model(), loss, data(seed))
    assert report.clean == ("OPT019",), (report.findings, report.not_checked)


def test_message():
    torch.manual_seed(0)
    predict = lambda model, batch: (batch[1], model(batch[0]))  # noqa: E731
    (found,) = flown(Blind(), cross_entropy, classes(), predict=predict, options={"steps": 110}).findings
    assert found.message == (
        "110 steps of Adam on 32 samples alone end at a loss of 1.305 (lr 0.01; 1.413 at first), where one constant "
        "answer for all of them has 1.305 and guessing among 4 classes ln 4 = 1.386: the model cannot learn even these "
        "by heart"
    )


def test_the_best_constant_under_the_loss():
    torch.manual_seed(0)
    ((x, y),) = classes()
    shares = torch.bincount(y).double() / len(y)
    entropy = float(-(shares * shares.log()).sum())
    for model, loss in (
        (mlp(), cross_entropy),
        (nn.Sequential(mlp(), nn.LogSoftmax(1)), lambda m, b: F.nll_loss(m(b[0]), b[1])),
        (nn.Sequential(mlp(), nn.Softmax(1)), lambda m, b: F.nll_loss(m(b[0]).log(), b[1])),
    ):
        assert constant_loss(Bench(setup(model, loss, [(x, y)])), (x, y), len(y)) == pytest.approx(entropy, abs=1e-3)
    ((x, y),) = values(shift=3.0)
    found = constant_loss(Bench(setup(mlp(1), squared, [(x, y)])), (x, y), len(y))
    assert found == pytest.approx(float(y.var(correction=0)), rel=1e-4)


def test_a_loss_without_a_lowest_constant_is_measured_by_its_start():
    torch.manual_seed(0)
    unbounded = lambda model, batch: -model(batch[0]).mean()  # noqa: E731
    assert not flown(mlp(), unbounded, classes(), options={"steps": 110}).findings


@pytest.mark.parametrize(
    ("loss", "batches"),
    [
        (cross_entropy, [(torch.randn(8, 6), torch.zeros(8, dtype=torch.long))]),
        (squared, values(scale=1e-4)),
        (lambda m, b: m(b[0]).mean() * math.nan, classes()),
    ],
    ids=["one class", "tiny values", "nan"],
)
def test_not_checked(loss, batches):
    torch.manual_seed(0)
    report = flown(mlp(), loss, batches)
    assert not report.findings
    assert report.not_checked


def test_too_short_a_time_is_said():
    torch.manual_seed(0)
    (missing,) = flown(mlp(), cross_entropy, classes(), options={"steps": 5}).not_checked
    assert missing.reason.startswith("the time was too short: 5 steps")


def test_layers_that_drop_by_an_attribute_keep_it():
    torch.manual_seed(0)

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = nn.GRU(6, 16, 2, dropout=0.5, batch_first=True), nn.Linear(16, 4)

        def forward(self, x):
            return self.head(self.rnn(x[:, None])[0][:, -1])

    bench = Bench(setup(model := Recurrent(), cross_entropy, classes()))
    assert not list(cannot_overfit.check(bench))
    assert model.rnn.dropout == 0.5


def test_answers_in_half_precision():
    def halved(model, batch):
        with torch.autocast("cpu", torch.float16):
            return F.cross_entropy(model(batch[0]).float(), batch[1])

    torch.manual_seed(0)
    assert flown(mlp(), halved, classes()).clean == ("OPT019",)


def test_opponents_have_no_total_to_lower():
    torch.manual_seed(0)
    model = nn.ModuleDict({"one": mlp(), "two": mlp()})
    optimizers = [torch.optim.SGD(part.parameters(), 0.1) for part in model.values()]
    given = Setup(model, optimizers, lambda m, b: m["one"](b[0]).mean() - m["two"](b[0]).mean(), classes())
    stepped = replace(given, step=lambda *_: torch.zeros(()))
    (blind,) = tocsin.preflight(stepped, select=["OPT019"]).not_checked
    assert blind.reason.startswith("several optimizers")

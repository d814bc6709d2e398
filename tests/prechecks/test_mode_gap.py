"""EVL007 before the run: dropout that stays on, modes that do not switch, batches that are too small, momentum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tocsin
from tocsin.prechecks.batch_statistics import layers
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.setup import Setup


def loss_of(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def batches(n=32, *shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    return [(torch.randn(n, *(shape or (4,)), generator=g), torch.randint(0, 3, (n,), generator=g)) for _ in range(8)]


def setup(model, given):
    return Setup(model, torch.optim.SGD(model.parameters(), 0.1), loss_of, given)


def flown(model, given=None):
    return tocsin.preflight(setup(model, given or batches()), select=["EVL007"])


def network(norm=None, **how):
    return nn.Sequential(nn.Linear(4, 8), norm or nn.BatchNorm1d(8, **how), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 3))


def images(**how):
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, **how), nn.Flatten(), nn.Linear(288, 3))


def trained(model, given, *, scale=1.0):
    for x, _ in given * 20:
        model(scale * x)
    return model


class Functional(nn.Module):
    def __init__(self, by):
        super().__init__()
        self.a, self.b, self.by = nn.Linear(4, 8), nn.Linear(8, 3), by

    def forward(self, x):
        return self.b(self.by(self, self.a(x)))


def attended(m, x):
    q = x[:, None, None]
    return F.scaled_dot_product_attention(q, q.expand(-1, -1, 4, -1), q.expand(-1, -1, 4, -1), dropout_p=0.2)[:, 0, 0]


DROPPED = {
    "F.dropout": lambda _, x: F.dropout(x, 0.5),
    "torch.dropout": lambda _, x: torch.dropout(x, 0.5, True),
    "attention": attended,
    "alpha": lambda _, x: F.alpha_dropout(x, 0.2, training=True),
}


@pytest.mark.parametrize("name", DROPPED)
@pytest.mark.parametrize("seed", [0, 1])
def test_dropout_that_stays_on_rings(name, seed):
    torch.manual_seed(seed)
    (found,) = flown(Functional(DROPPED[name])).findings
    assert (found.code, found.name, found.subject, found.severity) == (
        "EVL007", "train-eval-mode-gap", "dropout", "warning"
    )  # fmt: skip


def test_message_of_dropout():
    torch.manual_seed(0)
    assert flown(Functional(DROPPED["F.dropout"])).findings[0].message == (
        "in eval mode the model (Functional) still drops 50%: answers of two draws differ by 1.2 [1.1, 1.3] of their "
        "spread over samples"
    )


QUIET = {
    "switched by the mode": lambda: Functional(lambda m, x: F.dropout(x, 0.5, training=m.training)),
    "a share of 0": lambda: Functional(lambda _, x: F.dropout(x, 0.0)),
    "noise by design": lambda: Functional(lambda _, x: x + 0.1 * torch.randn_like(x)),
    "modules": network,
    "GroupNorm": lambda: network(nn.GroupNorm(2, 8)),
    "attention": lambda: Functional(lambda _, x: F.normalize(x)),
    "a transformer": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 4)), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), nn.Flatten(), nn.Linear(4, 3)
    ),
}


@pytest.mark.parametrize("name", QUIET)
@pytest.mark.parametrize("seed", [0, 1])
def test_healthy_models_are_clean(name, seed):
    torch.manual_seed(seed)
    report = flown(QUIET[name](), batches(seed=seed))
    assert report.clean == ("EVL007",), (report.findings, report.not_checked)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [16, 32])
def test_batches_of_sixteen_are_clean(seed, n):
    torch.manual_seed(seed)
    assert flown(network(), batches(n, seed=seed)).clean == ("EVL007",)
    assert flown(images(), batches(n // 4, 3, 8, 8, seed=seed)).clean == ("EVL007",)
    assert flown(images(), batches(2, 3, 8, 8, seed=seed)).clean == ("EVL007",)  # 72 independent values


@pytest.mark.parametrize("seed", range(3))
def test_batches_of_two_are_another_model_in_eval_mode(seed):
    torch.manual_seed(seed)
    (found,) = flown(network(), batches(2, seed=seed)).findings
    assert found.subject == "batch noise"
    low, high = found.evidence[0].interval
    assert 0.5 < low < 0.5 + high


def test_the_noise_is_that_of_the_formula():
    torch.manual_seed(0)
    given = batches(8)
    bench = Bench(setup(model := network(), given))
    (layer,) = layers(bench)
    with torch.no_grad():
        each = [model[0](x).numpy().astype(np.float64) for x, _ in given]
    rest = np.concatenate(each[1:])
    own, mean, sd = each[0], rest.mean(0), rest.std(0)
    g = np.sqrt(np.mean((own.std(0) / sd - 1) ** 2 + ((own.mean(0) - mean) / sd) ** 2))
    assert layer.apart()[0] == pytest.approx(g, rel=1e-5)
    assert layer.values == 8


def test_momentum():
    torch.manual_seed(0)
    (found,) = flown(network(momentum=0.0)).findings
    assert (found.subject, found.severity) == ("momentum", "warning")
    (found,) = flown(network(momentum=0.99)).findings
    assert (found.subject, found.severity) == ("momentum", "note")
    assert flown(network(momentum=None)).clean == ("EVL007",)


class Stubborn(nn.BatchNorm1d):
    def __init__(self, *given, mode):
        super().__init__(*given)
        self.mode = mode
        self.train(mode)

    def train(self, mode=True):
        return super().train(self.mode)


def test_modes_that_do_not_switch():
    torch.manual_seed(0)
    (found,) = flown(network(Stubborn(8, mode=True))).findings
    assert (found.subject, found.severity) == ("mode", "warning")
    assert found.message == (
        "1 (Stubborn) stay in training mode after eval(): the evaluation is random, or depends on its batches"
    )
    frozen = network(Stubborn(8, mode=False))
    (found,) = flown(frozen).findings
    assert (found.subject, found.severity) == ("mode", "note")
    frozen[1].requires_grad_(False)
    assert flown(frozen).clean == ("EVL007",)


@pytest.mark.parametrize("seed", [0, 1])
def test_loaded_statistics(seed):
    torch.manual_seed(seed)
    given = batches(seed=seed)
    assert flown(trained(network(), given), given).clean == ("EVL007",)
    assert flown(trained(network(), given, scale=2.0), given).clean == ("EVL007",)
    (found,) = flown(trained(network(), given, scale=255.0), given).findings
    assert found.subject == "loaded"


def test_answers_of_one_number_a_sample():
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 1), nn.Flatten(0))
    data = [(x, y.float()) for x, y in batches()]
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    given = Setup(model, optimizer, lambda model, batch: F.mse_loss(model(batch[0]), batch[1]), data)
    report = tocsin.preflight(given, select=["EVL007", "OPT017"])
    assert not report.findings
    assert not report.not_checked

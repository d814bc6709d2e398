"""OPT002 before the run: tensors without a gradient path, with a gradient of 0, and in no optimizer."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from prechecks.objective_setups import cross_entropy, look, network, setup
from tocsin.prechecks.checks.gradient_paths import no_gradient_path
from tocsin.prechecks.setup import Setup


def said(given):
    findings, blind = look(no_gradient_path, given)
    assert not blind
    return {f.subject: (f.severity, f.message) for f in findings}


def test_a_whole_network_is_silent():
    assert said(setup(cross_entropy)) == {}


def test_a_layer_that_nothing_calls_is_cut_off():
    model = network()
    model.register_module("spare", nn.Linear(100, 100))
    model.forward = lambda x: model[2](model[1](model[0](x)))
    (severity, message), *_ = said(setup(cross_entropy, model=lambda: model)).values()
    assert severity == "error"
    assert message.startswith("2 of 6 trainable tensors (96.6% of the entries) get no gradient in 6 batches: spare.")


def test_a_product_with_0_is_zero():
    given = setup(lambda m, b: cross_entropy(m, b) * 0)
    assert said(given)["zero"][0] == "error"


def test_what_no_optimizer_holds_is_left_out():
    model = network()
    given = setup(cross_entropy, model=lambda: model)
    given = Setup(model, torch.optim.SGD([*model.parameters()][:-1], 0.1), given.losses, given.train)
    severity, message = said(given)["left out"]
    assert severity == "warning"
    assert message == (
        "1 of 4 trainable tensors (1.7% of the entries) get gradients, but no optimizer holds them in 6 batches: 2.bias"
    )


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_gradients_that_are_no_numbers_are_not_called_0(bad):
    assert said(setup(lambda m, b: cross_entropy(m, b) * bad)) == {}


def test_a_tensor_without_entries_is_passed_over():
    model = network()
    model.register_parameter("empty", nn.Parameter(torch.zeros(0, 4)))
    assert said(setup(cross_entropy, model=lambda: model)) == {}


class Bag(nn.Module):
    """A table whose gradient is sparse, and a head."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.EmbeddingBag(50, 8, mode="sum", sparse=True), nn.Linear(8, 3)

    def forward(self, ids):
        return self.head(self.table(ids))


def test_a_sparse_gradient_is_one():
    torch.manual_seed(0)
    model = Bag()
    train = [(torch.randint(0, 50, (16, 5)), torch.randint(0, 3, (16,))) for _ in range(3)]
    optimizers = [torch.optim.SparseAdam([model.table.weight], 1e-3), torch.optim.Adam(model.head.parameters(), 1e-3)]
    assert said(Setup(model, optimizers, lambda m, b: F.cross_entropy(m(b[0]), b[1]), train)) == {}

"""OBJ010 before the run."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from prechecks.objective_setups import binary, cross_entropy, look, network, setup
from tocsin.prechecks.checks.loss_on_probabilities import loss_on_probabilities


def likelihood(model, batch):
    return F.nll_loss(model(batch[0]), batch[1])


def softmax_in_loss(model, batch):
    return 0.5 * F.cross_entropy(model(batch[0]).softmax(1), batch[1])


def net(last):
    return lambda: network(last=last)


FAULTY = {
    "softmax in the network": (setup, cross_entropy, net(nn.Softmax(1)), "warning"),
    "softmax in the loss": (setup, softmax_in_loss, None, "warning"),
    "likelihood of probabilities": (setup, likelihood, net(nn.Softmax(1)), "warning"),
    "likelihood of logits": (setup, likelihood, None, "error"),
}


@pytest.mark.parametrize("name", FAULTY)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_loss_of_the_wrong_form_rings(name, seed):
    make, losses, model, severity = FAULTY[name]
    found, _ = look(loss_on_probabilities, make(losses, model=model, seed=seed))
    assert [(f.subject, f.severity) for f in found] == [("total", severity)]


def test_the_message_has_both_losses_and_the_floor():
    (finding,), _ = look(loss_on_probabilities, setup(softmax_in_loss))
    assert finding.message.startswith(
        "total is 0.5 times a cross-entropy that takes probabilities for logits: softmax is applied twice, and it "
        "cannot fall below 1.044 ("
    )


def ones(last=None):
    return lambda: network(1, last)


def of_one(model, batch):
    return batch[1], model(batch[0])[:, 0]


@pytest.mark.parametrize("seed", range(4))
def test_a_sigmoid_applied_twice_rings(seed):
    given = setup(binary, model=ones(nn.Sigmoid()), target="binary", seed=seed, predict=of_one)
    found, _ = look(loss_on_probabilities, given)
    assert [f.severity for f in found] == ["warning"]
    assert "the sigmoid is applied twice" in found[0].message


def plain_bce(model, batch):
    return F.binary_cross_entropy(model(batch[0])[:, 0], batch[1])


def small_logits():
    made = network(1)
    with torch.no_grad():
        made[2].weight.mul_(0.1)
        made[2].bias.fill_(0.5)
    return made


def shown_softmax(model, batch):
    return batch[1], model(batch[0]).softmax(1)


HEALTHY = {
    "logits": {"losses": cross_entropy},
    "logits, shown as probabilities": {"losses": cross_entropy, "predict": shown_softmax},
    "log-probabilities": {"losses": likelihood, "model": net(nn.LogSoftmax(1))},
    "log-probabilities as logits": {"losses": cross_entropy, "model": net(nn.LogSoftmax(1))},
    "two classes": {"losses": binary, "model": ones(), "target": "binary", "predict": of_one},
    "probabilities": {"losses": plain_bce, "model": ones(nn.Sigmoid()), "target": "binary", "predict": of_one},
    "logits between 0 and 1": {"losses": binary, "model": small_logits, "target": "binary", "predict": of_one},
}


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_honest_losses_are_silent_and_known(name, seed):
    assert look(loss_on_probabilities, setup(seed=seed, **HEALTHY[name])) == ([], [])


def test_label_smoothing_is_not_checked():
    given = setup(lambda m, b: F.cross_entropy(m(b[0]), b[1], label_smoothing=0.1))
    assert look(loss_on_probabilities, given) == ([], ["no term is a known loss of the predictions of main"])


@pytest.mark.parametrize("axis", ["last", "second"])
def test_sequences_are_read_by_rows(axis):
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 5), nn.Softmax(-1))
    torch.manual_seed(0)
    train = [(torch.randn(4, 7, 4), torch.randint(0, 5, (4, 7))) for _ in range(4)]

    def losses(m, b):
        return F.cross_entropy(m(b[0]).flatten(0, 1), b[1].flatten())

    def predict(m, b):
        return b[1], m(b[0]) if axis == "last" else m(b[0]).movedim(-1, 1)

    given = setup(losses, model=lambda: model, predict=predict)
    given.train[:] = train
    assert len(look(loss_on_probabilities, given)[0]) == 1


@pytest.mark.parametrize("prediction", [torch.full((32, 6), float("nan")), torch.zeros(32, dtype=torch.long)])
def test_what_cannot_be_recomputed_is_not_checked(prediction):
    found, unable = look(loss_on_probabilities, setup(cross_entropy, predict=lambda _, b: (b[1], prediction)))
    assert found == []
    assert unable

"""OBJ007 before the run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from prechecks.objective_setups import CLASSES, TwoHeads, look, setup
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.checks.term_without_gradient import term_without_gradient
from tocsin.prechecks.term_sums import as_sum, term_table

AT = torch.arange(CLASSES)


def expected(z, y):
    return (z.softmax(1) * (AT - y[:, None]).abs()).sum(1).mean()


def with_distance(distance, shown=lambda d: d, ce_shown=lambda c: c):
    def losses(model, batch):
        z = model(batch[0])
        ce, d = F.cross_entropy(z, batch[1]), distance(z, batch[1])
        return {"total": ce + 0.5 * d, "ce": ce_shown(ce), "distance": shown(d)}

    return losses


CUT = {
    "argmax": with_distance(lambda z, y: (z.argmax(1) - y).abs().float().mean()),
    "item": with_distance(lambda z, y: expected(z, y).item()),
    "no_grad": with_distance(lambda z, y: expected(z, y).detach()),
    "sign": with_distance(lambda z, _: z.sign().sum(1).mean()),
}


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_term_that_the_total_contains_and_that_has_no_gradient_is_an_error(name, seed):
    found, _ = look(term_without_gradient, setup(CUT[name], seed=seed))
    assert [(f.subject, f.severity) for f in found] == [("distance", "error")]


def test_the_message_has_the_weight_and_the_share():
    (finding,), _ = look(term_without_gradient, setup(CUT["argmax"]))
    assert finding.message.startswith(
        "distance has no gradient path to a trainable tensor in 6 batches, yet the total contains 0.5 times its value "
        "(exact to "
    )
    assert " in 24 rows), " in finding.message
    assert [e.source for e in finding.evidence] == ["train/loss/distance", "train/loss"]


def accuracy_beside(model, batch):
    z = model(batch[0])
    ce = F.cross_entropy(z, batch[1])
    return {"total": ce, "ce": ce, "accuracy": (z.argmax(1) == batch[1]).float().mean()}


def kendall(model, batch):
    z, v = model(batch[0])
    kind, size = F.cross_entropy(z, batch[1]), (v - batch[0][:, 0]).square().mean()
    s = model.log_vars
    return {"total": (-s[0]).exp() * kind + s[0] + (-s[1]).exp() * size + s[1], "kind": kind, "size": size.detach()}


def hinge(model, batch):
    z = model(batch[0])
    ce, margin = F.cross_entropy(z, batch[1]), F.relu(z.abs().max() - 1e6)
    return {"total": ce + margin, "ce": ce, "margin": margin}


def free_bits(model, batch):
    z = model(batch[0])
    ce, kl = F.cross_entropy(z, batch[1]), z.square().mean().clamp_min(100.0)
    return {"total": ce + 0.1 * kl, "ce": ce, "kl": kl}


HEALTHY = {
    "expectation": with_distance(expected),
    "copy for the log": with_distance(expected, shown=torch.Tensor.detach),
    "float for the log": with_distance(expected, shown=torch.Tensor.item),
    "all copies": with_distance(expected, shown=torch.Tensor.detach, ce_shown=torch.Tensor.detach),
    "accuracy beside": accuracy_beside,
    "inactive hinge": hinge,
    "free bits": free_bits,
}


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_healthy_neighbours_are_silent(name, seed):
    assert look(term_without_gradient, setup(HEALTHY[name], seed=seed))[0] == []


def test_a_copy_beside_learned_weights_is_silent():
    assert look(term_without_gradient, setup(kendall, model=TwoHeads))[0] == []


def test_a_term_of_the_data_alone_is_a_note():
    def losses(model, batch):
        z, soft = model(batch[0]), batch[0].softmax(1)
        kl = F.cross_entropy(z[:, :4], soft)
        entropy = -(soft * soft.log()).sum(1).mean()
        return {"total": kl - entropy, "ce": kl, "entropy": entropy}

    found, _ = look(term_without_gradient, setup(losses))
    assert [(f.subject, f.severity) for f in found] == [("entropy", "note")]
    assert found[0].message.endswith("it does not depend on the weights")


def test_a_total_that_is_no_sum_makes_it_a_note():
    def losses(model, batch):
        z = model(batch[0])
        ce, d = F.cross_entropy(z, batch[1]), (z.argmax(1) - batch[1]).abs().float().mean()
        return {"total": ce * (1 + d), "ce": ce, "distance": d}

    found, _ = look(term_without_gradient, setup(losses))
    assert [f.severity for f in found] == ["note"]


def test_the_sum_has_the_weights_of_least_squares():
    table = term_table(Bench(setup(CUT["argmax"])))
    found = as_sum(table)
    columns = np.column_stack([table.terms, np.ones(len(table.total))])
    wanted = np.linalg.lstsq(columns, table.total, rcond=None)[0]
    assert np.allclose([found.weights["ce"], found.weights["distance"]], [1.0, 0.5], atol=1e-5)
    assert np.allclose([*found.weights.values()], wanted[:2], atol=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_not_judged(value):
    def losses(model, batch):
        ce = F.cross_entropy(model(batch[0]), batch[1])
        return {"total": ce, "ce": ce, "odd": torch.tensor(value)}

    found, unable = look(term_without_gradient, setup(losses))
    assert found == []
    assert unable


def test_a_scalar_loss_has_no_terms_to_judge():
    found, unable = look(term_without_gradient, setup(lambda m, b: m(b[0]).square().mean()))
    assert (found, len(unable)) == ([], 1)

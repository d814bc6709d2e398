"""OBJ011 before the run."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from prechecks.objective_setups import CLASSES, binary, cross_entropy, look, network, setup, squared
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.checks.initial_loss import initial_loss
from tocsin.prechecks.constant_loss import known_constant, searched_constant
from tocsin.prechecks.loss_looks import looks_of
from tocsin.prechecks.loss_matches import matches


def he(out=CLASSES):
    def made():
        model = network(out)
        for layer in (model[0], model[2]):
            nn.init.kaiming_normal_(layer.weight)
        return model

    return made


def values(change, out=1, losses=squared, **more):
    return dict(losses=losses, target="values", out=out, made=lambda x, y: (x, change(y)), **more)


def smoothed(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], label_smoothing=0.1)


def summed(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="sum")


def absolute(model, batch):
    return F.l1_loss(model(batch[0]), batch[1])


def smooth_l1(model, batch):
    return F.smooth_l1_loss(model(batch[0]), batch[1])


def of_one(model, batch):
    return batch[1], model(batch[0])[:, 0]


def pixels(x, y):
    return 255 * x, y


FAR = {
    "inputs not scaled": {"losses": cross_entropy, "made": pixels},
    "inputs not scaled, smoothed": {"losses": smoothed, "made": pixels},
    "targets not centred": values(lambda y: 100 + y),
    "targets not centred, MAE": values(lambda y: 100 + y, losses=absolute),
    "targets not centred, smooth L1": values(lambda y: 100 + y, losses=smooth_l1),
}


@pytest.mark.parametrize("name", FAR)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_first_loss_far_above_the_constant_rings(name, seed):
    (finding,), _ = look(initial_loss, setup(seed=seed, **FAR[name]))
    assert finding.severity is None
    assert "a standard initialisation stays below" in finding.message


HEALTHY = {
    "classes": {"losses": cross_entropy},
    "classes, He": {"losses": cross_entropy, "model": he()},
    "rare class": {"losses": cross_entropy, "made": lambda x, y: (x, (y == 0).long() * (torch.rand(len(y)) < 0.3))},
    "smoothed": {"losses": smoothed},
    "binary": {"losses": binary, "out": 1, "target": "binary", "predict": of_one},
    "standardised": values(lambda y: y),
    "wide, He": values(lambda y: y, out=16, model=he(16)),
    "small targets": values(lambda y: y * 1e-3),
    "between 0 and 1": values(torch.sigmoid, model=he(1)),
    "ages": values(lambda y: 40 + 15 * y),
    "MAE": values(lambda y: y, losses=absolute),
    "smooth L1": values(lambda y: y, losses=smooth_l1),
}


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_standard_initialisations_are_silent(name, seed):
    assert look(initial_loss, setup(seed=seed, **HEALTHY[name])) == ([], [])


def normalised():
    return nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, CLASSES))


@pytest.mark.parametrize("seed", range(3))
def test_normalisation_and_dropout_are_judged_as_they_train(seed):
    assert look(initial_loss, setup(cross_entropy, model=normalised, made=pixels, seed=seed)) == ([], [])


def test_the_message_is_exact():
    (finding,), _ = look(initial_loss, setup(**FAR["targets not centred"]))
    mean = finding.evidence[0].value
    low, high = finding.evidence[0].interval
    best = finding.evidence[0].limit
    assert finding.message == (
        f"the first total is {mean:.4g} [{low:.4g}, {high:.4g}] over 6 batches, {mean / best:.3g} times that of the "
        f"best constant answer ({best:.4g}); a standard initialisation stays below {10 * (best + 2):.4g}"
    )


class Residual(nn.Module):
    """Its first logits are its inputs, and little else."""

    def __init__(self):
        super().__init__()
        self.change = nn.Linear(CLASSES, CLASSES)

    def forward(self, x):
        return x + 0.1 * self.change(x)


def known():
    """Weights that know the answer, as trained ones do."""
    made = nn.Linear(CLASSES, CLASSES)
    nn.init.eye_(made.weight)
    return made


def told(model=Residual, seed=0, **parts):
    """The one-hot answer is the input."""
    return setup(
        cross_entropy, model=model, seed=seed, made=lambda _, y: (3 * F.one_hot(y, CLASSES).float(), y), **parts
    )


def test_an_answer_in_the_input_rings():
    (finding,), _ = look(initial_loss, told())
    assert finding.severity == "warning"
    assert finding.message.endswith("before any training: the answer is in the input")
    assert "entropy of" in finding.evidence[0].text


@pytest.mark.parametrize("seed", range(3))
def test_weights_that_know_the_answer_where_new_ones_do_not_are_a_note(seed):
    given = told(known, seed)
    (finding,) = look(initial_loss, given)[0]
    assert finding.severity == "note"
    assert "trained before (weights drawn anew have " in finding.message
    assert torch.equal(given.model.weight, torch.eye(CLASSES))


class Unreset(nn.Module):
    """Weights of its own, that no module draws."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(CLASSES))

    def forward(self, x):
        return x @ self.weight


def test_weights_that_cannot_be_drawn_anew_tell_nothing():
    assert [f.severity for f in look(initial_loss, told(Unreset))[0]] == ["warning"]


def test_weights_that_were_trained_before_make_it_a_note():
    (finding,), _ = look(initial_loss, told(config={"pretrained": True}))
    assert finding.severity == "note"
    assert finding.message.endswith("trained before (config pretrained)")


def test_an_output_that_starts_at_the_input_is_a_note():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.change = nn.Linear(1, 1)

        def forward(self, x):
            return x[:, :1] + 0.01 * self.change(x[:, :1])

    given = setup(squared, model=Skip, target="values", out=1, made=lambda x, y: (y + 0.1 * x[:, :1], y))
    assert [f.severity for f in look(initial_loss, given)[0]] == ["note"]


def test_a_sum_over_the_batch_is_named():
    (finding,), _ = look(initial_loss, setup(summed))
    assert finding.severity == "warning"
    assert finding.message.endswith(" times 32, the number of samples of the batch: it is summed, not averaged")


def test_a_division_by_the_number_of_batches_is_a_note():
    (finding,), _ = look(initial_loss, setup(lambda m, b: cross_entropy(m, b) / 6))
    assert finding.severity == "note"
    assert "times 0.1667, one over the number of batches" in finding.message


def test_a_weight_of_the_user_is_silent():
    assert look(initial_loss, setup(lambda m, b: 0.3 * cross_entropy(m, b))) == ([], [])


def test_the_closed_form_and_the_search_agree():
    for losses, parts in ((cross_entropy, {}), (squared, values(lambda y: 3 + y))):
        bench = Bench(setup(**{**parts, "losses": losses}))
        looks = looks_of(bench)
        known = known_constant(next(matches(looks)), looks.tasks["main"], 10.0)
        found = searched_constant(bench, 10.0)
        assert found.cost.mean() == pytest.approx(known.cost.mean(), rel=1e-5)


def test_the_constant_of_classes_is_their_entropy():
    bench = Bench(setup(cross_entropy))
    looks = looks_of(bench)
    shares = np.bincount(torch.cat([b[1] for b in bench.train]), minlength=CLASSES) / (6 * 32)
    known = known_constant(next(matches(looks)), looks.tasks["main"], 10.0)
    assert known.cost.mean() == pytest.approx(-(shares * np.log(shares)).sum())
    assert known.usual == pytest.approx(max(2 * math.log(CLASSES), math.log(CLASSES) + 2))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_losses_that_are_no_numbers_say_nothing(bad):
    assert look(initial_loss, setup(lambda m, b: m(b[0]).mean() * bad))[0] == []


def test_too_few_batches_are_not_checked():
    assert look(initial_loss, setup(cross_entropy, batches=2)) == ([], ["needs 3 batches"])

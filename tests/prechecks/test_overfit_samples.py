"""OPT019 with n_samples: so many samples learned to a target, or said beside what a constant answer has."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tocsin
from tocsin.prechecks import overfit_samples
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.constant_answer import shared_constant
from tocsin.prechecks.setup import Setup

CLASSES = 4


@pytest.fixture(autouse=True)
def steps(monkeypatch):
    """A bound in steps, not in seconds: the same on every machine."""
    monkeypatch.setattr(overfit_samples, "MOST_STEPS", 600)


def data(seed=0, batches=3, twins=False):
    """Batches of 16; ``twins`` have one input for all, so that no more than a constant can be learned."""
    g = torch.Generator().manual_seed(seed)
    found = []
    for k in range(batches):
        x = torch.randn(16, 6, generator=g)
        found.append((torch.ones_like(x) if twins and k else x, torch.randint(0, CLASSES, (16,), generator=g)))
    return found


def cross_entropy(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def setup(batches):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, CLASSES))
    given = {"predict": lambda m, b: (b[1], m(b[0]))}
    return Setup(model, torch.optim.SGD(model.parameters(), 1e-9), cross_entropy, batches, **given)


def flown(batches, **options):
    return tocsin.preflight(setup(batches), select=["OPT019"], options={"OPT019": options})


@pytest.mark.parametrize("options", [{}, {"target": 0.2}])
def test_samples_that_can_be_learned_are_silent(options):
    assert flown(data(), n_samples=40, n_seconds=60, **options).clean == ("OPT019",)


def test_samples_that_cannot_be_told_apart_are_a_note_without_a_target():
    report = flown(data(twins=True), n_samples=48, n_seconds=60)
    (found,) = report.findings
    assert (found.code, found.severity, found.subject) == (
        "OPT019",
        "note",
        "48 samples",
    )  # a third of them was learned
    assert "rounds of Adam over 48 samples end at a loss of " in found.message
    assert "one constant answer for all of them has 1.3" in found.message
    assert found.message.endswith("guessing among 4 classes ln 4 = 1.386")


def test_a_target_that_is_not_reached_rings_although_something_was_learned():
    given = data()
    given[1] = (given[0][0].clone(), (given[0][1] + 1) % CLASSES)  # the same inputs with other labels
    (found,) = flown(given, n_samples=32, target=0.01, n_seconds=60).findings
    assert found.severity == "warning"
    assert "the target is 0.01; one constant" in found.message
    assert flown(given, n_samples=32, target=0.8, n_seconds=60).clean == ("OPT019",)


def test_the_time_is_bounded():
    started = time.perf_counter()
    report = flown(data(), n_samples=48, target=1e-9, n_seconds=0.2)
    assert time.perf_counter() - started < 3
    assert not report.clean


def test_it_is_not_asked_without_the_option():
    assert flown(data(twins=True)).clean == ("OPT019",)


def test_the_constant_of_all_is_that_of_their_class_shares():
    given = data()
    labels = torch.cat([y for _, y in given])
    shares = torch.bincount(labels, minlength=CLASSES) / len(labels)
    found = shared_constant(Bench(setup(given)), [(batch, 16) for batch in given])
    assert found == pytest.approx(float(-(shares * shares.log()).sum()), rel=1e-4)

"""OBJ010: fires on the identity of a loss that takes probabilities for logits, silent on honest losses of its size."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from tocsin.engine import check_run, find_rule
from tocsin.rules.objective.loss_on_probabilities import _calibrated
from tocsin.run import Confusion, Evaluation, Run, Series

RULE = find_rule("OBJ010")


def findings(run):
    return check_run(run, [RULE]).findings


def floor(classes):
    return math.log(math.e + classes - 1) - 1


def table(accuracy, classes=10, n=1000):
    right = round(accuracy * n / classes)
    return Confusion.of(np.diag([right] * classes) + np.roll(np.diag([n // classes - right] * classes), 1, axis=1))


def run_of(val, train, accuracy=0.95, classes=10, evaluations=4, **fields):
    made = tuple(
        Evaluation("val", "main", 30 * k, "classes", 1000, confusion=table(accuracy, classes))
        for k in range(1, evaluations + 1)
    )
    logged = Series.of("", np.broadcast_to(val, evaluations), step=[e.step for e in made])
    return Run.of("r", series={"train/loss": train, "val/loss": logged}, evaluations=made, exit="finished", **fields)


def falling(low, high=2.3, n=120):
    return low + (high - low) * np.exp(-np.arange(n) / 20)


def test_it_fires_from_the_first_loss_on():
    (found,) = findings(run_of(floor(10) + 0.06, falling(floor(10) + 0.01)))
    assert (found.subject, found.step, found.severity) == ("val/loss", 1, "warning")
    assert found.message == (
        "val/loss is 1.521 at an accuracy of 0.950: what certain answers cost a cross-entropy that takes their "
        "probabilities for logits (1.511; honest ones at most 0.308). None of 120 training losses is below the floor "
        "of such a loss, 1.461"
    )


@pytest.mark.parametrize("classes", [2, 3, 10, 50])
def test_torch_agrees_on_the_cost_of_certain_answers(classes):
    target = torch.arange(classes).repeat(20)
    answers = torch.where(torch.arange(len(target)) % 10 == 0, (target + 1) % classes, target)
    certain = functional.one_hot(answers, classes).double()
    accuracy = float((answers == target).double().mean())
    assert float(functional.cross_entropy(certain, target)) == pytest.approx(floor(classes) + 1 - accuracy)


def test_a_calibrated_constant_confidence_costs_its_entropy():
    logits = torch.full((10, 10), math.log(0.05 / 9)).double() + torch.eye(10) * (math.log(0.95) - math.log(0.05 / 9))
    right, wrong = torch.arange(10), (torch.arange(10) + 1) % 10
    cost = 0.95 * functional.cross_entropy(logits, right) + 0.05 * functional.cross_entropy(logits, wrong)
    assert _calibrated(0.95, 10) == pytest.approx(float(cost))


@pytest.mark.parametrize(
    "run",
    [
        run_of(0.2, falling(0.1)),
        run_of(1.511, falling(0.01)),  # overfit: this loss by confident mistakes, and training far below the floor
        run_of(1.9, falling(1.47), accuracy=0.95),
        run_of(floor(2) + 0.2, falling(floor(2) + 0.02, 0.7), accuracy=0.8, classes=2),  # an honest loss is as high
        run_of(floor(10) + 0.05, falling(floor(10) + 0.01), config={"loss": "mse"}),
    ],
    ids=["honest", "overfit", "neither", "two-classes-of-80-%", "another-loss"],
)
def test_healthy_neighbours_are_silent(run):
    assert not findings(run)


def test_few_training_losses_prove_no_floor():
    assert not findings(run_of(floor(10) + 0.06, falling(floor(10) + 0.01, n=10)))


@settings(max_examples=40, deadline=None)
@given(st.floats(0.3, 0.99), st.integers(3, 60))
def test_law_an_honest_loss_never_rings(accuracy, classes):
    """Calibrated answers cost at most their entropy, whatever the classes."""
    honest = _calibrated(table(accuracy, classes, 100 * classes).correct.sum() / (100 * classes), classes)
    assert not findings(run_of(0.9 * honest, falling(0.5 * honest), accuracy, classes))

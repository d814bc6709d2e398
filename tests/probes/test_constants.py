"""The best constant under any loss: against closed forms, corners, seeds, and clear words for what is no loss."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
from torch.nn import functional

import tocsin
from tocsin import constant_values as constants

COUNTS = np.array([50, 30, 20])
LABELS = torch.as_tensor(np.repeat(np.arange(3), COUNTS))
VALUES = torch.as_tensor(np.random.default_rng(0).gamma(2.0, 3.0, 301))


def focal(logits, target, gamma=2.0):
    logq = functional.log_softmax(logits, dim=1).gather(1, target[:, None])[:, 0]
    return (-((1 - logq.exp()) ** gamma) * logq).mean()


def gaussian(prediction, target):
    mean, log_sigma = prediction
    return (log_sigma + (target - mean) ** 2 / (2 * torch.exp(2 * log_sigma))).mean()


@pytest.mark.parametrize(
    ("loss", "target", "kind", "expected"),
    [
        (functional.cross_entropy, LABELS, None, constants.cross_entropy(COUNTS)),
        (focal, LABELS, None, constants.focal(COUNTS)),
        (functional.mse_loss, VALUES, None, float(VALUES.var(correction=0))),
        (functional.l1_loss, VALUES, None, constants.absolute_error(VALUES.numpy())[0]),
        (functional.huber_loss, VALUES, None, constants.huber(VALUES.numpy())[0]),
        (gaussian, VALUES, "gaussian", constants.gaussian_nll(float(VALUES.var(correction=0)))),
        (
            functional.binary_cross_entropy_with_logits, LABELS == 1, "binary",
            constants.binary_cross_entropy(0.3),
        ),
        (
            functional.binary_cross_entropy_with_logits, functional.one_hot(LABELS), "multilabel",
            constants.binary_cross_entropy(COUNTS / 100),
        ),
    ],
    ids=["ce", "focal", "mse", "mae", "huber", "gaussian", "binary", "multilabel"],
)  # fmt: skip
def test_it_finds_what_the_closed_forms_say(loss, target, kind, expected):
    found = tocsin.best_constant(loss, target, kind=kind)
    assert found.value == pytest.approx(expected, rel=1e-6)


def test_it_says_where_the_least_lies_and_what_zero_costs():
    found = tocsin.best_constant(functional.cross_entropy, LABELS)
    assert torch.softmax(torch.tensor(found.constant), 0).numpy() == pytest.approx(COUNTS / 100, abs=1e-4)
    assert found.zero == pytest.approx(math.log(3))
    both = tocsin.best_constant(functional.mse_loss, torch.stack([VALUES, -2 * VALUES], dim=1))
    assert both.constant == pytest.approx((VALUES.mean().item(), -2 * VALUES.mean().item()))


def test_a_loss_with_several_valleys_is_started_more_than_once():
    def wavy(prediction, target):
        off = prediction - target.mean()
        return ((off / 3) ** 2 + 1 - torch.cos(6 * off)).mean() + 0.0 * target.sum()

    assert tocsin.best_constant(wavy, VALUES + 40).value == pytest.approx(0, abs=1e-6)


def test_weights_in_single_precision_are_taken():
    weights = torch.tensor([1.0, 2.0, 5.0])
    found = tocsin.best_constant(lambda p, t: functional.cross_entropy(p, t, weight=weights), LABELS)
    assert found.value == pytest.approx(constants.cross_entropy(COUNTS, weights.numpy()), rel=1e-5)


def test_no_random_state_is_moved_and_a_loss_that_samples_repeats():
    def sampling(prediction, target):
        return ((prediction - target + 0.1 * torch.randn_like(target)) ** 2).mean()

    torch.manual_seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    first, second = (tocsin.best_constant(sampling, VALUES) for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    assert random.getstate() == states[2]


def test_it_works_where_gradients_are_off_and_takes_arrays():
    with torch.no_grad():
        assert tocsin.best_constant(functional.mse_loss, VALUES.numpy()).value == pytest.approx(
            VALUES.var(correction=0)
        )
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("loss", "target", "kind", "error", "words"),
    [
        (lambda p, t: (p - t) ** 2, VALUES, None, TypeError, "one number"),
        (lambda *_: 3.0, VALUES, None, TypeError, "got float"),
        (lambda p, t: ((p - t) ** 2).mean().detach(), VALUES, None, TypeError, "detached"),
        (lambda p, _: (p * math.nan).mean(), VALUES, None, ValueError, "finite for no constant"),
        (functional.mse_loss, VALUES, "values", TypeError, "kind must be one of"),
        (functional.mse_loss, torch.zeros(0), None, ValueError, "at least one target"),
        (functional.mse_loss, torch.tensor([1.0, math.nan]), None, ValueError, "NaN or inf"),
        (functional.cross_entropy, torch.tensor([0, -100]), None, ValueError, "classes need integer targets"),
        (functional.cross_entropy, torch.tensor([0.5, 1.0]), "classes", ValueError, "classes need integer targets"),
    ],
)
def test_what_is_no_loss_is_said_clearly(loss, target, kind, error, words):
    with pytest.raises(error, match=words):
        tocsin.best_constant(loss, target, kind=kind)


def test_time_is_bounded():
    found = tocsin.best_constant(functional.mse_loss, VALUES, seconds=0.0)
    assert found.value < 10 * VALUES.var()

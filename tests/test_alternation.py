"""Accuracies that come back to the shares of classes; not those of small sets and late learners."""

from __future__ import annotations

import numpy as np
import pytest

from tocsin import alternation
from tocsin.run import Series

HIGH, LOW = 0.734375, 0.265625


def test_a_share_and_its_complement():
    seen = np.array([HIGH, LOW, LOW, LOW, HIGH, HIGH, HIGH, HIGH, HIGH, 0.65625])
    assert alternation.flips(seen, 5e-7)
    assert not alternation.flips(np.r_[seen[:4], 0.7, 0.71, 0.72, 0.73], 5e-7)
    assert not alternation.flips(np.full(10, 0.5), 5e-7)
    assert not alternation.flips(np.array([0.6, 0.4, 0.6, 0.4]), 5e-7)  # of ten samples, by luck


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ([0.2687, 0.351, 0.2687, 0.351, 0.351, 0.2687, 0.2687, 0.351], True),
        ([0.2806, 0.339, 0.2806, 0.3804, 0.339, 0.3804, 0.339, 0.2806], True),
        ([0.146] * 6 + [0.5] * 6, False),
        ([0.96, 0.94, 0.96, 0.96, 0.94, 0.96, 0.94, 0.96], False),
        ([0.612, 0.551, 0.634, 0.672, 0.664, 0.701, 0.713, 0.709], False),
    ],
    ids=["two classes", "three that add up to 1", "in one order", "one sample of fifty", "learns"],
)
def test_a_few_shares_in_turn(seen, told):
    assert alternation.returns(np.array(seen), 5e-5) is told


def test_a_small_set_that_stands_still_beside_training_that_does():
    rng = np.random.default_rng(0)
    held, train = np.full(31, 0.72414), Series.of("", 0.45 + 0.01 * rng.standard_normal(31))
    assert alternation.stands_still(held, train, settles=False)
    assert not alternation.stands_still(held, Series.of("", np.linspace(0.4, 0.6, 31)), settles=False)
    assert not alternation.stands_still(held, Series.of("", train.value + 0.3), settles=False)
    assert not alternation.stands_still(held[:10], train, settles=False)
    assert alternation.stands_still(held[:10], train, settles=True)
    assert not alternation.stands_still(held, None, settles=True)

"""Calibration, bootstrap and perturbation against slow twins, and what would fool them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.calibration import calibration_curve

from tocsin.studies.constellation.evaluation.calibration import expected_calibration_error, reliability
from tocsin.studies.constellation.evaluation.intervals import mean_intervals, wilson
from tocsin.studies.constellation.evaluation.perturbation import ARMS, impacts, mask, table
from tocsin.studies.constellation.view.representation import Batch


def test_reliability_is_sklearns():
    rng = np.random.default_rng(0)
    p = rng.random(4000)
    right = rng.random(4000) < p**2
    counts, said, true = reliability(p, right, 10)
    expected_true, expected_said = calibration_curve(right, p, n_bins=10)
    np.testing.assert_allclose(said, expected_said, atol=1e-12)
    np.testing.assert_allclose(true, expected_true, atol=1e-12)
    assert expected_calibration_error(p, right, 10) == pytest.approx(
        (counts * np.abs(expected_true - expected_said)).sum() / 4000
    )


def test_a_calibrated_answer_has_no_error_beyond_its_bias():
    rng = np.random.default_rng(1)
    p = rng.random(20_000)
    assert expected_calibration_error(p, rng.random(20_000) < p) < np.sqrt(15 / 20_000)
    assert expected_calibration_error(np.full(100, 0.9), np.zeros(100)) == pytest.approx(0.9)
    assert np.isnan(expected_calibration_error([], []))


@pytest.mark.parametrize("p", [[1.2], [-0.1], [np.nan]])
def test_what_is_no_confidence_is_refused(p):
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        expected_calibration_error(p, [True])


def test_intervals_are_scipys_where_there_is_one_stratum():
    rng = np.random.default_rng(2)
    values = np.stack([rng.random(300) < 0.8, rng.normal(size=300)])
    ours = mean_intervals(values, np.zeros(300, int), draws=4000)
    for row, (low, high) in zip(values, ours, strict=True):
        theirs = stats.bootstrap((row,), np.mean, n_resamples=4000, method="percentile", rng=3).confidence_interval
        np.testing.assert_allclose((low, high), theirs, atol=0.01)


def test_wilson_is_scipys():
    for hits, n in ((0, 10), (7, 10), (100, 100)):
        expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
        np.testing.assert_allclose(wilson(hits, n), (expected.low, expected.high), atol=1e-6)
    assert np.isnan(wilson([0], [0])).all()


def test_strata_keep_their_sizes():
    cell = np.repeat([0, 1, 2], [100, 50, 10])[np.random.default_rng(0).permutation(160)]
    low, high = mean_intervals([cell * 1.0], cell)[0]
    assert low == high == pytest.approx(cell.mean())  # all the spread is between strata
    with pytest.raises(ValueError, match="expected scores"):
        mean_intervals([[1.0]], [])


COUNTS = torch.tensor([[0, 1, 1, 1, 5, 0, 2, 1], [0, 0, 0, 0, 0, 0, 9, 1]])


@pytest.mark.parametrize("arm", ARMS)
def test_each_arm_masks_the_same_number_of_occupied_pixels(arm):
    masked = mask(COUNTS, arm, 0.5, torch.Generator().manual_seed(0))
    assert masked.sum(1).tolist() == [3, 1]
    assert not (masked & (COUNTS == 0)).any()


def test_the_brightest_and_the_darkest_are_those():
    draw = torch.Generator().manual_seed(0)
    assert mask(COUNTS, "brightest", 0.34, draw)[0].nonzero()[:, 0].tolist() == [4, 6]
    assert mask(COUNTS, "darkest", 0.5, draw)[1].nonzero()[:, 0].tolist() == [7]
    ties = torch.stack([mask(COUNTS, "darkest", 0.2, draw)[0] for _ in range(400)]).float().mean(0)
    np.testing.assert_allclose(ties[[1, 2, 3, 7]], 0.25, atol=0.08)  # broken at random
    assert mask(torch.zeros(1, 8), "random", 0.5, draw).sum() == 0


def test_impact_divides_by_what_was_masked():
    """An answer that needs the brightest pixel alone: only that arm costs anything."""
    torch.manual_seed(0)
    counts = torch.ones(200, 1, 10, 10, dtype=torch.int16)
    counts[:, 0, 3, 3] = 50
    none = torch.zeros(200, dtype=torch.int64)
    frames = Batch(counts, torch.zeros(200, 0), None, none, none, none)
    found = impacts([frames], lambda batch: batch.counts[:, 0, 3, 3] > 0, [0.01, 0.1])
    by = {(i.arm, round(i.share, 3)): i for i in found}
    assert by["brightest", 0.01].score == pytest.approx(100)
    assert by["darkest", 0.1].score == 0
    assert by["random", 0.1].score == pytest.approx(1, abs=0.6)
    assert by["brightest", 0.01].samples_share == pytest.approx(50 / 149)
    assert table(found)[0].keys() >= {"arm", "masked_share", "masked_joint_accuracy", "impact"}
    with pytest.raises(ValueError, match="share"):
        mask(counts.flatten(1), "random", 0.0, torch.Generator())

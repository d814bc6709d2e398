"""Levels, falls and signs of progress, against plainer computations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tocsin import learning
from tocsin.run import Event, Run, Series

RNG = np.random.default_rng(7)


def test_scatter_is_the_noise_about_a_slope():
    noise = RNG.standard_normal(4000)
    assert learning.scatter(0.05 * np.arange(4000) + 3 * noise) == pytest.approx(3, rel=0.06)
    y = RNG.standard_normal(50)
    plain = scipy_stats.median_abs_deviation(np.diff(y), scale=1 / 1.4826) / np.sqrt(2)
    assert learning.scatter(y) == pytest.approx(plain)


def test_the_error_of_a_level_is_that_of_the_median():
    medians = [np.median(RNG.standard_normal(101)) for _ in range(2000)]
    error = np.median([learning.level(Series.of("", RNG.standard_normal(101))).error for _ in range(200)])
    assert error == pytest.approx(np.std(medians), rel=0.25)


def test_blocks_are_medians_of_equal_parts():
    loss = Series.of("x", RNG.standard_normal(120))
    parts = learning.blocks(loss, 40)
    assert np.allclose(parts.value, np.median(loss.value.reshape(40, 3), axis=1))
    assert list(parts.step[:2]) == [3, 6]
    assert learning.blocks(loss, 200) is loss


def test_fallen_is_a_share_of_the_start():
    loss = np.linspace(4, 1, 1000)
    first, last = np.median(loss[:100]), np.median(loss[-100:])
    assert learning.fallen(Series.of("", loss)) == pytest.approx((first - last) / first)
    assert np.isnan(learning.fallen(Series.of("", [1.0])))


def test_a_metric_in_percent_is_a_fraction_and_others_are_not():
    assert learning.share("val/accuracy", Series.of("", [10, 91.5])).value[-1] == pytest.approx(0.915)
    assert learning.share("val/f1_macro", Series.of("", [0.1, 0.5])).value[-1] == 0.5
    assert learning.share("val/psnr", Series.of("", [20.0, 31.0])) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rollout/ep_rew_mean", "reinforcement learning"),
        ("train/reward", "reinforcement learning"),
        ("train/policy_loss", "reinforcement learning"),
        ("train/discriminator_loss", "adversarial training"),
        ("val/accuracy", ""),
    ],
)
def test_losses_that_need_not_fall(name, said):
    assert learning.unlike_progress(Run.of(series={"train/loss": [1.0], name: [1.0]})) == said


def test_runs_that_do_not_begin_at_the_beginning():
    late = Series.of("", np.ones(50), step=5000 + np.arange(50))
    assert learning.begins_late(Run.of(series={"train/loss": late})) == "its record begins at step 5000"
    assert learning.begins_late(Run.of(events=(Event("resume", "resuming"),))) == "the run was resumed"
    assert learning.begins_late(Run.of(series={"train/loss": np.ones(50)})) == ""


@pytest.mark.parametrize(
    ("fields", "tuned"),
    [
        ({"config": {"model": {"pretrained": True}}}, True),
        ({"config": {"model": {"pretrained": False}, "load_from": None}}, False),
        ({"environment": {"command": "python finetune.py --lr 1e-4"}}, True),
        ({"source": "hf-trainer-state"}, True),
        ({"environment": {"command": "python train.py"}}, False),
    ],
)
def test_runs_that_start_from_a_trained_model(fields, tuned):
    assert learning.fine_tuned(Run.of(**fields)) is tuned


def test_improvement_is_beyond_the_scatter():
    noise = 0.01 * RNG.standard_normal(30)
    assert learning.improves(Series.of("", np.linspace(0.5, 0.6, 30) + noise), 1)
    assert not learning.improves(Series.of("", np.linspace(0.5, 0.6, 30) + noise), -1)
    assert not learning.improves(Series.of("", 0.5 + noise), 1)
    assert not learning.improves(Series.of("", [0.5]), 1)


def test_curves_are_the_losses_or_a_metric_that_stands_for_them():
    both = {"train/loss": [2.0, 1], "val/loss": [2.0, 1.5], "train/rmse": [3.0, 2], "val/rmse": [3.0, 2]}
    assert [s.name for s in learning.curves(Run.of(series=both))] == ["train/loss", "val/loss"]
    boosted = {"train/auc": [0.5, 0.9], "val/auc": [0.5, 0.8], "train/logloss": [0.6, 0.1], "val/logloss": [0.6, 0.5]}
    assert [s.name for s in learning.curves(Run.of(series=boosted))] == ["train/logloss", "val/logloss"]
    sets = {"val/rmse": [2.0, 0.5], "val_1/rmse": [2.0, 1.5]}
    assert [s.name for s in learning.curves(Run.of(series=sets))] == ["val/rmse", "val_1/rmse"]
    alike = {"val/rmse": [2.0, 1.4], "val_1/rmse": [2.0, 1.5]}
    assert learning.curves(Run.of(series=alike)) == (None, None)
    train, held = learning.curves(Run.of(series={"train/loss": [2.0, 1]}))
    assert (train.name, held) == ("train/loss", None)


def test_memorised_is_the_widest_gap_that_training_made():
    score, flat = np.linspace(0.3, 0.95, 8), np.full(8, 0.5)
    made = {"train/acc": score, "val/acc": flat, "train/f1": score, "val/f1": flat - 0.1}
    gap = learning.memorised(Run.of(series=made))
    assert (gap.train, gap.held, gap.was, gap.now) == ("train/f1", "val/f1", 0.4, 0.4)
    assert gap.size == pytest.approx(np.median(score[-3:]) - 0.4)
    assert gap.low == pytest.approx(gap.size)  # no scatter
    assert np.isnan(learning.memorised(Run.of(series={"train/acc": [0.3, 0.95], "val/acc": [0.5, 0.5]})).low)
    assert learning.memorised(Run.of(series={"train/acc": score, "val/acc": score - 0.1})) is None
    assert learning.memorised(Run.of(series={"train/acc": score})) is None


def test_summed_terms_are_those_of_both_splits_at_the_same_steps():
    terms = {"train/loss/a": [3.0, 2], "train/loss/b": [1.0, 1], "train/loss/c": [9.0, 9]}
    held = {"val/loss/a": [4.0, 3], "val/loss/b": [2.0, 2]}
    run = Run.of(series={**terms, **held})
    assert list(learning.summed(run, "train").value) == [4, 3]
    assert (learning.summed(run, "val").name, list(learning.summed(run, "val").value)) == ("val/loss", [6, 5])
    assert learning.summed(Run.of(series={**terms, "val/loss/a": [4.0, 3]}), "val") is None
    assert learning.summed(Run.of(series={**terms, **held, "val/loss/b": [2.0]}), "val") is None

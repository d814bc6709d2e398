"""Scores that never vary: taken for a constant's where a second number says so, not on small or settled sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin import identities, repetition
from tocsin.run import Run, Series

FALLING = np.linspace(2, 1, 12).round(4)
ENTROPY = {"accuracy": [0.7981] * 6, "loss": [0.56, 0.53, 0.515, 0.508, 0.506, 0.505]}  # it ends at .5032


def told(train=FALLING, split="val", epoch=None, **columns):
    series = {f"{split}/{k}" if "__" not in k else k.replace("__", "/"): v for k, v in columns.items()}
    made = {k: Series.of(k, v, epoch=epoch) for k, v in series.items()} | {"train/loss": Series.of("train/loss", train)}
    run = Run.of(series=made, source="csv")
    group = next(g for g in identities.groups(run.series) if g.split == split)
    return repetition.repeated(group, run)


def what(**columns):
    found = told(**columns)
    return found.what if found else ""


def test_repetition_needs_digits_and_a_moving_loss():
    assert what(**ENTROPY) == "one class"
    assert what(**ENTROPY | {"accuracy": [79.81] * 6}) == "one class"
    assert not what(**ENTROPY | {"loss": [0.505] * 6}, train=np.full(12, 0.5))
    assert not what(**ENTROPY | {"loss": [0.56, 0.52, 0.49, 0.46, 0.44, 0.42]})  # less than any constant costs
    assert what(accuracy=[0.7981] * 6, train__acc=np.linspace(0.7, 0.9, 6).round(4)) == "one class"
    assert not what(accuracy=[0.85] * 5)  # 17 of 20 samples, again and again
    assert not what(accuracy=[0.9912] * 9)  # one error of 113
    assert not what(accuracy=[1.0] * 9)
    assert not what(accuracy=[0.7, 0.7981, 0.7981, 0.7981, 0.7981])
    assert what(f1=[0.6651] * 6) == "one class"
    assert what(mIoU=[0.4823] * 6) == "one class"


def test_flips():
    assert what(accuracy=[0.6214, 0.3786, 0.6214, 0.3786]) == "one class, or the other"
    assert not what(accuracy=[0.6214, 0.3786, 0.6214, 0.3786], train=np.full(12, 0.5))
    assert what(accuracy=[0.6214, 0.3786, 0.6214, 0.6214, 0.3786]) == "one class, or the other"


def test_a_score_that_varies_contradicts():
    auc = np.linspace(0.7, 0.9, 6)
    assert not what(**ENTROPY, auc=auc)
    assert not what(**ENTROPY, f1=np.linspace(0.1, 0.3, 6))
    assert what(**ENTROPY, auc=0.5 + 0.1 * (auc - 0.8)) == "one class"


def test_a_score_that_stands_and_rules_a_constant_out():
    assert not what(**ENTROPY, mcc=[0.41] * 6)
    assert not what(**ENTROPY, f1_macro=[0.7012] * 6)
    assert what(**ENTROPY, mcc=[0.0] * 6)
    assert what(**ENTROPY, f1_micro=[0.7981] * 6)


def test_scores_that_rank_nothing():
    assert what(auc=[0.5] * 4, mcc=[0.0, 0.0, 0.0012, 0]) == "one score for all"
    assert what(matthews_correlation=[0.0] * 4, loss=[0.612345678, 0.6212, 0.6198, 0.6201]) == "one class"
    assert what(matthews_correlation=[0.0] * 4, loss=[0.6181, 0.6202, 0.6198, 0.6201]) == "one class"
    coarse = {"auc": [0.5] * 4, "accuracy": [0.8] * 4, "loss": [0.7] * 4}
    assert not what(train=np.full(12, 0.7), **coarse)
    assert not what(matthews_correlation=[0.0, 0.4123, 0.51, 0.52])
    assert what(r2=[-0.001] * 5, rmse=[1.2345] * 5) == "the mean"
    assert not what(r2=[-0.001] * 5, rmse=[1.2345, 1.2, 1.21, 1.2, 1.2])


@pytest.mark.parametrize(("clamp", "digits"), [(16.1181, 4), (15.9424, 4), (100.0, 2)])
def test_a_loss_that_is_the_clamp_times_the_errors(clamp, digits):
    for share in (0.5, 0.1, 0.62):
        columns = {"accuracy": [share] * 4, "loss": [round(clamp * (1 - share), digits)] * 4}
        assert "the clamp of its logarithm" in what(train=np.full(4, 8.0), **columns)
    assert not what(accuracy=[0.5] * 4, loss=[round(0.9 * clamp * 0.5, digits)] * 4, train=np.full(4, 8.0))


def test_a_loss_that_is_the_entropy_of_the_share():
    loss, flat = np.round(0.6914 + 0.001 * np.random.default_rng(0).standard_normal(20), 4), np.full(20, 0.682)
    found = told(accuracy=[0.5298] * 20, loss=loss, train=flat)
    assert found.proven
    assert "0.6914" in found.what
    assert not what(accuracy=[0.5298] * 20, loss=loss - 0.1, train=flat)
    assert not what(accuracy=[0.5298] * 20, loss=np.full(20, 0.6914), train=flat)  # the weights do not move
    assert not what(accuracy=[0.55] * 20, loss=loss, train=flat)  # 11 of 20 samples
    eight = {"accuracy": [0.8017] * 20, "loss": loss - 0.6914 + 0.4981, "train": flat}
    assert "0.498" in what(epoch=np.arange(1, 21), **eight)
    assert not what(epoch=np.arange(100, 120), **eight)  # a calibrated model that has converged costs as much


def test_exactly_one_half_in_every_split():
    jumping = [1.3054, 1.0149, 0.7225, 0.7835, 1.112, 1.3536, 1.3649, 1.1435]
    half = {"accuracy": [0.5] * 8, "test__acc": [0.5] * 8, "train__acc": [0.5002] * 3 + [0.5] * 5}
    assert "guesses" in what(train=jumping, **half)
    assert "guesses" in what(train=np.full(8, 0.7), **half)
    assert not what(train=np.full(8, 0.7), accuracy=[0.5] * 8, train__acc=np.linspace(0.6, 0.8, 8).round(4))
    assert not what(train=jumping, accuracy=[0.5] * 8)  # printed with one digit


def test_a_share_that_accuracy_sank_to_while_the_loss_fell():
    accuracy = [0.7202, 0.7202, 0.7198, 0.7198, *[0.7188] * 11]
    loss = 0.61 + 0.35 * np.exp(-np.arange(15) / 4)
    found = told(accuracy=accuracy, loss=loss, train=loss)
    assert (found.what, found.first, found.count, found.proven) == ("one class", 5, 11, False)
    assert not what(accuracy=accuracy, loss=loss[::-1], train=loss)  # overfit: decisions settle, confidence grows
    assert not what(accuracy=accuracy, loss=loss, train=loss, train__accuracy=np.linspace(0.6, 0.95, 15).round(4))
    assert not what(accuracy=[0.6912, 0.7023, 0.7102, 0.7155, *[0.7188] * 11], loss=loss, train=loss)  # converged
    each_fourth = np.repeat([0.7402, 0.7198, 0.7102, 0.7088], 8)
    assert not what(accuracy=each_fourth, loss=1 / np.arange(1, 33), train=1 / np.arange(1, 33))


def test_a_record_that_begins_when_training_is_far_ahead():
    late = {**ENTROPY, "train__accuracy": [0.9912, 0.9931, 0.9934, 0.9941, 0.995, 0.9962]}
    assert not what(epoch=np.arange(40, 46), **late)
    assert what(epoch=np.arange(1, 7), **late)


@given(st.integers(0, 10_000), st.integers(4, 40), st.integers(10, 30))
@settings(max_examples=60, deadline=None)
def test_small_sets_that_stand_are_not_taken_for_constants(seed, evaluations, samples):
    hits = np.random.default_rng(seed).integers(samples // 2 + 1, samples)
    assert not what(accuracy=np.full(evaluations, round(hits / samples, 4)), loss=np.linspace(1, 0.5, evaluations))

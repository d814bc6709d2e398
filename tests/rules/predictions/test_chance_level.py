"""PRD009: pinned at ln k with a second sign; silent on losses that pass by, lie near or belong to something else."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from tocsin.engine import check_run, find_rule
from tocsin.run import Confusion, Evaluation, Run, Series

RULE = find_rule("PRD009")


def findings(series, **fields):
    return check_run(Run.of("r", series=series, source="csv", **fields), [RULE]).findings


def noise(n, sd, seed=0):
    return sd * np.random.default_rng(seed).standard_normal(n)


def test_two_classes_by_loss_and_accuracy_printed_to_four_digits():
    loss, accuracy = np.round(0.6932 + noise(20, 2e-4), 4), np.round(0.5 + noise(20, 0.008, 1), 4)
    (found,) = findings({"val/loss": loss, "val/accuracy": 100 * accuracy})
    assert (found.severity, found.subject) == ("error", "val/loss")
    assert "ln 2" in found.message
    assert "at 1/k" in found.message


def test_a_noisy_training_loss_alone_is_a_warning_and_a_known_k_an_error():
    loss = {"train/loss": math.log(2) + noise(2000, 0.05)}
    assert [f.severity for f in findings(loss)] == ["warning"]
    ten = {"train/loss": math.log(10) + noise(2000, 0.05)}
    assert [f.severity for f in findings(ten, config={"model": {"num_classes": 10}})] == ["error"]


def test_a_regression_without_skill():
    series = {"val/loss": 1.0 + noise(12, 0.004), "val/r2": noise(12, 0.004, 1)}
    assert "the mean of the target" in findings(series)[0].message


STEGANALYSIS = {"train/loss": 0.7213 + noise(8, 3e-4), "accuracy": 0.5024 + noise(8, 0.006, 2)}


def late(series, per=200):
    at = 51_200 + per * np.arange(8)
    return {
        k: Series.of(k, np.round(v, 4), step=at[: len(v)], epoch=1 + at[: len(v)] // 1000) for k, v in series.items()
    }


@pytest.mark.parametrize("scale", [1, 100])
def test_guesses_by_accuracy_beside_a_loss_above_the_level(scale):
    (found,) = findings(late(STEGANALYSIS | {"accuracy": scale * STEGANALYSIS["accuracy"]}))
    assert (found.severity, found.subject) == ("warning", "accuracy")
    assert "guesses among 2 classes" in found.message


@pytest.mark.parametrize(
    "series",
    [
        {"train/loss": 1.38 + noise(8, 0.01)},
        {"train/loss": 0.5 + noise(8, 0.01)},
        {"accuracy": 0.5 + noise(8, 0.03, 1)},
        {"accuracy": 0.515 + noise(8, 0.003, 1)},
        {"accuracy": np.linspace(0.49, 0.52, 8)},
        {"train/loss": np.linspace(0.75, 0.70, 8)},
        {"train/loss/d": 0.69 + noise(8, 0.01), "train/loss/g": 0.7 + noise(8, 0.01)},
    ],
    ids=["half of ten classes", "lower loss", "few samples", "a little skill", "rises", "loss falls", "adversarial"],
)
def test_neighbours_of_guesses_are_silent(series):
    assert not findings(late(STEGANALYSIS | series))
    assert not findings({k: v[:8] for k, v in STEGANALYSIS.items()})  # the first steps


E = np.arange(40.0)


@pytest.mark.parametrize(
    "series",
    [
        {"val/loss": 2.3 * np.exp(-E / 15) + 0.1},
        {"val/loss": np.where(E < 20, 0.693, 0.693 - 0.01 * (E - 20))},
        {"val/loss": 0.6931 + noise(40, 1e-3), "val/accuracy": 0.66 + noise(40, 5e-3, 1)},
        {"val/loss": 2.21 + noise(40, 0.02)},
        {"val/loss": 0.71 + noise(40, 1e-3)},
        {"train/loss": np.r_[np.linspace(10.8, 3.3, 60), 3.25 + noise(60, 0.1)]},
        {"val/loss": np.r_[0.69, 0.45, 0.5, 0.55, 0.6, 0.65, 0.693 + noise(14, 1e-3)]},
        {"val/loss": [0.693, 0.6931, 0.693]},
        {"val/loss": 1.0986 + noise(40, 0.03), "val/mae": 0.8 + noise(40, 0.01)},
    ],
    ids=["falls", "plateau first", "better", "no k", "beside", "language", "overfit", "short", "regression near ln 3"],
)
def test_neighbours_are_silent(series):
    assert not findings(series)


def evaluation(step, target, guess, k):
    dense = np.zeros((k, k), int)
    np.add.at(dense, (target, guess), 1)
    return Evaluation("val", "main", step, "classes", target.size, confusion=Confusion.of(dense))


@given(st.integers(2, 8), st.floats(0, 0.6), st.integers(0, 9999))
@settings(max_examples=40, deadline=None)
def test_recorded_predictions_ring_only_without_agreement(k, skill, seed):
    rng = np.random.default_rng(seed)
    target = rng.choice(k, 4000, p=rng.dirichlet(np.full(k, 5.0)))
    guesses = [np.where(rng.random(4000) < skill, target, rng.integers(0, k, 4000)) for _ in range(3)]
    run = Run.of(
        "r", evaluations=tuple(evaluation(i + 1, target, g, k) for i, g in enumerate(guesses)), exit="finished"
    )
    kappas = [cohen_kappa_score(target, g) for g in guesses]
    rung = bool(check_run(run, [RULE]).findings)
    assert not rung or max(kappas) < 0.08
    assert rung or max(np.abs(kappas)) > 0.005


def by_epoch(values):
    at = np.arange(1, len(values) + 1)
    return Series.of("", values, step=100 * at, epoch=at)


def test_a_few_values_that_are_ln_k_to_their_digits():
    (found,) = findings({"val/loss": by_epoch([2.3027, 2.3026, 2.3026]), "train/loss": by_epoch([2.31, 2.303, 2.303])})
    assert (found.severity, "ln 10" in found.message) == ("warning", True)
    assert not findings({"val/loss": by_epoch([2.3127, 2.3026, 2.2986])})
    assert not findings({"val/loss": by_epoch([2.9, 2.6, 2.3027, 2.3026, 2.3026])})  # it came down, and may go on
    assert findings({"train/loss": [6.91161, 6.90776, 6.90776, 6.90776, 6.90776]})
    assert not findings({"train/loss": [0.6931] * 8})  # preferences before the warm-up is over
    assert not findings({"train/loss": [6.90776] * 8, "lr/0": [0.0] * 8})


@settings(max_examples=40, deadline=None)
@given(st.floats(0.7, 6.0), st.integers(3, 12))
def test_digits_ring_only_within_their_limit(level, n):
    values = np.full(n, level).round(4)
    k = round(math.exp(values[0]))
    near = abs(values[0] - math.log(k)) <= 5e-4
    assert bool(findings({"val/loss": by_epoch(values)})) <= near or n >= 5


def test_a_squared_error_that_comes_down_to_one_quarter():
    fall = 0.25 + 0.7 * np.exp(-np.arange(60) / 4) + 1e-5
    (found,) = findings({"train/loss": fall})
    assert (found.severity, "1/4" in found.message) == ("warning", True)
    assert not findings({"train/loss": fall - 0.002})
    assert not findings({"train/loss": fall, "val/accuracy": np.linspace(0.5, 0.9, 60)})
    assert not findings({"train/loss": fall, "discriminator/loss": fall})


def test_error_rates_of_an_empty_transcript():
    stuck = {"train/loss": by_epoch(np.linspace(480, 450, 7)), "val/wer": by_epoch([1.0] * 7)}
    (found,) = findings(stuck | {"val/cer": by_epoch(np.linspace(0.72, 0.8, 7))})
    assert (found.severity, found.subject) == ("warning", "val/wer")
    assert not findings(stuck | {"val/cer": by_epoch(np.linspace(0.9, 0.6, 7))})
    assert not findings(stuck | {"train/loss": by_epoch(np.linspace(480, 150, 7))})
    assert not findings(stuck | {"val/wer": by_epoch([1.0] * 6 + [0.9])})
    late = Series.of("", [175.2, 172.7], step=[1000, 2000], epoch=[199, 200])
    assert findings({"train/wer": late, "val/loss": Series.of("", [150.8, 150.7], step=[1000, 2000])})


def test_a_task_pinned_beside_one_that_learns():
    learns = {"train/loss": by_epoch([2.1, 1.6, 1.4]), "train/loss/kind": by_epoch([0.7, 0.3, 0.1])}
    side = {"train/loss/side": by_epoch([0.69316, 0.69315, 0.69316]), "side_acc": by_epoch([0.0, 0.0, 0.0])}
    (found,) = findings(learns | side)
    assert (found.severity, found.subject) == ("warning", "train/loss/side")
    assert not findings(learns | {"train/loss/side": side["train/loss/side"]})  # no accuracy: any quantity


def recorded(loss, *, baseline=False, name="val/loss/main_ce"):
    """Three evaluations that always say the larger of two classes, beside a logged cross-entropy."""
    target = np.repeat([0, 1], [540, 60])
    evaluations = [evaluation(k, target, np.zeros(600, int), 2) for k in (1, 2, 3)]
    if baseline:
        evaluations.append(replace(evaluations[-1], baseline="prior"))
    run = Run.of(series={name: [loss] * 3}, evaluations=tuple(evaluations))
    return check_run(run, [RULE]).findings


def test_the_loss_of_the_best_constant_is_evidence_and_a_lower_one_acquits():
    best = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    (found,) = recorded(best)
    assert found.evidence[1].limit == pytest.approx(best)
    assert found.evidence[1].source == "val/loss/main_ce"
    assert not recorded(0.8 * best), "the decisions follow the prior, the scores do not"
    assert recorded(0.8 * best, name="val/loss/other"), "of no known kind"
    assert not recorded(best, baseline=True), "a baseline finds nothing either"


def memorised(losses, right, *, n=359, k=10, tasks=("main",)):
    """Labels that say nothing: decisions near chance, and a loss that leaves the entropy upwards."""
    target = np.arange(n) % k
    guess = np.where(np.arange(n) < right * n, target, (target + 1 + np.arange(n) % (k - 1)) % k)
    made = [replace(evaluation(i, target, guess, k), task=task) for i in range(1, len(losses) + 1) for task in tasks]
    series = {"val/loss": losses, "train/loss": np.linspace(2.3, 1.8, len(losses))}
    return check_run(Run.of(series=series, evaluations=tuple(made), exit="finished"), [RULE]).findings


def test_a_loss_above_the_class_frequencies_stands_beside_too_few_predictions():
    (found,) = memorised([2.31, 2.33, 2.39, 2.42, 2.43], 0.13)
    assert (found.severity, found.step) == ("warning", 3)
    assert found.message == (
        "val/main: accuracy 0.131 is what the margins alone give (0.1) in each of the last 3 evaluations (n = 359, "
        "99 % interval 0.0917 to 0.184), and val/loss is 2.43, above the 2.303 of a guess"
    )
    assert found.evidence[1].limit == pytest.approx(math.log(10), abs=1e-4)


@pytest.mark.parametrize(
    "healthy",
    [
        {"losses": [2.31, 2.33, 2.39, 2.42, 2.43], "right": 0.2},  # over-confident, and right twice as often as chance
        {"losses": [2.31, 2.33, 2.30, 2.29, 2.28], "right": 0.13},  # below the entropy
        {"losses": [7.31, 5.33, 4.39, 3.42, 3.43], "right": 0.13},  # no such cross-entropy
        {"losses": [2.31, 2.33, 2.39, 2.42, 2.43], "right": 0.13, "n": 80},
        {"losses": [2.31, 2.33, 2.39, 2.42, 2.43], "right": 0.13, "tasks": ("main", "other")},
    ],
)
def test_its_healthy_neighbours(healthy):
    assert memorised(**healthy) == []

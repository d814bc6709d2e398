"""EVL004: perfect at once; silent on easy tasks, fine-tuning and memorised training sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import real_curves
from tocsin.engine import check_run, find_rule
from tocsin.run import Event, Run, Series

RULE = find_rule("EVL004")


def epochs(values):
    return Series.of("", values, step=np.arange(1, len(values) + 1), epoch=np.arange(1, len(values) + 1))


def findings(**series):
    run = Run.of("r", series={k.replace("__", "/"): epochs(v) for k, v in series.items()}, source="csv")
    return check_run(run, [RULE]).findings


def test_solved_within_the_first_epoch():
    (found,) = findings(train__loss=[0.69, 0.01, 0.005], val__loss=[2e-5, 1e-5, 1e-5])
    assert (found.severity, found.step) == ("warning", 1)


def test_a_language_model_that_sees_its_labels():
    (found,) = findings(train__loss=[10.8, 4.0, 1.0, 0.05], val__loss=[9.0, 3.0, 0.5, 0.02])
    assert "are the labels visible" in found.message


def test_perfect_with_a_loss_far_below_training_is_a_warning_alone_a_note():
    score = [1.0] * 4
    (found,) = findings(train__loss=[1.2, 0.9, 0.8, 0.7], val__loss=[0.004, 0.003, 0.002, 0.002], val__accuracy=score)
    assert found.severity == "warning"
    (found,) = findings(train__loss=[1.2, 0.01, 0.008, 0.007], val__loss=[0.04, 0.03, 0.02, 0.02], val__accuracy=score)
    assert found.severity == "note"


def batches(steps=range(1, 42, 10), environment=None, **series):
    made = {k.replace("__", "/"): Series.of(k.replace("__", "/"), v, step=list(steps)) for k, v in series.items()}
    return check_run(Run.of("r", series=made, source="console", environment=environment or {}), [RULE]).findings


ONE_FOLDER = {"train__loss": [6.9085, 2.9971, 0.0, 0.0, 0.0], "acc1": [0.0, 100.0, 100.0, 100.0, 100.0]}


def test_one_class_among_the_first_batches():
    (found,) = batches(environment={"steps_per_epoch": 40_037}, **ONE_FOLDER)
    assert (found.severity, found.subject, found.step) == ("warning", "train/loss", 21)
    assert "falls from 6.909 to exactly 0 within 20 steps" in found.message
    assert not batches(environment={"steps_per_epoch": 100}, **ONE_FOLDER)  # most of an epoch
    assert not batches(range(1, 1002, 250), **ONE_FOLDER)  # later
    assert not batches(**ONE_FOLDER | {"train__loss": [0.69, 0.1, 0.0, 0.0, 0.0]})  # two separable classes
    assert not batches(**ONE_FOLDER | {"acc1": [0.0, 100.0, 99.0, 100.0, 100.0]})
    assert not batches(train__loss=ONE_FOLDER["train__loss"])


def test_a_loss_of_nothing():
    nothing = {"train__loss": [-6.43825e-20] * 5, "train__loss__bbox": [0.0] * 5, "train__loss__coverage": [0.0] * 5}
    (found,) = batches(**nothing)
    assert "its 2 terms are 0: no target reaches it" in found.message
    assert batches(train__loss=[-6.43825e-20] * 5)
    assert not batches(train__loss=[0.0] * 5)  # four digits of 4e-5
    assert not batches(train__loss=[0.0] * 5, reward=[0.1] * 5)  # one update a batch in policy gradients
    assert not batches(**nothing | {"train__loss__bbox": [0.1] * 5, "train__loss": [0.1] * 5})


@pytest.mark.parametrize(
    "series",
    [
        {"train__loss": [2.3, 0.3, 0.1], "val__loss": [0.071, 0.046, 0.04], "val__accuracy": [0.976, 0.985, 0.987]},
        {"train__loss": [0.02, 0.01, 0.01], "val__loss": [1e-7, 1e-7, 1e-7], "val__accuracy": [1.0, 1, 1]},
        {"train__loss": [2.3, 0.5, 0.1, 0.01], "val__loss": [0.9, 0.1, 1e-3, 1e-5], "val__accuracy": [0.7, 0.9, 1, 1]},
        {"train__loss": [10.8, 4.0, 1.0, 0.05], "val__loss": [9.0, 5.0, 5.5, 7.0]},
        {"train__loss": [4.6, 1.0, 0.05], "val__loss": [3.0, 0.5, 0.01]},
        {"train__loss": [1.5, 1.3, 1.2], "val__loss": [0.2, 0.15, 0.12], "val__accuracy": [0.95, 0.96, 0.97]},
    ],
    ids=["digits", "resumed", "slow", "memorised", "small vocabulary", "mixup"],
)
def test_neighbours_are_silent(series):
    assert not findings(**series)


@pytest.mark.parametrize("name", real_curves.HEALTHY)
def test_real_healthy_curves_are_silent(name):
    assert not check_run(real_curves.HEALTHY[name](), [RULE]).findings


@given(st.floats(0.3, 5), st.floats(1e-7, 1.0))
@settings(max_examples=50, deadline=None)
def test_the_first_evaluation_decides(begin, ratio):
    found = findings(train__loss=[begin] * 3, val__loss=[begin] + [ratio * begin] * 2)
    assert not found
    run = {
        "train/loss": Series.of("", [begin, 0.1], step=[1, 9]),
        "val/loss": Series.of("", [ratio * begin], [9], epoch=[1]),
    }
    rung = check_run(Run.of("r", series=run, source="csv"), [RULE]).findings
    assert bool(rung) == (ratio * begin <= 1e-4 * begin)


def test_boosting_that_is_perfect_after_two_rounds():
    def told(text):
        run = Run.of("r", series={"val/f1": [0.9]}, events=(Event("early-stop", text),), source="console")
        return [f.severity for f in check_run(run, [RULE]).findings]

    assert told("Early stopping, best iteration is: [2]\tvalid_0's auc: 1") == ["warning"]
    assert not told("Early stopping, best iteration is: [2]\tvalid_0's auc: 0.91")
    assert not told("Early stopping, best iteration is: [200]\tvalid_0's auc: 1")


def test_a_perfect_report_of_many_samples_is_a_note():
    def told(n, recall=1.0):
        series = {"test/recall/a": [1.0], "test/recall/b": [recall], "test/support/a": [n], "test/support/b": [n]}
        return [f.severity for f in check_run(Run.of("r", series=series, source="console"), [RULE]).findings]

    assert told(4000) == ["note"]
    assert not told(100)
    assert not told(4000, 0.99)

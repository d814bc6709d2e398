"""OBJ004: signs and sizes that a name forbids; silence on what may be negative or in percent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.run import Run

RULE = find_rule("OBJ004")
STEPS = np.arange(1.0, 61)
FALLING = 2 * np.exp(-STEPS / 20) + 0.3


def findings(series, **fields):
    return check_run(Run.of("r", series=series, source="csv", **fields), [RULE]).findings


def test_bce_with_targets_outside_its_range():
    (found,) = findings({"train/loss/bce": 0.7 - 1e9 * STEPS**3, "train/loss": FALLING})
    assert (found.severity, found.subject, found.step) == ("error", "train/loss/bce", 1)
    assert found.message == (
        "train/loss/bce is negative in 60 of 60 values since step 1, down to -2.16e+14: a cross-entropy cannot be"
    )


def test_the_configured_loss_names_the_total():
    for value in ("binary_crossentropy", "BCEWithLogitsLoss", "torch.nn.CrossEntropyLoss", "mse"):
        (found,) = findings({"train/loss": -STEPS / 10}, config={"train": {"criterion": value}})
        assert found.evidence[-1].source == "config:train.criterion"
    assert not findings({"train/loss": -STEPS / 60}, config={"loss": "bce_dice"})
    assert not findings({"train/loss": -STEPS / 60}, config={"loss": "nll"})


def test_a_plain_loss_without_a_floor():
    series = {"train/loss": 0.7 - STEPS**3, "val/accuracy": np.zeros(60)}
    (found,) = findings(series)
    assert "falls without end" in found.message
    assert not findings({"train/loss": 0.7 - STEPS**3})  # may be a density: it says nothing of classes
    assert findings({"train/loss": -(STEPS**6)})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("val/accuracy", [543.0, 560, 571]),
        ("val/f1", [-0.2, -0.1, 0.3]),
        ("val/r2", [0.5, 1.2, 1.3]),
        ("val/mcc", [120.0, 130.0]),
        ("val/ppl", [0.31, 0.28]),
        ("val/accuracy", [91.0, 0.912, 92.5, 0.931, 93.0]),
        ("val/mse", [-0.5, -0.7]),
        ("val/binary_crossentropy", [-3.0, -9.0]),
        ("train/loss/ctc", [-3.0, -9.0]),
        ("train/loss/kl", [-3.0, -9.0]),
    ],
)
def test_what_each_name_forbids(name, values):
    assert [f.subject for f in findings({name: values})] == [name]


def test_the_box_term_of_a_detector_is_known_by_its_company():
    terms = {"train/loss/box": [-0.234, -0.229], "train/loss/cls": [5.07, 4.97], "train/loss/dfl": [2.98, 2.97]}
    (found,) = findings(terms)
    assert (found.severity, found.subject) == ("warning", "train/loss/box")
    assert found.message.endswith("down to -0.234: an IoU loss cannot be")
    assert not findings({"train/loss/box": [-0.234, -0.229], "train/loss/nll": [5.07, 4.97]})


@pytest.mark.parametrize(
    "series",
    [
        {"train/loss": -FALLING * 1e4},
        {"train/loss": -1 + FALLING / 3, "val/dice": 1 - FALLING / 4},
        {"train/loss/nll": -STEPS, "train/loss/elbo": -STEPS, "train/loss/entropy": -FALLING},
        {"train/loss/g_hinge": -FALLING, "train/loss/gan": -STEPS, "train/loss/policy": -FALLING},
        {"train/loss/kl": -FALLING, "rollout/reward": STEPS},
        {"train/approx_kl": -FALLING, "train/loss/approx_kl": -FALLING},
        {"train/loss/ce": np.where(STEPS % 7 == 0, -1.2e-7, FALLING)},
        {"train/loss/ce": np.where(STEPS == 7, -3, FALLING)},
        {"val/accuracy": [0.5, 0.9, 1.2, 3.1, 12.0, 45.0]},
        {"val/accuracy": [71.0, 0.1, 0.1, 70.0]},
        {"val/mAP": [-1.0, -1.0, -1.0], "val/r2": [-3.0, 0.2, 0.9]},
        {"val/r2": [12.1, 13.0], "val/r1": [33.0, 34.0]},
        {"val/correlation": [88.1, 89.2], "val/ppl": [1.0, 1.0], "val/log_ppl": [0.3, 0.2]},
        {"val/neg_mse": [-3.0, -2.0], "val/accuracy_std": [-1.0, -2.0], "grad_acc_steps": [512, 512]},
        {"train/loss/ce": -FALLING, "val/accuracy": [-0.5, -0.7, -0.9]},
    ],
)
def test_neighbours_are_silent(series):
    assert not findings(series)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=30))
@settings(max_examples=60, deadline=None)
def test_a_named_loss_rings_exactly_when_two_values_are_below_zero(values):
    assert bool(findings({"train/loss/mse": values})) == (np.count_nonzero(np.array(values) < -1e-3) >= 2)


def test_a_share_of_many_hundred_percent_is_a_note():
    (finding,) = findings({"top1": [4913.3, 4990.0, 5069.5]})
    assert finding.severity == "note"
    (finding,) = findings({"val/accuracy": [97.0, 104.0, 106.0]})
    assert finding.severity == "warning"


def test_two_values_that_no_likelihood_reaches():
    (finding,) = findings({"train/loss": [-3.9e16, -6.4e16]})
    assert "no lower bound holds it" in finding.message
    assert findings({"train/loss": [-3.9e5, -6.4e5]}) == []
    assert findings({"train/loss": [-3.9e16, 2.0]}) == []

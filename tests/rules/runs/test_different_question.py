"""CMP002 different-question."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.runs.studies import findings, grid, scored, unlike
from tocsin.rules.runs.different_question import different_question as rule
from tocsin.run import Confusion, Evaluation, Run


def test_fewer_classes():
    (finding,) = findings(
        rule,
        scored("bounded", 62.79, "val/accuracy", num_classes=16, notes="5.7x better than full-range"),
        scored("full-range", 12.82, "val/accuracy", num_classes=9),
    )
    assert finding.message == (
        'bounded and full-range are compared ("5.7x better than full-range"), but they answer different questions '
        "(num_classes: 16 against 9); corrected for chance: val/accuracy 62.79 against 12.82 is 0.603 against 0.019: "
        "their raw scores cannot be compared"
    )
    assert finding.severity is None
    assert [e.source for e in finding.evidence] == ["config:notes", "config:num_classes"]


def test_recorded_label_spaces():
    def evaluated(name: str, classes: int, **config) -> Run:
        confusion = Confusion.of(np.eye(classes, dtype=int) * 9)
        last = Evaluation("val", "main", 9, "classes", 9 * classes, confusion=confusion)
        return Run.of(name, series={"val/accuracy": [0.5]}, evaluations=(last,), config=config)

    (finding,) = findings(rule, evaluated("b01", 4, notes="beats a01"), evaluated("a01", 9))
    assert "val/main: 4 against 9" in finding.message
    assert findings(rule, evaluated("b01", 4, notes="beats a01"), evaluated("a01", 4)) == []


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"dataset": "cifar10"}, {"dataset": "svhn"}),
        ({"data": {"snr_range": [0, 30]}}, {"data": {"snr_range": [-20, 30]}}),
        ({"fold": 1}, {"fold": 2}),
        ({"data": {"dataset_name": "a", "subset": "x"}}, {"data": {"dataset_name": "a", "subset": "y"}}),
        ({"score_metric": "f1_macro"}, {"score_metric": "f1_micro"}),
        ({"snr_classes": [1, 2, 3]}, {"snr_classes": [1, 2]}),
    ],
)
def test_what_makes_another_question(one, two):
    assert findings(rule, scored("b01", notes="better than a01", **one), scored("a01", **two))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"num_classes": 10, "lr": 1}, {"num_classes": 10, "lr": 2}),
        ({"split_seed": 1}, {"split_seed": 2}),
        ({"dataset": "cifar10"}, {}),  # not told is not different
        ({"class_weights": [1, 2]}, {"class_weights": [1, 3, 4]}),
        ({"label_smoothing": 0.1}, {"label_smoothing": 0.2}),
        ({"lora": {"target_modules": "q"}, "lr_range": 1}, {"lora": {"target_modules": "v"}, "lr_range": 2}),
        ({"augment": {"crop_range": [0, 1]}, "task_weight": 1}, {"augment": {"crop_range": [0, 2]}, "task_weight": 2}),
    ],
)
def test_silent_beside_it(one, two):
    assert findings(rule, scored("b01", notes="better than a01", **one), scored("a01", **two)) == []


def test_only_where_something_compares():
    assert findings(rule, *unlike()) == []
    assert findings(rule, *grid()) == []
    (finding,) = findings(rule, scored("b01", num_classes=3, sweep="s"), scored("a01", num_classes=4, sweep="s"))
    assert finding.severity == "note"


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 400), st.integers(2, 400), st.floats(0, 1), st.floats(0, 1))
def test_law_a_guess_is_worth_nothing_in_any_label_space(k, other, a, b):
    runs = [scored("b01", a, num_classes=k, notes="better than a01"), scored("a01", b, num_classes=other)]
    found = findings(rule, *runs)
    assert bool(found) == (k != other)
    guesses = [
        scored("b01", 1 / k, num_classes=k, notes="better than a01"),
        scored("a01", 1 / other, num_classes=other),
    ]
    assert all("is 0.000 against 0.000" in f.message.replace("-0.000", "0.000") for f in findings(rule, *guesses))

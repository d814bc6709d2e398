"""Names of metrics are understood, their print precision and scale found, and series joined by step, epoch or order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin import metrics
from tocsin.run import Series


@pytest.mark.parametrize(
    ("name", "measure", "average", "plain"),
    [
        ("val/accuracy", "accuracy", "", True),
        ("val/main/f1_macro", "f1", "macro", True),
        ("val/f1/weighted", "f1", "weighted", True),
        ("val/f1/LOC", "f1", "", False),
        ("val/LOC_f1", "f1", "", False),
        ("val/mAP50(B)", "map", "", True),
        ("val/mAP_s", "map", "", False),
        ("val/top5_acc", "accuracy", "", False),
        ("val/mean_iou", "iou", "", True),
        ("val/R2", "r2", "", True),
        ("accuracy", "accuracy", "", True),
        ("val/mIoU", "iou", "", True),
        ("val/Acc@1", "accuracy", "", True),
        ("val/prec@1", "accuracy", "", True),
        ("val/accuracy/top1", "accuracy", "", True),
        ("val/acc_top-1", "accuracy", "", True),
        ("val/top1", "accuracy", "", True),
        ("val/accu", "accuracy", "", True),
        ("val/acc@10", "accuracy", "", False),
        ("val/acc_1", "accuracy", "", False),
        ("val/precision_1", "precision", "", False),
        ("val/recall@1", "recall", "", False),
        ("val/r^2", "r2", "", True),
        ("val/matthews_correlation", "mcc", "", True),
    ],
)
def test_names(name, measure, average, plain):
    found = metrics.read(name)
    assert (found.measure, found.average, found.plain) == (measure, average, plain)


@pytest.mark.parametrize(
    "name", ["val/loss", "val/dice_loss", "grad_acc_steps", "val/accuracy_std", "val/neg_mse", "best_accuracy", "lr/0"]
)
def test_other_quantities_are_no_metrics(name):
    assert metrics.read(name) is None


@given(st.lists(st.integers(0, 10**4), min_size=1, max_size=20), st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_decimals_are_those_of_the_text(integers, digits):
    texts = [f"{i / 10**4:.{digits}f}" for i in integers]
    written = max(len(text.rstrip("0").partition(".")[2]) for text in texts)
    assert metrics.decimals([float(text) for text in texts]) == written


def test_scales():
    columns, error = metrics.fractions({"a": np.array([69.18, 71.0]), "zero": np.zeros(2), "b": np.array([0.5, 0.62])})
    assert np.allclose(columns["a"], [0.6918, 0.71])
    assert error == pytest.approx(0.005)  # the coarsest: b has two decimals as a fraction
    assert not metrics.is_percent([0.3, 1.0])
    assert not metrics.is_percent([500.0])


def test_series_are_joined_by_step_else_by_epoch_else_in_order():
    a = Series.of("a", [1, 2, 3], step=[10, 20, 30], epoch=[1, 2, 3])
    assert metrics.aligned(a, Series.of("b", [5, 6, 7], step=[20, 30, 30]))[1][1].tolist() == [5, 7]
    assert metrics.aligned(a, Series.of("b", [5, 6], step=[1, 3], epoch=[1, 3]))[1][0].tolist() == [1, 3]
    assert metrics.aligned(a, Series.of("b", [5, 6, 7], step=[1, 2, 3]))[1][1].tolist() == [5, 6, 7]
    assert metrics.aligned(a, Series.of("b", [5, 6], step=[1, 2]))[0].size == 0

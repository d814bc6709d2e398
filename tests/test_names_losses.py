"""Which series is the loss of an evaluation, and which way a metric improves."""

from __future__ import annotations

import pytest

from tocsin.names import direction, eval_losses


def test_the_main_loss_comes_first_and_components_are_left_out():
    recorded = ["train/loss", "test/loss", "g0/loss", "val/loss/box", "eval/loss", "val/loss", "val/f1", "loss"]
    assert eval_losses(recorded) == ["val/loss", "eval/loss", "g0/loss", "test/loss"]
    assert eval_losses(["train/loss", "train/loss/a"]) == []


@pytest.mark.parametrize(
    ("metric", "sign"),
    [
        ("val/f1_macro", 1),
        ("val/snr/accuracy", 1),
        ("val/rmse_db", -1),
        ("val/loss", -1),
        ("val/count", 0),
        ("val/Top1-Acc", 1),
        ("val/error_f1", 0),
        ("acc/value", 0),
        ("", 0),
    ],
)
def test_direction_is_said_by_the_last_part(metric, sign):
    assert direction(metric) == sign

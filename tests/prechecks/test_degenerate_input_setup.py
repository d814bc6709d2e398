"""DAT006 before the run."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from tocsin import preflight
from tocsin.prechecks.targets import constant_columns, only_value, unknown_classes

DIGITS, LABELS = (torch.tensor(part) for part in load_digits(return_X_y=True))
DIGITS = DIGITS.float()


class Filled(nn.Module):
    def __init__(self, entries):
        super().__init__()
        self.last = nn.Linear(entries, 1)

    def forward(self, x, *masks):
        return self.last(torch.nan_to_num(x).flatten(1))


def judged(x, y, val=None, model=None, losses=None, predict=True, size=50):
    model = model or nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 1))
    pairs = [list(zip(a.split(size), b.split(size), strict=True)) for a, b in ((x, y), *([val] if val else []))]
    return preflight(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), 1e-6),
        losses=losses or (lambda m, b: m(b[0]).square().mean()),
        predict=(lambda m, b: (b[1], m(b[0]))) if predict else None,
        train=pairs[0],
        val=pairs[1] if val else None,
        select=["DAT006"],
    )


def degenerate(*given, **how):
    return {f.subject: f for f in judged(*given, **how).findings}


@pytest.mark.parametrize("seed", range(5))
def test_digits_are_silent(seed):
    at = torch.randperm(len(DIGITS), generator=torch.Generator().manual_seed(seed))
    x, y = DIGITS[at], LABELS[at]
    assert not degenerate(x[:1200], y[:1200], (x[1200:], y[1200:]))


def test_nan_that_reaches_the_loss_is_an_error():
    x = DIGITS[:300].clone()
    x[7, 3] = torch.nan
    found = degenerate(x, LABELS[:300])["nonfinite/train"]
    assert found.severity == "error"
    assert found.message == (
        "1 of 300 training samples (0.3%) have entries that are NaN or infinite; the loss is not finite"
    )


def test_nan_that_the_model_takes_for_missing_is_a_note():
    x = DIGITS[:300].clone()
    x[::5, 3] = torch.nan
    assert degenerate(x, LABELS[:300], model=Filled(64))["nonfinite/train"].severity == "note"


def test_nan_behind_the_first_batches_is_a_warning():
    x = DIGITS[:600].clone()
    x[590, 3] = torch.inf
    found = degenerate(x, LABELS[:600])["nonfinite/train"]
    assert found.severity == "warning"
    assert found.message.endswith("none in the first batches")


def test_masks_of_minus_infinity_are_silent():
    mask = torch.where(torch.rand(50, 8, generator=torch.Generator().manual_seed(0)) < 0.2, -torch.inf, 0.0)
    found = degenerate(DIGITS[:300], LABELS[:300], model=Filled(64), losses=lambda m, b: m(b[0], mask).mean())
    assert not found


def test_the_same_sample_all_over_a_batch_rings():
    x = torch.randn(6, 64, generator=torch.Generator().manual_seed(0)).repeat_interleave(50, dim=0)
    found = degenerate(x, LABELS[:300])
    assert found["constant/train"].severity == "warning"
    assert found["constant/train"].message == (
        "all training samples of a batch are the same, in each of 6 batches (300 samples)"
    )
    x[0] = DIGITS[9]
    assert not degenerate(x, LABELS[:300])


def test_batches_of_one_sample_are_not_alike():
    assert not degenerate(DIGITS[:60], LABELS[:60], size=1)


def test_features_that_do_not_vary_are_a_note():
    x = torch.cat([DIGITS[:200], torch.zeros(200, 64)], dim=1)
    found = degenerate(x, LABELS[:200])["constant/train"]
    assert found.severity == "note"
    assert found.message.endswith("of the input's features do not vary among 200 training samples")


def test_a_constant_channel_is_a_note():
    x = DIGITS[:200].reshape(-1, 1, 8, 8).repeat(1, 4, 1, 1) + torch.randn(200, 4, 8, 8)
    x[:, 3] = 255.0
    found = degenerate(x, LABELS[:200])["constant/train"]
    assert found.message == (
        "25% of the input's features do not vary among 200 training samples; channels 3 throughout"
    )


@pytest.mark.parametrize("y", [torch.zeros(200), torch.full((200,), torch.nan), torch.full((200, 8), -100)])
def test_one_target_rings(y):
    x = DIGITS[:200]
    found = degenerate(x, y)["train/main"]
    assert found.severity == "warning"
    assert degenerate(x, LABELS[:200], (x, y))["val/main"].severity == "warning"


def test_one_class_of_training_beside_others_may_be_meant():
    found = degenerate(DIGITS[:200], torch.zeros(200).long(), (DIGITS[:200], (LABELS[:200] > 4).long()))
    assert found["train/main"].severity == "note"
    assert found["train/main"].message == "all 200 training targets of main are 0"


def test_a_constant_component_is_a_note():
    y = torch.randn(200, 3)
    y[:, 1] = 0.5
    found = degenerate(DIGITS[:200], y)["train/main"]
    assert found.severity == "note"
    assert found.message == "1 of 3 components of the training targets of main are constant in 200 samples: 1"


def test_nan_targets_ring_where_they_reach_the_loss():
    y = torch.randn(200)
    y[::7] = torch.nan
    plain = degenerate(DIGITS[:200], y, losses=lambda m, b: (m(b[0])[:, 0] - b[1]).square().mean())
    assert plain["train/main"].severity == "error"
    left = degenerate(DIGITS[:200], y, losses=lambda m, b: (m(b[0])[:, 0] - b[1]).square().nanmean())
    assert not left


def test_classes_that_training_lacks():
    few = LABELS < 8
    found = degenerate(DIGITS[few], LABELS[few], (DIGITS, LABELS))["classes/main"]
    assert found.severity == "warning"
    assert found.message == (
        "354 of 1797 evaluation targets of main (19.7%) are of 2 classes that none of the 1443 training samples has: "
        "8, 9"
    )
    rare = torch.cat([torch.nonzero(few)[:, 0], torch.nonzero(~few)[:3, 0]])
    assert degenerate(DIGITS[few], LABELS[few], (DIGITS[rare], LABELS[rare]))["classes/main"].severity == "note"
    apart = degenerate(DIGITS[few], LABELS[few], (DIGITS[~few], LABELS[~few]))["classes/main"]
    assert apart.severity == "note"
    assert apart.message.endswith("the splits share no class")


def test_without_predict_the_targets_are_not_checked():
    report = judged(DIGITS[:200], torch.zeros(200), predict=False)
    assert not report.findings
    assert "predict" in report.not_checked[0].reason


def test_few_samples_may_be_alike():
    assert not degenerate(torch.randn(10, 8), torch.zeros(10))


def test_parts():
    assert only_value(torch.zeros(0)) is None
    assert only_value(torch.tensor([True, True])) == 1
    assert constant_columns(torch.zeros(3, 4)) == []
    assert unknown_classes(torch.tensor([0, 1]), torch.tensor([0.0, 2.0])) is None

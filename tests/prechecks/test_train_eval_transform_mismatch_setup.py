"""DAT004 before the run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats as reference
from sklearn.datasets import load_digits, load_wine
from torch import nn

from tocsin import SetupError, preflight
from tocsin.prechecks import drift

DIGITS = torch.tensor(load_digits().data, dtype=torch.float32).reshape(-1, 1, 8, 8)


def scored(x):
    return (x - x.mean()) / x.std()


def as_bytes(x):
    """What astype(uint8) makes of signed values."""
    return x.trunc().to(torch.int64).remainder(256).float()


def mismatch(train, held=None, views=None):
    model = nn.Sequential(nn.Flatten(), nn.Linear(train[0].numel(), 1))
    return preflight(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), 0.1),
        losses=lambda m, b: m(b.float()).mean(),
        train=train.split(64),
        val=held.split(64) if held is not None else None,
        views=views,
        select=["DAT004"],
    )


def checked(*given, **parts):
    return list(mismatch(*given, **parts).findings)


def halves(x, seed=0):
    at = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return x[at[::2]], x[at[1::2]]


@pytest.mark.parametrize("seed", range(5))
def test_two_halves_are_silent(seed):
    assert not checked(*halves(scored(DIGITS), seed))
    wine = torch.tensor(load_wine().data, dtype=torch.float32)
    assert not checked(*halves(wine, seed))
    heavy = torch.tensor(np.random.default_rng(seed).standard_cauchy((400, 6)), dtype=torch.float32)
    assert not checked(*halves(heavy, seed))


def test_an_evaluation_without_the_scaling_rings():
    a, b = halves(DIGITS)
    (found,) = checked(a / 16, b)
    assert found.severity == "warning"
    assert found.message == (
        "the inputs of the evaluation have mean 4.9 and sd 6.03, of training mean 0.304 and sd 0.375: the sds differ "
        "by a factor 16.1 (99.9 % interval 15.9 to 16.2); 898 of 898 samples lie far beyond [0, 1], all that "
        "training has"
    )


@pytest.mark.parametrize("seed", range(3))
def test_scores_cast_to_unsigned_bytes_are_an_error(seed):
    a, b = halves(torch.randn(400, 1, 8, 8, generator=torch.Generator().manual_seed(seed)))
    for train, held, which in ((a, as_bytes(b), "the evaluation's"), (as_bytes(a) / 255, b, "training's")):
        (found,) = checked(train, held)
        assert found.severity == "error"
        assert f"{which} are the other's cast to unsigned bytes: 255 stands for -1" in found.message


def test_images_in_black_and_white_are_no_wrap():
    page = 255 * (torch.rand(400, 1, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.2).float()
    grey = page + 2 * torch.randn(page.shape, generator=torch.Generator().manual_seed(1))
    assert not drift.wrapped(page, scored(grey))
    assert not drift.wrapped(grey.clamp(0, 255).round(), grey)
    assert not drift.wrapped(DIGITS, scored(DIGITS) + 0.01 * torch.randn(DIGITS.shape))


def test_augmentation_and_balanced_sampling_are_silent():
    made = torch.Generator().manual_seed(0)
    a, b = halves(scored(DIGITS))
    dark = a * (0.6 + 0.8 * torch.rand(len(a), 1, 1, 1, generator=made))
    masked = a * (torch.rand(a.shape, generator=made) < 0.25)
    noisy = a + 0.5 * torch.randn(a.shape, generator=made)
    for train in (dark, masked, noisy, a.roll(2, -1)):
        assert not checked(train, b)
    rare = torch.cat([torch.randn(180, 4, generator=made), 6 + torch.randn(20, 4, generator=made)])
    balanced = torch.cat([torch.randn(100, 4, generator=made), 6 + torch.randn(100, 4, generator=made)])
    assert not checked(balanced, rare)


def test_one_column_on_another_scale_is_a_note_and_most_columns_are_a_warning():
    wine = torch.tensor(load_wine().data, dtype=torch.float32)
    wine = (wine - wine.mean(dim=0)) / wine.std(dim=0)
    a, b = halves(wine)
    one, most = b.clone(), b.clone()
    one[:, 3] += 3
    most[:, ::2] = 0.05 * most[:, ::2] + 1.5
    (found,) = checked(a, one)
    assert found.severity == "note"
    assert found.message.startswith("1 of 13 features of the evaluation differ from training (3); of 3 the means are")
    (found,) = checked(a, most)
    assert found.severity == "warning"


def test_channels_are_compared_each():
    made = torch.Generator().manual_seed(0)
    x = torch.randn(300, 3, 8, 8, generator=made) + torch.tensor([-2.0, 0.0, 2.0])[:, None, None]
    a, b = halves(x)
    assert not checked(a, b)
    (found,) = checked(a, b.flip(1))  # colours in another order
    assert "2 of 3 channels of the evaluation differ" in found.message
    assert found.severity == "warning"


def test_views_of_the_same_samples():
    x = scored(DIGITS[:400])
    made = torch.Generator().manual_seed(0)
    same = {
        "alike": lambda b: (b, b),
        "scaled": lambda b: (b, 1.5 * b + 0.2),
        "mirrored": lambda b: (b.flip(-1), b),
        "noisy": lambda b: (b + 0.2 * torch.randn(b.shape, generator=made), b),
    }
    for name, views in same.items():
        assert not checked(x, views=views), name
    (found,) = checked(x, views=lambda b: (as_bytes(3 * b), b))[:1]
    assert found.severity in ("warning", "error")
    (found,) = checked(x, views=lambda b: (b.roll(3, -1), b))
    assert found.severity == "note"
    assert found.message.startswith("400 samples as training sees them and as the evaluation sees them correlate")
    assert found.message.endswith("sorted, their values do with 1.000: moved, not changed")


def test_scrambled_views_ring():
    x = torch.randn(256, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = checked(x, views=lambda b: (as_bytes(b), b))
    assert {f.severity for f in found} == {"warning", "error"}
    assert "correlate with r = " in next(f.message for f in found if f.severity == "warning")


def test_views_of_another_size_are_compared_by_their_values():
    x = torch.randn(128, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert not checked(x, views=lambda b: (b[..., 1:7, 1:7], b))


def test_views_that_are_none_are_the_users_mistake():
    x = torch.randn(128, 1, 8, 8)
    for views in (lambda b: b.missing, lambda b: b, lambda b: (b, b[:3]), lambda b: (b, 1.0)):
        with pytest.raises(SetupError, match="views"):
            checked(x, views=views)


def test_nothing_can_be_said_without_samples():
    x = torch.randn(100, 8)
    for given in ((x, None), (x, x[:5]), (x, torch.full((100, 8), torch.nan))):
        report = mismatch(*given)
        assert not report.findings
        assert {n.code for n in report.not_checked} == {"DAT004"}


def test_constant_inputs_do_no_harm():
    assert not checked(torch.zeros(100, 8), torch.zeros(100, 8))
    assert not checked(torch.zeros(100, 8), torch.randn(100, 8))


def test_intervals_are_those_of_welch():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (500, 1)), rng.normal(3, 2, (800, 1))
    found = drift.moments(torch.tensor(a)[:, :, None]), drift.moments(torch.tensor(b)[:, :, None])
    (one,) = [d for d in drift.drifts(*found, 1.0, 3.0, confidence=0.95) if d.moment == "mean"]
    interval = reference.ttest_ind(b[:, 0], a[:, 0], equal_var=False).confidence_interval(0.975)
    sd = b.std()
    assert one.low * sd == pytest.approx(interval.low, rel=0.01)
    assert one.high * sd == pytest.approx(interval.high, rel=0.01)

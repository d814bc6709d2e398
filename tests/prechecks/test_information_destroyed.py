"""DAT005: preprocessing that takes the answer away, and preprocessing that does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from prechecks.probe_setups import batches, found, setup

N, D = 400, 16


def _level(seed):
    """Samples whose brightness is the answer."""
    random = np.random.default_rng(seed)
    y = random.uniform(1, 5, N)
    return y[:, None] + random.standard_normal((N, D)), y


def _amplitude(seed):
    random = np.random.default_rng(seed)
    y = random.uniform(1, 5, N)
    return y[:, None] * random.standard_normal((N, D)), y


def _alone(x):
    return (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)


def _setup(raw, x, y, **parts):
    train = batches(N, x=x, raw=raw, y=y)
    return setup(train, raw=lambda batch: batch["raw"], **parts)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("made", [_level, _amplitude])
def test_samples_standardised_one_by_one(made, seed):
    raw, y = made(seed)
    (finding,), _ = found("DAT005", _setup(raw, _alone(raw), y))
    assert finding.severity == "warning"
    assert finding.evidence[0].value > 0.5
    assert finding.evidence[1].value < 0.2
    assert finding.evidence[1].interval[0] > 0.3


def test_classes_and_the_message():
    raw, y = _level(0)
    (finding,), _ = found("DAT005", _setup(raw, _alone(raw), (y > 3).astype(int)))
    assert finding.message == (
        "a cheap probe predicts main from the raw samples with a skill of 0.86, from what goes into the model with "
        "0.05 (1 knows all, 0 is chance among 2 classes): preprocessing loses 0.81 [0.70, 0.92] over 400 held-out "
        "samples"
    )
    assert finding.name == "information-destroyed"


def _rotated(x):
    return x @ np.linalg.qr(np.random.default_rng(5).standard_normal((D, D)))[0]


HEALTHY = {
    "as it is": lambda x: x,
    "standardised by the set": lambda x: (x - x.mean(0)) / x.std(0),
    "rotated": _rotated,
    "logarithm": lambda x: np.log(x - x.min() + 0.1),
    "decibels": lambda x: 10 * np.log10(x - x.min() + 0.1),
    "exponential": lambda x: np.exp(x / 2),
    "half": lambda x: x.astype(np.float16),
    "bytes": lambda x: (255 * (x - x.min()) / np.ptp(x)).astype(np.uint8),
}


@pytest.mark.parametrize("made", [_level, _amplitude])
@pytest.mark.parametrize("how", HEALTHY)
def test_silent_where_nothing_is_lost(how, made):
    raw, y = made(1)
    assert found("DAT005", _setup(raw, HEALTHY[how](raw), y)) == ([], [])


@pytest.mark.parametrize("seed", range(3))
def test_silent_where_preprocessing_makes_it_better(seed):
    raw, y = _level(seed)
    hidden = raw * np.random.default_rng(seed).uniform(0.01, 100, (N, 1))
    assert found("DAT005", _setup(hidden, raw, y))[0] == []


@pytest.mark.parametrize("seed", range(5))
def test_a_target_that_neither_predicts_is_not_checked(seed):
    raw, _ = _level(seed)
    y = np.random.default_rng(seed + 50).integers(0, 3, N)
    assert found("DAT005", _setup(raw, _alone(raw), y)) == ([], ["the probe predicts no target from the raw samples"])


def test_silent_where_only_the_training_samples_lose_it():
    raw, y = _level(2)
    val = batches(N, x=raw, raw=raw, y=y)
    assert found("DAT005", _setup(raw, _alone(raw), y, val=val))[0] == []
    val = batches(N, x=_alone(raw), raw=raw, y=y)
    assert len(found("DAT005", _setup(raw, _alone(raw), y, val=val))[0]) == 1


def test_codes_and_few_samples_are_not_checked():
    raw, y = _level(0)
    assert "codes" in found("DAT005", _setup(raw, torch.ones(N, D, dtype=torch.int64), y))[1][0]
    few = setup(batches(60, x=raw[:60], raw=raw[:60], y=y[:60]), raw=lambda batch: batch["raw"])
    assert found("DAT005", few)[1] == ["needs 100 samples with targets"]


def test_odd_numbers_do_not_crash():
    raw, y = _level(0)
    raw[3], raw[7, 2], y[5] = np.nan, np.inf, np.nan
    assert len(found("DAT005", _setup(raw, np.zeros((N, D)), y))[0]) == 1
    assert found("DAT005", _setup(np.full((N, D), np.nan), raw, y))[0] == []

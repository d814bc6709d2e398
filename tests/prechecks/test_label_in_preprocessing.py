"""DAT008: padding and grey steps that tell the label, and samples whose marks tell nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from prechecks.probe_setups import batches, found, setup
from tocsin.prechecks.traces import padding, steps

N, D = 300, 64


def _labels(seed, classes=3):
    return np.random.default_rng(seed).integers(0, classes, N)


def _padded(length, seed):
    x = np.random.default_rng(seed + 1).standard_normal((N, D))
    return np.where(np.arange(D) < length[:, None], x, 0)


def _counts(mean, seed):
    return np.random.default_rng(seed + 1).poisson(mean[:, None], (N, D)).astype(float)


def _alone(x):
    return (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)


def _setup(x, y):
    return setup(batches(N, x=torch.as_tensor(x, dtype=torch.float32), y=y))


@pytest.mark.parametrize("seed", range(4))
def test_padding_that_tells(seed):
    y = _labels(seed)
    length = 40 + 8 * y + np.random.default_rng(seed + 7).integers(0, 8, N)
    (finding,), _ = found("DAT008", _setup(_padded(length, seed), y))
    assert (finding.subject, finding.severity) == ("padding", "warning")
    assert finding.evidence[0].value > 0.9


def test_lengths_that_tell_a_little_are_a_note():
    y = _labels(0)
    length = 8 + 6 * y + np.random.default_rng(7).integers(0, 40, N)
    (finding,), _ = found("DAT008", _setup(_padded(length, 0), y))
    assert finding.severity == "note"


@pytest.mark.parametrize("seed", range(4))
def test_the_grey_step_of_counts_that_were_standardised_one_by_one(seed):
    y = _labels(seed)
    (finding,), _ = found("DAT008", _setup(_alone(_counts(20.0 * 2**y, seed)), y))
    assert (finding.subject, finding.severity) == ("step", "warning")
    assert finding.evidence[0].interval[0] > 0.3


def test_counts_scaled_batch_by_batch_show_the_scale_of_the_batch():
    y = np.repeat(_labels(0, 2)[:30], 10)
    x = _counts(10.0 + 30 * y, 0).reshape(30, -1)
    (finding,), _ = found("DAT008", _setup((x / x.max(1, keepdims=True)).reshape(N, D), y))
    assert finding.message == (
        "the step between neighbouring values, which scaling sample by sample leaves behind, alone predicts main with "
        "a skill of 1.00 [1.00, 1.00] on 300 held-out samples (1 knows all, 0 is chance among 2 classes)"
    )


def _as_bytes(x, largest):
    """Logarithms of counts as bytes, white at the largest count."""
    return np.floor(255 * np.log1p(x) / np.log1p(largest)) / 255


@pytest.mark.parametrize("seed", range(3))
def test_logarithms_of_counts_as_bytes_show_the_largest_count_of_their_file(seed):
    y, random = _labels(seed), np.random.default_rng(seed)
    x = _counts(np.full(N, 1.5), seed)
    largest = random.integers(20, 60, N) * 2.0**y
    (finding,), _ = found("DAT008", _setup(_as_bytes(x, largest[:, None]), y))
    assert finding.subject == "step"
    assert finding.evidence[0].interval[0] > 0.2
    assert found("DAT008", _setup(_as_bytes(x, 64), y)) == ([], [])
    assert found("DAT008", _setup(np.log1p(_counts(1.0 + y, seed)), y)) == ([], [])


@pytest.mark.parametrize("seed", range(6))
def test_silent_on_lengths_and_scales_that_tell_nothing(seed):
    y, random = _labels(seed), np.random.default_rng(seed + 9)
    assert found("DAT008", _setup(_padded(random.integers(20, D, N), seed), y)) == ([], [])
    x = _counts(random.uniform(20, 200, N), seed)
    assert found("DAT008", _setup(_alone(x), y)) == ([], [])


def _brightness(y, seed):
    """Bytes whose level and contrast hang on the label: measured, not made."""
    return np.round(_counts(20.0 * 2**y, seed).clip(0, 255)) / 255


def _pictures(y, seed):
    """Strokes on exact black, more of them for a higher class, as in MNIST."""
    x = np.zeros((N, 8, 8))
    random = np.random.default_rng(seed)
    for picture, label in zip(x, y, strict=True):
        picture[2:6, 3 - label : 5 + label] = random.random((4, 2 + 2 * label)) > 0.3
    return x


HEALTHY = {
    "bytes": _brightness,
    "pictures on black": _pictures,
    "loud and soft": lambda y, seed: np.random.default_rng(seed).standard_normal((N, D)) * 2.0 ** y[:, None],
    "sparse": lambda y, seed: np.random.default_rng(seed).standard_normal((N, D)) * (
        np.random.default_rng(seed).random((N, D)) < 0.1 + 0.1 * y[:, None]
    ),
    "counts standardised by the set": lambda y, seed: (_counts(20.0 * 2**y, seed) - 40) / 20,
    "few columns": lambda y, seed: np.round(np.random.default_rng(seed).standard_normal((N, 5)) + y[:, None]),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", HEALTHY)
def test_silent_on_what_was_measured(kind, seed):
    y = _labels(seed)
    assert found("DAT008", _setup(HEALTHY[kind](y, seed), y)) == ([], [])


def test_steps_are_those_that_were_made():
    random = np.random.default_rng(0)
    made = random.uniform(0.01, 10, 50)
    x = random.integers(0, 30, (50, D)) * made[:, None] - 3
    assert np.allclose(np.exp(steps(torch.from_numpy(x))[:, 0]), made, rtol=1e-3)
    assert steps(torch.from_numpy(random.standard_normal((50, D)))) is None
    x = np.log1p(random.integers(0, 12, (50, D))) * made[:, None] - 3
    assert np.allclose(np.exp(steps(torch.from_numpy(x))[:, 0]), made * np.log(2), rtol=1e-3)
    assert steps(torch.from_numpy(random.integers(0, 12, (50, D)) ** 1.5 * made[:, None])) is None
    assert steps(torch.ones(50, D)) is None
    assert steps(torch.full((50, D), torch.nan)) is None


def test_padding_is_counted_at_both_ends_of_every_channel():
    x = torch.rand(40, 2, D) + 1
    x[:20, :, :8] = 0
    x[:20, :, 60:] = 0
    x[20:, 0] = 0
    assert (padding(x)[:20] == [8 / D, 4 / D]).all()
    assert (padding(x)[20:] == 0).all()
    assert padding(torch.zeros(40, D)) is not None
    assert padding(torch.rand(40, D)) is None


def test_codes_and_few_samples():
    assert found("DAT008", setup(batches(N, x=np.ones((N, D), int), y=_labels(0)))) == ([], [])
    assert found("DAT008", setup(batches(50, x=np.ones((50, D)), y=_labels(0)[:50])))[1] == [
        "needs 100 samples with targets"
    ]

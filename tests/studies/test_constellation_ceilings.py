"""Bounds against closed forms and quadrature, and the receiver that knows everything."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate

from tocsin.studies.constellation.ceilings import matched_filter
from tocsin.studies.constellation.ceilings.bounds import blind_sd_db, class_accuracy, data_aided_sd_db
from tocsin.studies.constellation.config import Data
from tocsin.studies.constellation.data.generated import SPLITS, Frames

LEVELS = tuple(range(0, 32, 2))


def test_known_symbols_are_the_specifications_numbers():
    assert data_aided_sd_db(0, 1024) == pytest.approx(0.235, abs=5e-4)
    assert data_aided_sd_db(30, 128) == pytest.approx(0.384, abs=5e-4)


def test_blind_bpsk_is_the_closed_form():
    """The information by quadrature: of the in-phase part by its density, of the other by its power."""
    rho = 10 ** (2 / 10)

    def density(x, a, v):  # the in-phase part alone tells a; v / 2 is its noise power
        return sum(math.exp(-((x - s * a) ** 2) / v) for s in (-1, 1)) / (2 * math.sqrt(math.pi * v))

    def gradient(x, a, v):
        h = 1e-5
        of_a = density(x, a + h, v) - density(x, a - h, v)
        of_v = density(x, a, v + h) - density(x, a, v - h)
        return np.array([of_a, of_v]) / (2 * h)

    v = 1 / rho
    information = np.zeros((2, 2))
    for i in range(2):
        for j in range(2):
            information[i, j] = integrate.quad(
                lambda x, i=i, j=j: gradient(x, 1, v)[i] * gradient(x, 1, v)[j] / density(x, 1, v), -6, 6, limit=200
            )[0]
    information[1, 1] += 1 / (2 * v * v)  # the quadrature part is noise alone
    slope = np.array([2, -1 / v])
    expected = 10 / math.log(10) * math.sqrt(slope @ np.linalg.inv(information * 1024) @ slope)
    assert blind_sd_db("BPSK", 2, 1024, draws=100_000) == pytest.approx(expected, rel=0.02)


def test_blind_is_never_better_than_aided_and_meets_it_where_symbols_are_plain():
    for name in ("QPSK", "16QAM", "256QAM"):
        assert blind_sd_db(name, 10, 128) > 0.98 * data_aided_sd_db(10, 128)
    assert blind_sd_db("QPSK", 30, 128) == pytest.approx(data_aided_sd_db(30, 128), rel=0.03)


def test_mean_accuracies_are_the_specifications():
    """N = 128: BPSK .97, 64QAM .71, as measured for the design."""
    for name, expected in (("BPSK", 0.97), ("64QAM", 0.71)):
        sd = [blind_sd_db(name, db, 128, draws=4000) for db in LEVELS]
        assert class_accuracy(sd, LEVELS).mean() == pytest.approx(expected, abs=0.015)


def test_class_accuracy_is_that_of_rounding():
    rng = np.random.default_rng(0)
    levels, sd = np.array([0.0, 2.0, 6.0]), np.array([1.0, 0.5, 3.0])
    said = levels[:, None] + sd[:, None] * rng.normal(size=(3, 100_000))
    nearest = np.abs(said[:, :, None] - levels).argmin(2)
    np.testing.assert_allclose(class_accuracy(sd, levels), (nearest == np.arange(3)[:, None]).mean(1), atol=5e-3)
    with pytest.raises(ValueError, match="increasing levels"):
        class_accuracy([1, 1], [2, 0])


def cells(frames, snr, per_class):
    count = len(frames.data.modulations)
    modulation = torch.arange(count).repeat_interleave(per_class)
    return modulation, torch.full_like(modulation, snr), torch.arange(per_class).repeat(count) + SPLITS["test"]


def test_a_perfect_receiver_recovers_the_symbols():
    frames = Frames(Data(scenario="oversampled", modulations=("BPSK", "16APSK", "64QAM")))
    columns = cells(frames, 15, 2)
    truth = frames.truth(*columns)
    got = matched_filter.symbols(frames.signal(*columns), truth, 8)
    error = (got - truth.symbols[:, matched_filter.EDGE : -matched_filter.EDGE]).abs().square().mean()
    assert 10 * math.log10(float(error)) < -50


def test_its_modulation_is_right_but_for_noise():
    frames = Frames(Data(scenario="oversampled", modulations="digital-17"))
    at = {snr: cells(frames, snr, 4) for snr in (0, 5)}
    right = {snr: (matched_filter.modulation_classes(frames, *c) == c[0]).float().mean() for snr, c in at.items()}
    assert right[5] == 1  # 10 dB: OQPSK and QPSK among them
    assert right[0] == pytest.approx(0.67, abs=4 * math.sqrt(0.67 * 0.33 / 68))  # 0 dB, as measured for the design


@pytest.mark.parametrize(
    "data", [Data(), Data(scenario="oversampled", modulations="digital-19"),
             Data(scenario="oversampled", channel={"fading": "rayleigh"})]
)  # fmt: skip
def test_where_it_is_not_the_best_receiver_it_is_refused(data):
    with pytest.raises(ValueError, match="without fading and without GMSK"):
        matched_filter.modulation_classes(Frames(data), *cells(Frames(data), 0, 1))

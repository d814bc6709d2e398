"""Constellations against their definitions, and the random bits against the published generator."""

import numpy as np
import pytest
import torch

from tocsin.studies.constellation.config.signal import Symbols
from tocsin.studies.constellation.signal import random_bits
from tocsin.studies.constellation.signal.apsk import RADII
from tocsin.studies.constellation.signal.modulation import DIGITAL, NAMES, SYNCHRONOUS, constellation

ORDERS = {
    "4ASK": 4, "8ASK": 8, "BPSK": 2, "QPSK": 4, "OQPSK": 4, "8PSK": 8, "16PSK": 16, "32PSK": 32, "16APSK": 16,
    "32APSK": 32, "64APSK": 64, "128APSK": 128, "16QAM": 16, "32QAM": 32, "64QAM": 64, "128QAM": 128, "256QAM": 256,
}  # fmt: skip
CORNERS = {"32QAM": 2, "128QAM": 8}


def test_there_are_seventeen_and_the_synchronous_scenario_leaves_out_oqpsk() -> None:
    assert set(DIGITAL) == set(ORDERS)
    assert len(DIGITAL) == 17
    assert set(DIGITAL) - set(SYNCHRONOUS) == {"OQPSK"}
    assert np.allclose(constellation("OQPSK"), constellation("QPSK"))


@pytest.mark.parametrize("name", DIGITAL)
def test_unit_power_zero_mean_distinct_points(name: str) -> None:
    points = constellation(name)
    assert points.size == ORDERS[name]
    assert np.mean(np.abs(points) ** 2) == pytest.approx(1.0, abs=1e-12)
    assert abs(points.mean()) < 1e-12
    gaps = np.abs(points[:, None] - points[None, :]) + 10 * np.eye(points.size)
    assert gaps.min() > 0.03


@pytest.mark.parametrize(("name", "rings"), [
    ("16APSK", {1.0: 4, 2.85: 12}),
    ("32APSK", {1.0: 4, 2.84: 12, 5.27: 16}),
    ("64APSK", {1.0: 8, 2.2: 16, 3.6: 20, 5.2: 20}),
    ("128APSK", {1.0: 16, 1.715: 16, 2.118: 16, 2.681: 16, 2.75: 16, 3.819: 48}),
])  # fmt: skip
def test_apsk_radii_and_ring_counts(name: str, rings: dict[float, int]) -> None:
    radius = np.abs(constellation(name))
    values, counts = np.unique(np.round(radius / radius.min(), 6), return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == rings


@pytest.mark.parametrize(("name", "rate", "radii"), [
    ("16APSK", "2/3", (3.15,)), ("16APSK", "4/5", (2.75,)), ("16APSK", "5/6", (2.70,)), ("16APSK", "8/9", (2.60,)),
    ("16APSK", "9/10", (2.57,)), ("32APSK", "4/5", (2.72, 4.87)), ("32APSK", "5/6", (2.64, 4.64)),
    ("32APSK", "8/9", (2.54, 4.33)), ("32APSK", "9/10", (2.53, 4.30)), ("64APSK", "4/5", (2.2, 3.6, 5.2)),
    ("64APSK", "5/6", (2.2, 3.5, 5.0)), ("128APSK", "7/9", (1.715, 2.118, 2.681, 2.75, 3.733)),
])  # fmt: skip
def test_ring_radii_by_code_rate(name: str, rate: str, radii: tuple[float, ...]) -> None:
    radius = np.abs(constellation(name, rate=rate))
    assert np.unique(np.round(radius / radius.min(), 6)).tolist() == [1.0, *radii]
    assert Symbols(**{f"apsk_{name.removesuffix('APSK')}": rate}).rate(name) == rate


@pytest.mark.parametrize("name", RADII)
def test_every_code_rate_is_a_symmetric_set_of_unit_power(name: str) -> None:
    for rate in RADII[name]:
        points = constellation(name, rate=rate)
        assert np.mean(np.abs(points) ** 2) == pytest.approx(1.0, abs=1e-12)
        assert np.unique(np.round(points, 9)).size == points.size == ORDERS[name]
        rounded = set(np.round(points, 9) + 0.0)
        assert rounded == set(np.round(points.conj(), 9) + 0.0) == set(np.round(-points.conj(), 9) + 0.0)


def test_an_unknown_code_rate_lists_the_choices() -> None:
    with pytest.raises(ValueError, match="64APSK has no code rate '3/4'; choose from 7/9, 4/5, 5/6"):
        constellation("64APSK", rate="3/4")


def test_ook_and_unipolar_ask_start_at_zero() -> None:
    """Mean power of the levels 0..M-1 is (M - 1)(2 M - 1) / 6."""
    for name, order in (("OOK", 2), ("4ASK", 4), ("8ASK", 8)):
        expected = np.arange(order) / np.sqrt((order - 1) * (2 * order - 1) / 6)
        assert np.allclose(constellation(name, unipolar=name != "OOK"), expected, atol=1e-12)
    assert np.array_equal(constellation("16QAM", unipolar=True), constellation("16QAM"))


def test_the_number_of_a_class_is_part_of_its_seeds() -> None:
    """A class that is moved in this list changes every frame ever made of it and of those after it."""
    assert NAMES[:17] == DIGITAL == tuple(ORDERS)
    assert NAMES[17:] == ("OOK", "GMSK")


@pytest.mark.parametrize(
    ("name", "power"), [("32QAM", 20), ("128QAM", 82), ("16QAM", 10), ("64QAM", 42), ("256QAM", 170)]
)
def test_qam_minimum_distance_is_that_of_odd_levels(name: str, power: int) -> None:
    """The mean power of the odd-level grid is a known integer (cross QAM without its corners: 20 and 82)."""
    points = constellation(name)
    gaps = np.abs(points[:, None] - points[None, :]) + 10 * np.eye(points.size)
    assert gaps.min() == pytest.approx(2 / np.sqrt(power), rel=1e-9)


def test_all_are_symmetric_about_both_axes() -> None:
    for name in DIGITAL:
        points = np.round(constellation(name), 9)
        assert set(points + 0.0) == set(points.conj() + 0.0), name
        assert set(points + 0.0) == set(-points.conj() + 0.0), name


def test_unknown_modulation_lists_the_choices() -> None:
    with pytest.raises(ValueError, match="choose from 4ASK"):
        constellation("FSK")


def test_split_mix_64_against_its_published_words() -> None:
    """The first outputs of SplitMix64 seeded with 1234567, as published with the reference code."""
    words = random_bits.words(torch.tensor([1234567]), torch.arange(5))[0]
    assert [w % 2**64 for w in words.tolist()] == [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ]  # fmt: skip


def test_uniform_numbers_and_streams() -> None:
    from scipy import stats

    keys = random_bits.key(1, torch.arange(64))
    streams = [random_bits.stream(keys, number) for number in range(4)]
    values = [random_bits.uniform(random_bits.words(stream, torch.arange(1024))) for stream in streams]
    for value in values:
        assert 0 <= float(value.min()) <= float(value.max()) < 1
        assert stats.kstest(value.reshape(-1).double().numpy(), stats.uniform.cdf).pvalue > 1e-3
    correlation = np.corrcoef(torch.stack(values).reshape(4, -1).numpy()) - np.eye(4)
    assert np.abs(correlation).max() < 4 / np.sqrt(64 * 1024)


def test_complex_normal_has_unit_power_and_normal_marginals() -> None:
    from scipy import stats

    real, imag = random_bits.complex_normal(random_bits.words(torch.arange(64), torch.arange(2048)))
    assert float((real.square() + imag.square()).mean()) == pytest.approx(1.0, abs=0.01)
    for part in (real, imag):
        assert stats.kstest(part.reshape(-1).numpy(), stats.norm(scale=0.5**0.5).cdf).pvalue > 1e-3
    assert abs(float((real * imag).mean())) < 0.01

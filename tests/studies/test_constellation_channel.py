"""Offsets, fading and noise: their laws, and sums written out in numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tocsin.studies.constellation.config.signal import Channel, Pulse
from tocsin.studies.constellation.signal import channel, random_bits

LAWS = settings(max_examples=30, deadline=None, derandomize=True)
KEYS = random_bits.key(5, torch.arange(20_000))


def test_offsets_have_the_laws_they_state() -> None:
    settings_of = Channel(carrier_sd=2e-4, rate_sd=5e-5, timing=0.5)
    drawn = channel.draw(KEYS, settings_of, Pulse(rolloff=(0.2, 0.3)))
    for values, law in (
        (drawn.timing, stats.uniform(0, 4)),
        (drawn.phase, stats.uniform(0, 2 * np.pi)),
        (drawn.rolloff, stats.uniform(0.2, 0.1)),
        (drawn.carrier, stats.norm(scale=2e-4)),
        (drawn.rate, stats.norm(scale=5e-5)),
    ):
        assert stats.kstest(values.double().numpy(), law.cdf).pvalue > 1e-3
    table = torch.stack([drawn.timing, drawn.phase, drawn.rolloff, drawn.carrier, drawn.rate]).double().numpy()
    correlation = np.corrcoef(table) - np.eye(5)
    assert np.abs(correlation).max() < 4 / np.sqrt(KEYS.numel())  # independent: sd is 1 / sqrt(n)


def test_an_ideal_channel_has_no_offsets() -> None:
    ideal = Channel(timing=0, random_phase=False, carrier_sd=0, rate_sd=0)
    drawn = channel.draw(KEYS[:100], ideal, Pulse(rolloff=(0.25, 0.25)))
    assert not any(part.any() for part in (drawn.timing, drawn.phase, drawn.carrier, drawn.rate))
    assert channel.paths(KEYS[:100], ideal) is None
    signal = torch.randn(100, 50, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(channel.turned(signal, drawn), signal)


@LAWS
@given(st.integers(-(2**63), 2**63 - 1), st.floats(0, 0.01), st.floats(0, 1e-3))
def test_no_offset_leaves_its_range(key: int, carrier_sd: float, rate_sd: float) -> None:
    drawn = channel.draw(torch.tensor([key]), Channel(carrier_sd=carrier_sd, rate_sd=rate_sd), Pulse())
    assert 0 <= float(drawn.timing) < 8
    assert 0 <= float(drawn.phase) <= 2 * np.pi
    assert 0.1 <= float(drawn.rolloff) <= 0.4 + 1e-7
    assert abs(float(drawn.rate)) <= channel.FARTHEST * rate_sd * (1 + 1e-6)
    assert abs(float(drawn.carrier)) <= channel.FARTHEST * carrier_sd * (1 + 1e-6)


def test_the_farthest_normal_number_is_that_of_the_smallest_word() -> None:
    real, imaginary = random_bits.complex_normal(torch.tensor([0]))  # word 0: smallest uniform, angle 0
    assert float(real) * 2**0.5 == pytest.approx(channel.FARTHEST, rel=1e-6)
    assert float(imaginary) == 0


@LAWS
@given(st.floats(0, 6.2), st.floats(-0.01, 0.01))
def test_the_carrier_turns_each_sample_by_its_phase(phase: float, carrier: float) -> None:
    one, none = torch.ones(1), torch.zeros(1)
    offsets = channel.Offsets(none, one * phase, one * carrier, none, none)
    found = channel.turned(torch.ones(1, 1000, dtype=torch.complex64), offsets)[0].numpy()
    assert np.abs(found - np.exp(1j * (phase + 2 * np.pi * carrier * np.arange(1000)))).max() < 1e-4


def test_rayleigh_paths_add_to_unit_mean_power_and_have_its_law() -> None:
    gains = channel.paths(KEYS, Channel(fading="rayleigh", paths=3, delay_spread=0.5))
    assert gains is not None
    power = gains.abs().square().double().numpy()
    profile = np.exp(-np.arange(3.0))
    assert np.allclose(power.mean(0), profile / profile.sum(), rtol=0.04)  # 5 standard errors
    first = power[:, 0] / (profile / profile.sum())[0]
    assert stats.kstest(first, stats.expon.cdf).pvalue > 1e-3
    flat = channel.paths(KEYS, Channel(fading="rayleigh", delay_spread=0))
    assert flat is not None
    assert not flat[:, 1:].any()
    assert float(flat[:, 0].abs().square().mean()) == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("decibels", [-3.0, 6.0, 15.0])
def test_rician_paths_have_the_factor_they_state(decibels: float) -> None:
    factor = 10 ** (decibels / 10)
    gains = channel.paths(KEYS, Channel(fading="rician", rician_k_db=decibels, delay_spread=0, paths=1))
    assert gains is not None
    amplitude = gains[:, 0].abs().double().numpy()
    law = stats.rice(np.sqrt(2 * factor), scale=np.sqrt(1 / (2 * (factor + 1))))
    assert stats.kstest(amplitude, law.cdf).pvalue > 1e-3
    assert np.mean(amplitude**2) == pytest.approx(1, abs=0.04)


def test_paths_are_delayed_copies() -> None:
    generator = torch.Generator().manual_seed(2)
    signal = torch.randn(2, 62, dtype=torch.complex64, generator=generator)
    gains = torch.randn(2, 4, dtype=torch.complex64, generator=generator)
    found = channel.faded(signal, gains, 4).numpy()
    response = np.zeros((2, 13), dtype=np.complex128)
    response[:, ::4] = gains.numpy()
    for row in range(2):
        expected = np.convolve(signal[row].numpy(), response[row])[12:62]
        assert np.abs(found[row] - expected).max() < 1e-5


def test_noise_is_white_circular_and_of_unit_power() -> None:
    values = channel.noise(KEYS[:64], 1024).numpy()
    assert np.mean(np.abs(values) ** 2) == pytest.approx(1, abs=0.02)
    assert abs(np.mean(values**2)) < 0.02
    for lag in (1, 2, 8):
        assert abs(np.mean(values[:, lag:] * values[:, :-lag].conj())) < 0.02
    assert stats.kstest(values.real.ravel(), stats.norm(scale=0.5**0.5).cdf).pvalue > 1e-3


@LAWS
@given(st.integers(-20, 30), st.integers(1, 64))
def test_noise_power_by_definition(decibels: int, per_symbol: int) -> None:
    sample, symbol = (
        float(channel.noise_power(torch.tensor([decibels]), definition, per_symbol))
        for definition in ("sample", "esn0")
    )
    assert 10 * np.log10(1 / sample) == pytest.approx(decibels, abs=1e-4)
    assert 10 * np.log10(per_symbol / symbol) == pytest.approx(decibels, abs=1e-4)


@pytest.mark.parametrize(("wrong", "message"), [
    ({"paths": 2}, "nothing reads paths with fading = none"),
    ({"fading": "rayleigh", "rician_k_db": 3.0}, "nothing reads rician_k_db with fading = rayleigh"),
    ({"fading": "rice"}, "fading"),
    ({"timing": 2.0}, "timing"),
])  # fmt: skip
def test_settings_that_nothing_reads_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Channel(**wrong)

"""Pulses against numerical integrals, in float64."""

import numpy as np
import pytest
import torch
from scipy import integrate

from studies.pulse_twin import root_raised_cosine_pulse
from tocsin.studies.constellation.signal.pulse import phase_pulse, root_raised_cosine
from tocsin.studies.constellation.signal.waveform import REACH


@pytest.mark.parametrize("rolloff", [0.1, 0.25, 0.4, 1.0])
def test_root_raised_cosine_is_the_transform_of_the_pulse_in_time(rolloff: float) -> None:
    time = np.arange(-6400, 6400) / 16
    frequency = np.linspace(-1, 1, 41)
    pulse = root_raised_cosine_pulse(time, rolloff)
    expected = (np.exp(-2j * np.pi * frequency[:, None] * time) @ pulse).real / 16
    found = root_raised_cosine(torch.from_numpy(frequency), torch.tensor([rolloff], dtype=torch.float64))[0]
    cut = 1 / (4 * np.pi * rolloff * 400)  # what a pulse cut at 400 symbols misses at the kink of its spectrum
    assert np.abs(found.numpy() - expected).max() < 1.01 * cut


@pytest.mark.parametrize("product", [0.2, 0.3, 0.5, 1.0])
def test_phase_pulse_is_the_integral_of_the_filtered_bit(product: float) -> None:
    deviation = np.sqrt(np.log(2)) / (2 * np.pi * product)
    time = np.linspace(-6, 6, 12001)
    window = (np.abs(time) < 0.5) * 1.0
    kernel = np.exp(-0.5 * (time / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi)) * (time[1] - time[0])
    slope = np.convolve(window, kernel, mode="same")
    expected = integrate.cumulative_trapezoid(slope, time, initial=0.0)
    found = phase_pulse(torch.from_numpy(time), product).numpy()
    assert np.abs(found - expected).max() < 1e-3
    assert np.all(np.diff(found) >= -1e-12)
    assert abs(float(phase_pulse(torch.tensor(REACH - 0.0, dtype=torch.float64), product)) - 1) < 2e-5

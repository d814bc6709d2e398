"""Oversampled frames as a receiver sees them: SNR measured back, symbols recovered, the band they take."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import signal as filters

from studies.oversampled_frames import IDEAL, complex_frames, labels, oversampled
from studies.pulse_twin import matched_filter
from tocsin.studies.constellation.data.generated import Frames
from tocsin.studies.constellation.signal.modulation import NAMES

EDGE = 28  # symbols at either end of a frame whose pulses it cuts off


def measured_snr(iq: torch.Tensor) -> float:
    """SNR of a sample [dB] from received frames alone: the spectrum's floor where no signal is, and the total power.

    Its standard deviation is 0.02 dB at 512 frames and 1 dB.
    """
    frames = complex_frames(iq)
    _, density = filters.welch(frames, nperseg=1024, window="hann", return_onesided=False, detrend=False)
    empty = np.abs(np.fft.fftfreq(1024)) > 0.15
    noise = density[:, empty].mean()  # density integrates to power over 1 cycle a sample
    return float(10 * np.log10((np.abs(frames) ** 2).mean() / noise - 1))


@pytest.mark.parametrize("definition", ["sample", "esn0"])
def test_the_snr_of_every_modulation_is_the_one_on_its_label(definition: str) -> None:
    frames = oversampled(snr_definition=definition, snr_db=(10, 20))
    below = 0.0 if definition == "sample" else 10 * np.log10(8)
    for name in NAMES:
        assert measured_snr(frames.iq(*labels(frames, name, 512))) == pytest.approx(10 - below, abs=0.1), name


def test_the_noise_of_every_label_from_minus_20_to_30_db() -> None:
    frames = oversampled(snr_db="-20..30")
    assert len(frames.data.snr_db) == 26
    for number, decibels in enumerate(frames.data.snr_db):
        label = labels(frames, "QPSK", 24, number)
        noise = (frames.iq(*label) - frames.signal(*label)).double()
        assert -10 * np.log10(float(noise.square().sum(1).mean())) == pytest.approx(decibels, abs=0.1)
        assert float(frames.truth(*label).noise_power[0]) == pytest.approx(10 ** (-decibels / 10), rel=1e-5)


def test_esn0_is_the_snr_behind_the_matched_filter() -> None:
    frames = oversampled(snr_definition="esn0", snr_db=(10, 20))
    error, kept = recovered(frames, "16QAM", 100, noise=True)
    assert -10 * np.log10(np.mean(np.abs(error[:, kept]) ** 2)) == pytest.approx(10, abs=0.1)


def recovered(frames: Frames, name: str, count: int, *, noise: bool = False) -> tuple[NDArray[np.complex128], slice]:
    """Matched filter outputs less the symbols sent, (count, K), and the symbols whose pulses are whole."""
    label = labels(frames, name, count)
    truth = frames.truth(*label)
    received = complex_frames(frames.iq(*label) if noise else frames.signal(*label))
    sample = np.arange(received.shape[1])
    error = np.zeros(truth.symbols.shape, dtype=np.complex128)
    for row in range(count):
        phase, cfo, rolloff = (float(part[row]) for part in (truth.phase, truth.cfo, truth.rolloff))
        plain = received[row] * np.exp(-1j * (phase + 2 * np.pi * cfo * sample))
        instants = truth.instants[row].double().numpy()
        found = matched_filter(plain, instants, 8, rolloff)
        if name == "OQPSK":
            late = instants + 4 * (1 + float(truth.rate[row]))
            found = found.real + 1j * matched_filter(plain, late, 8, rolloff).imag
        error[row] = found - truth.symbols[row].numpy()
    return error, slice(EDGE, truth.symbols.shape[1] - EDGE)


@pytest.mark.parametrize("channel", [IDEAL, {"carrier_sd": 1e-3, "rate_sd": 3e-4}], ids=["ideal", "offsets"])
def test_a_matched_filter_gives_the_constellation_back(channel: dict[str, float]) -> None:
    """Interference between symbols and every other error together below -40 dB, offsets undone as the truth says."""
    frames = oversampled(channel=channel)
    for name in NAMES[:-1]:
        error, kept = recovered(frames, name, 3)
        assert 20 * np.log10(np.sqrt(np.mean(np.abs(error[:, kept]) ** 2))) < -40, name


def test_gmsk_has_the_bits_and_phase_of_its_truth() -> None:
    """Between two instants the phase turns by a quarter of a turn in the direction of both bits, where they agree."""
    frames = oversampled(channel={**IDEAL, "random_phase": True})
    label = labels(frames, "GMSK", 16)
    sent = complex_frames(frames.signal(*label))
    assert np.abs(np.abs(sent) - 1).max() < 1e-5
    turned = np.angle(sent[:, 8::8] * sent[:, :-8:8].conj())
    bits = frames.truth(*label).symbols.real.numpy()
    alike = bits[:, 1:] == bits[:, :-1]
    assert (np.sign(turned)[alike] == bits[:, 1:][alike]).all()
    longer = alike[:, 1:-1] & alike[:, :-2] & alike[:, 2:]  # four alike: no other bit's pulse reaches in
    assert np.abs(np.abs(turned[:, 1:-1][longer]) - np.pi / 2).max() < 0.05


@pytest.mark.parametrize("rolloff", [0.1, 0.25, 0.4])
def test_the_occupied_band_is_that_of_the_pulse(rolloff: float) -> None:
    """Band that holds 99 % of the power, against the raised cosine's integral; nothing at all beyond (1 + a) / 2T."""
    frames = oversampled(samples=8192, pulse={"rolloff": (rolloff, rolloff)}, channel=IDEAL)
    sent = complex_frames(frames.signal(*labels(frames, "16QAM", 24)))
    _, density = filters.welch(sent, nperseg=4096, window="blackmanharris", return_onesided=False, detrend=False)
    power, frequency = density.mean(0), np.abs(np.fft.fftfreq(4096)) * 8
    order = np.argsort(frequency)
    share = np.cumsum(power[order]) / power.sum()
    occupied = 2 * frequency[order][np.searchsorted(share, 0.99)]
    grid = np.linspace(0, 1, 100_001)
    shape = 0.5 + 0.5 * np.cos(np.pi * np.clip((grid - (1 - rolloff) / 2) / rolloff, 0, 1))
    expected = 2 * grid[np.searchsorted(np.cumsum(shape) / shape.sum(), 0.99)]
    assert occupied == pytest.approx(expected, rel=0.02)
    beyond = power[frequency > (1 + rolloff) / 2 + 0.02].max() / power.max()
    assert 10 * np.log10(beyond) < -60

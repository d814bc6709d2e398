"""Scalar features against scipy, closed forms and labels."""

import numpy as np
import pytest
import torch
from scipy import signal

from studies.shaped_frames import shaped
from tocsin.studies.constellation.signal.modulation import DIGITAL, constellation
from tocsin.studies.constellation.view.features import cumulants, m2m4, spectral_floor, standardised, width
from tocsin.studies.constellation.view.instants import synchronised

SNRS = range(0, 32, 2)


def pair(z: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack([z.real, z.imag], 1)).float()


def test_spectral_floor_is_the_mean_of_scipys_periodogram_outside_the_band() -> None:
    frames = shaped("16QAM", 12, 4, 0)
    position = (np.arange(1024) + 0.5) / 1024
    window = (1 - np.cos(np.pi * np.clip(np.minimum(position, 1 - position) * 8, 0, 1))) / 2
    frequency, density = signal.periodogram(frames, window=window, detrend=False, return_onesided=False)
    noise = density[:, np.abs(frequency) >= 0.1].mean(1)
    expected = 10 * np.log10((np.abs(frames) ** 2).mean(1) / noise - 1)
    assert np.allclose(spectral_floor(pair(frames), 8).numpy(), expected, atol=1e-3)


def test_spectral_floor_reads_the_snr_of_any_modulation_in_2_db_bins() -> None:
    """The specification's 5-line version reaches .995; here 6 frames of each of 17 x 16 pairs, and of any gain."""
    right, error = [], []
    for snr_db in SNRS:
        frames = np.concatenate([shaped(name, snr_db, 6, 100 * k + snr_db) for k, name in enumerate(DIGITAL)])
        found = spectral_floor(17 * pair(frames), 8).numpy() - snr_db
        right.append(np.mean(np.abs(found) < 1))
        error.append(found.std())
        assert abs(found.mean()) < 0.15
    assert np.mean(right) > 0.985
    assert max(error) < 0.5


def test_spectral_floor_of_noise_silence_and_what_is_not_a_number() -> None:
    noise = torch.randn(1, 2, 1024, generator=torch.Generator().manual_seed(0))
    assert float(spectral_floor(noise, 8)[0]) < -5
    assert torch.isfinite(spectral_floor(torch.zeros(1, 2, 1024), 8)).all()
    assert torch.isnan(spectral_floor(noise * torch.nan, 8)).all()
    with pytest.raises(ValueError, match="at least 2 samples a symbol"):
        spectral_floor(noise, 1)


@pytest.mark.parametrize("snr_db", [0, 10, 20])
def test_m2m4_reads_the_snr_of_a_constant_modulus(snr_db: int) -> None:
    rng = np.random.default_rng(0)
    symbols = rng.choice(constellation("8PSK"), (8, 20_000))
    noise = rng.standard_normal((2, *symbols.shape)) * np.sqrt(10 ** (-snr_db / 10) / 2)
    found = m2m4(pair(3 * (symbols + noise[0] + 1j * noise[1])))
    assert float(found.mean()) == pytest.approx(snr_db, abs=0.25)  # 160,000 symbols: sd .07 at 0 dB


def test_m2m4_of_several_amplitudes_saturates_where_its_formula_says() -> None:
    points = constellation("16QAM")
    share = np.sqrt(2 - np.mean(np.abs(points) ** 4))
    found = float(m2m4(pair(np.tile(points, (1, 50))))[0])
    assert found == pytest.approx(10 * np.log10(share / (1 - share)), abs=1e-3)
    assert torch.isnan(m2m4(torch.full((1, 2, 8), torch.nan))).all()
    peaky = torch.zeros(1, 2, 100)
    peaky[0, 0, 0] = 1.0
    assert float(m2m4(peaky)[0]) == -25.0


@pytest.mark.parametrize(
    ("modulation", "expected"),  # Swami and Sadler 2000, table I; C40 of 8PSK is 0
    [("BPSK", (1, 2, -2)), ("4ASK", (1, 1.36, -1.36)), ("QPSK", (0, 1, -1)), ("8PSK", (0, 0, -1)),
     ("16QAM", (0, 0.68, -0.68)), ("64QAM", (0, 0.619, -0.619))],
)  # fmt: skip
def test_cumulants_are_those_of_the_literature_at_any_gain_and_turn(
    modulation: str, expected: tuple[float, float, float]
) -> None:
    symbols = np.tile(constellation(modulation), (1, 10)) * 5 * np.exp(0.7j)
    assert np.allclose(cumulants(pair(symbols))[0].numpy(), expected, atol=1e-3)


def test_features_of_frames_are_near_those_of_their_symbols() -> None:
    for modulation, c20 in (("BPSK", 1.0), ("QPSK", 0.0), ("16QAM", 0.0)):
        found = cumulants(synchronised(pair(shaped(modulation, 25, 24, 1)), 8)).mean(0)
        assert float(found[0]) == pytest.approx(c20, abs=0.12)
        points = constellation(modulation)
        c42 = np.mean(np.abs(points) ** 4) - abs(np.mean(points**2)) ** 2 - 2
        assert float(found[2]) == pytest.approx(c42, abs=0.12)


def test_features_are_standardised_by_constants() -> None:
    names = ("m2m4", "spectral_floor", "cumulants")
    iq = pair(np.concatenate([shaped(name, db, 2, 7) for name in DIGITAL for db in (0, 16, 30)]))
    symbols = synchronised(iq, 8)
    table = standardised(names, iq, lambda: symbols, 8)
    assert table.shape == (len(iq), 5)
    assert width(names) == 5
    assert torch.allclose(10 * table[:, 1] + 15, spectral_floor(iq, 8), atol=1e-4)
    assert torch.allclose(10 * table[:, 0] + 15, m2m4(symbols), atol=1e-4)
    assert float(table.abs().max()) < 4.01
    assert float(table.std(0).min()) > 0.2
    alone = standardised(names, iq[:1], lambda: symbols[:1], 8)
    assert torch.allclose(alone, table[:1], atol=1e-5)
    assert standardised((), iq, lambda: symbols, 8).shape == (len(iq), 0)

"""Blind synchronisation against frames whose symbols, timing and carrier are known, from a generator in numpy."""

import numpy as np
import pytest
import torch

from studies.shaped_frames import shaped
from tocsin.studies.constellation.signal.modulation import constellation
from tocsin.studies.constellation.view.carrier import ORDERS, derotate
from tocsin.studies.constellation.view.instants import EDGE, instants, symbol_count, synchronised


def frames(modulation: str, snr_db: float, count: int = 32, seed: int = 0, **known: float) -> torch.Tensor:
    made = shaped(modulation, snr_db, count, seed, **known)
    return torch.from_numpy(np.stack([made.real, made.imag], 1)).float()


def error_db(symbols: torch.Tensor, modulation: str) -> float:
    """Median over frames of the squared distance to the next point, at the turn that suits the frame best [dB]."""
    z, points = torch.complex(symbols[:, 0], symbols[:, 1]).numpy(), constellation(modulation)
    turns = np.exp(1j * np.deg2rad(np.arange(0, 180, 1.5)))
    errors = [(np.abs((z * turn)[..., None] - points).min(-1) ** 2).mean(-1) for turn in turns]
    return float(10 * np.log10(np.median(np.min(errors, 0))))


@pytest.mark.parametrize("modulation", ["BPSK", "8PSK", "16APSK", "64QAM"])
def test_instants_are_the_symbols_in_the_noise_that_the_matched_filter_leaves(modulation: str) -> None:
    """8 samples a symbol: the noise is 9 dB lower than in a sample."""
    for snr_db in (18.0, 26.0):  # below, decisions for the wrong point would make errors look smaller
        made = instants(frames(modulation, snr_db, roll_off=0.25, carrier=0.0, phase=0.0), 8)
        assert made.shape == (32, 2, 120)
        assert error_db(made, modulation) == pytest.approx(-snr_db - 9, abs=0.6)


@pytest.mark.parametrize("roll_off", [0.1, 0.25, 0.4])
@pytest.mark.parametrize("timing", [0.0, 0.2, 0.5, 0.9])
def test_any_timing_and_roll_off_is_found(roll_off: float, timing: float) -> None:
    made = instants(frames("QPSK", 30, roll_off=roll_off, timing=timing, carrier=0.0, phase=0.0), 8)
    assert error_db(made, "QPSK") < -24  # what is left is the roll-off that differs from the nominal one


def test_sent_symbols_come_out_in_their_order() -> None:
    """A frame of one known symbol in the middle: instant 64 - EDGE, or 63 - EDGE, and no other."""
    iq = torch.zeros(1, 2, 1024)
    time = np.arange(1024) / 8 - 64
    pulse = shaped_pulse(time)
    iq[0, 0] = torch.from_numpy(pulse)
    made = instants(iq, 8)[0, 0].abs()
    assert int(made.argmax()) == 64 - EDGE
    assert float(made.max()) == pytest.approx(1.0, abs=0.01)
    assert float(made.sort().values[-2]) < 0.02


def shaped_pulse(time: np.ndarray) -> np.ndarray:
    """The root raised cosine pulse of roll-off .25 in symbols, 1/R in its passband, by the integral that defines it."""
    frequency = np.linspace(-0.625, 0.625, 2001)
    spectrum = np.cos(np.pi / 2 * np.clip((np.abs(frequency) - 0.375) / 0.25, 0, 1))
    return np.trapezoid(spectrum * np.cos(2 * np.pi * frequency * time[:, None]), frequency, axis=1)


@pytest.mark.parametrize("modulation", ["BPSK", "8ASK", "QPSK", "16PSK", "32APSK", "64APSK", "16QAM", "32QAM", "64QAM"])
def test_random_carrier_and_phase_are_removed(modulation: str) -> None:
    """Roll-off, timing, carrier and phase drawn by frame: 20 dB a sample give -29 dB, and without it -16 to -22 dB."""
    iq = frames(modulation, 20)
    assert error_db(synchronised(iq, 8), modulation) < -27.5
    assert error_db(instants(iq, 8), modulation) > -25.5


def test_a_turn_of_the_frame_turns_nothing_that_is_seen() -> None:
    """BPSK has one orientation, on the real axis, whatever the phase it was received with."""
    iq = frames("BPSK", 20, carrier=5e-5)
    for turned in (iq, torch.stack([-iq[:, 1], iq[:, 0]], 1)):
        made = synchronised(turned, 8)
        assert float(made[:, 1].square().mean() / made[:, 0].square().mean()) < 0.01


def test_oqpsk_is_sampled_at_the_instants_of_one_axis() -> None:
    """That axis has two levels, the other is on its way between them: neither QPSK nor a blur."""
    made = synchronised(frames("OQPSK", 25, 64), 8).abs()
    spread, level = made.std(2).median(0).values, made.mean(2).median(0).values
    assert float(spread[0]) < 0.1
    assert float(spread[1]) > 0.3
    assert float(level[0]) == pytest.approx(2**-0.5, rel=0.03)


def test_noise_is_turned_no_more_often_than_chance_allows() -> None:
    noise = torch.randn(400, 2, 120, generator=torch.Generator().manual_seed(0))
    moved = (derotate(noise) - noise).abs().amax((1, 2)) > 1e-4
    assert 0 < int(moved.sum()) < 400 * 0.01 * 2 * len(ORDERS)


def test_derotation_keeps_amplitudes_and_not_a_number() -> None:
    made = instants(frames("16QAM", 10, 4), 8)
    made[1, 0, 5] = torch.nan
    turned = derotate(made)
    assert torch.allclose(turned.square().sum(1)[[0, 2, 3]], made.square().sum(1)[[0, 2, 3]], rtol=1e-4)
    assert bool(turned[1].isnan().any())
    assert not turned[[0, 2, 3]].isnan().any()
    assert bool(torch.equal(derotate(torch.zeros(1, 2, 50)), torch.zeros(1, 2, 50)))


def test_one_sample_a_symbol_is_an_instant_and_a_part_of_a_symbol_is_refused() -> None:
    iq = torch.randn(2, 2, 100)
    assert torch.equal(synchronised(iq, 1), iq)
    assert symbol_count(1024, 8) == 120
    for samples in (100, 64):
        with pytest.raises(ValueError, match=f"a multiple of 8 above 64, came {samples}"):
            instants(torch.zeros(1, 2, samples), 8)
    assert synchronised(torch.zeros(1, 2, 72), 8).shape == (1, 2, 1)

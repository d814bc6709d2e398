"""Waveforms against the same in time, in float64, and the laws they keep."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.pulse_twin import gmsk_phase, superposed
from tocsin.studies.constellation.signal.grid import GUARD, Grid
from tocsin.studies.constellation.signal.waveform import Timing, gmsk, linear

LAWS = settings(max_examples=25, deadline=None, derandomize=True)


def timing(delay: float = 0.0, rate: float = 0.0, frames: int = 1) -> Timing:
    return Timing(torch.full((frames,), delay), torch.full((frames,), rate), abs(rate))


def random_symbols(grid: Grid, frames: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, grid.symbols, dtype=torch.complex64, generator=generator)


def shaped(symbols: torch.Tensor, grid: Grid, when: Timing, rolloff: float, *, staggered: bool = False) -> np.ndarray:
    frames = len(symbols)
    late = torch.full((frames,), staggered)
    return linear(symbols, late, grid, when, torch.full((frames,), rolloff), widest=0.4).numpy()


@pytest.mark.parametrize(("rolloff", "delay", "rate"), [
    (0.1, 0.0, 0.0), (0.1, 3.7, 0.0), (0.25, 7.99, 4e-4), (0.4, 0.5, -4e-4), (0.35, 2.25, 3e-3),
])  # fmt: skip
@pytest.mark.parametrize("staggered", [False, True])
def test_linear_modulation_is_a_pulse_for_every_symbol(
    rolloff: float, delay: float, rate: float, staggered: bool
) -> None:
    """Superposed in time, with four periods of the stream to either side."""
    grid = Grid(512, 8)
    symbols = random_symbols(grid, 1, seed=1)
    nominal = (np.arange(grid.symbols) - GUARD) * 8.0 - 256
    once = delay + 256 + nominal * (1 + rate)
    instants = np.concatenate([once + period * grid.length for period in range(-4, 5)])
    stream = np.tile(symbols[0].numpy().astype(np.complex128), 9)
    late = (4.0 * (1 + rate)) * staggered
    expected = superposed(stream.real + 0j, instants, 512, 8, rolloff)
    expected = expected + 1j * superposed(stream.imag + 0j, instants + late, 512, 8, rolloff)
    found = shaped(symbols, grid, timing(delay, rate), rolloff, staggered=staggered)[0]
    error = np.sqrt(np.mean(np.abs(found - expected) ** 2) / np.mean(np.abs(expected) ** 2))
    assert error < 10 ** (-60 / 20)


def test_nothing_wraps_from_the_end_of_a_frame_to_its_beginning() -> None:
    """The worst case, roll-off 0.1: one symbol at the frame's end, seen in the frame's first half."""
    grid = Grid(1024, 8)
    symbols = torch.zeros(1, grid.symbols, dtype=torch.complex64)
    symbols[0, GUARD + 127] = 1.0
    frame = np.abs(shaped(symbols, grid, timing(), 0.1)[0])
    assert frame.max() == pytest.approx(1 - 0.1 + 0.4 / np.pi, abs=1e-3)  # the pulse's peak
    assert 20 * np.log10(frame[:512].max()) < -60


@LAWS
@given(st.integers(0, 10**6), st.floats(0, 7.9), st.floats(-5e-4, 5e-4), st.floats(0.1, 0.4), st.booleans())
def test_linear_modulation_is_linear_and_moves_with_its_symbols(
    seed: int, delay: float, rate: float, rolloff: float, staggered: bool
) -> None:
    grid = Grid(256, 8)
    one, two = random_symbols(grid, 1, seed), random_symbols(grid, 1, seed + 1)
    a, b, both = (shaped(s, grid, timing(delay, rate), rolloff, staggered=staggered) for s in (one, two, one + 2 * two))
    assert np.abs(both - (a + 2 * b)).max() < 1e-4
    later = shaped(one, grid, timing(delay + 8), rolloff, staggered=staggered)
    moved = shaped(torch.roll(one, 1, 1), grid, timing(delay), rolloff, staggered=staggered)
    assert np.abs(later - moved).max() < 1e-4


@LAWS
@given(st.integers(1, 5000), st.integers(2, 64))
def test_the_grid_has_both_guards_and_a_length_for_fast_transforms(samples: int, per_symbol: int) -> None:
    grid = Grid(samples, per_symbol)
    assert grid.symbols * per_symbol == grid.length >= samples + 2 * GUARD * per_symbol
    rest = grid.symbols
    for prime in (2, 3, 5):
        while rest % prime == 0:
            rest //= prime
    assert rest == 1
    instants = grid.instants(torch.zeros(1), torch.zeros(1))
    assert instants.shape == (1, samples // per_symbol)
    assert torch.allclose(instants[0], torch.arange(grid.inside) * float(per_symbol), atol=1e-3)


@pytest.mark.parametrize(("product", "delay"), [(0.3, 0.0), (0.3, 5.25), (0.5, 2.5), (0.2, 7.75)])
def test_gmsk_turns_the_phase_as_its_bits_say(product: float, delay: float) -> None:
    grid, fine = Grid(512, 8), 32
    bits = 2.0 * torch.randint(0, 2, (1, grid.symbols), generator=torch.Generator().manual_seed(3)) - 1
    phase = gmsk_phase(bits[0].double().numpy(), 8, product, fine)
    first = round((8 + GUARD) * 8 * fine - delay * fine)  # where the frame's first sample lies on the fine grid
    expected = np.exp(1j * phase[first : first + 512 * fine : fine])
    found = gmsk(bits, grid, timing(delay), product)[0].numpy()
    assert np.abs(found - expected).max() < 2e-4
    assert np.abs(np.abs(found) - 1).max() < 1e-5


def test_a_rate_offset_of_gmsk_moves_its_instants() -> None:
    """At offset e, sample t shows what it would without at the middle + (t - middle) / (1 + e)."""
    grid, rate = Grid(512, 8), 1 / 64
    bits = 2.0 * torch.randint(0, 2, (1, grid.symbols), generator=torch.Generator().manual_seed(4)) - 1
    moved = gmsk(bits, grid, timing(0.0, rate), 0.3)[0]
    plain = gmsk(bits, grid, timing(0.0), 0.3)[0]
    for step in (-195, -65, 0, 65, 130):  # multiples of 65: whole samples without the offset
        assert abs(complex(moved[256 + step] - plain[256 + step * 64 // 65])) < 1e-3


@LAWS
@given(st.integers(0, 10**6), st.floats(0, 7.9), st.floats(0.2, 1.0))
def test_a_sample_before_the_frame_is_the_frame_of_an_earlier_one(seed: int, delay: float, product: float) -> None:
    grid = Grid(128, 8)
    bits = 2.0 * torch.randint(0, 2, (1, grid.symbols), generator=torch.Generator().manual_seed(seed)) - 1
    early = gmsk(bits, grid, timing(delay), product, before=12)
    assert torch.equal(early[:, 12:], gmsk(bits, grid, timing(delay), product))
    symbols, rolloff = random_symbols(grid, 1, seed), torch.tensor([0.2])
    late = torch.tensor([False])
    wide = linear(symbols, late, grid, timing(delay), rolloff, widest=0.4, before=12)
    assert torch.equal(wide[:, 12:], linear(symbols, late, grid, timing(delay), rolloff, widest=0.4))


def test_a_frame_of_nan_symbols_spoils_no_other() -> None:
    grid = Grid(128, 8)
    symbols = random_symbols(grid, 3, 0)
    symbols[1, 5] = torch.nan
    frames = shaped(symbols, grid, timing(frames=3), 0.2)
    assert np.isnan(frames).all(1).tolist() == [False, True, False]
    assert not np.isnan(frames[[0, 2]]).any()

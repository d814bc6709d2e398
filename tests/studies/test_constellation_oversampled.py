"""The oversampled scenario as a data set: seeds that hang on nothing else, truth, splits, manifest, settings."""

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from studies.oversampled_frames import IDEAL, complex_frames, labels, oversampled
from tocsin.studies.constellation.config import Data
from tocsin.studies.constellation.data.generated import SPLITS, Frames, manifest
from tocsin.studies.constellation.signal.modulation import DIGITAL, NAMES

LAWS = settings(max_examples=15, deadline=None, derandomize=True)
EVERY = oversampled()


def test_the_symbols_recovered_are_those_of_the_constellation() -> None:
    frames = oversampled(channel=IDEAL, symbols={"apsk_16": "9/10", "ask": "unipolar"})
    for name in ("16APSK", "4ASK", "32QAM"):
        truth = frames.truth(*labels(frames, name, 8))
        points = frames.data.constellation(name)
        assert np.abs(points[truth.numbers.numpy()] - truth.symbols.numpy()).max() < 1e-6
        assert set(truth.numbers.unique().tolist()) == set(range(points.size))


def test_oqpsk_never_passes_through_the_middle_and_qpsk_does() -> None:
    smallest = {}
    for name in ("QPSK", "OQPSK"):
        sent = complex_frames(EVERY.signal(*labels(EVERY, name, 64)))
        smallest[name] = float(np.quantile(np.abs(sent), 0.001))
    assert smallest["QPSK"] < 0.1 < 0.3 < smallest["OQPSK"]


def every_cell(frames: Frames) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    cell = torch.arange(frames.cells)
    return cell // len(frames.data.snr_db), cell % len(frames.data.snr_db), cell * 7


@pytest.mark.parametrize("fading", ["none", "rician"])
def test_a_frame_depends_on_its_own_label_and_index_only(fading: str) -> None:
    """Bit for bit: in any order, alone or together, in another thread."""
    frames = oversampled(channel={"fading": fading}, snr_db=(0, 10))
    label = every_cell(frames)
    together = frames.iq(*label)
    order = torch.randperm(frames.cells, generator=torch.Generator().manual_seed(1))
    assert torch.equal(frames.iq(*(part[order] for part in label)), together[order])
    for cell in (0, 17, 37):
        assert torch.equal(frames.iq(*(part[cell : cell + 1] for part in label))[0], together[cell])
    elsewhere: list[torch.Tensor] = []
    worker = threading.Thread(target=lambda: elsewhere.append(frames.iq(*(part[5:29] for part in label))))
    worker.start()
    worker.join()
    assert torch.equal(elsewhere[0], together[5:29])
    few = oversampled(channel={"fading": fading}, snr_db=(10, 12), modulations=("GMSK", "8PSK"))
    one, zero, index = torch.tensor([1]), torch.tensor([0]), torch.tensor([7 * (2 * NAMES.index("8PSK") + 1)])
    assert torch.equal(few.iq(one, zero, index)[0], together[2 * NAMES.index("8PSK") + 1])


@LAWS
@given(st.lists(st.tuples(st.integers(0, 18), st.integers(0, 15), st.integers(0, 2**42)), min_size=1, max_size=40))
def test_any_batch_holds_the_frames_that_its_labels_name(rows: list[tuple[int, int, int]]) -> None:
    columns = tuple(torch.tensor(column) for column in zip(*rows, strict=True))
    batch = EVERY.iq(*columns)
    assert batch.shape == (len(rows), 2, 1024)
    assert bool(batch.isfinite().all())
    for row in (0, len(rows) // 2, len(rows) - 1):
        assert torch.equal(EVERY.iq(*(c[row : row + 1] for c in columns))[0], batch[row])


def test_splits_and_epochs_share_no_frame() -> None:
    small = oversampled(modulations=("QPSK", "OQPSK", "GMSK"), snr_db=(0, 20), samples=64)
    modulation, snr, _ = every_cell(small)
    starts = [first + index for first in SPLITS.values() for index in range(4)]
    seen = torch.cat([small.iq(modulation, snr, torch.full_like(modulation, start)) for start in starts])
    assert len(np.unique(seen.flatten(1).numpy(), axis=0)) == len(seen) == 12 * 6


def test_symbols_noise_and_offsets_of_a_frame_are_independent() -> None:
    """Rank correlations over frames; one stream of words used twice would show in them."""
    frames = oversampled(channel={"fading": "rayleigh", "paths": 1, "delay_spread": 0})
    label = labels(frames, "256QAM", 2000)
    truth = frames.truth(*label)
    assert truth.gains is not None
    noise = torch.view_as_complex((frames.iq(*label) - frames.signal(*label)).transpose(1, 2).contiguous())
    guarded = frames.symbols(label[0], frames.keys(*label))
    columns = [guarded[:, 0], guarded[:, 3], noise[:, 0].abs(), noise[:, 3].abs(), noise[:, 0].angle()]
    columns += [truth.timing, truth.phase, truth.cfo.abs(), truth.rate.abs(), truth.rolloff]
    columns += [truth.gains[:, 0].abs(), truth.gains[:, 0].angle()]
    correlation = stats.spearmanr(torch.stack([c.double() for c in columns], 1).numpy()).statistic - np.eye(12)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(2000)


def test_frames_are_those_of_their_first_version() -> None:
    """Words to the bit, what follows from them to rounding: if this fails on purpose, raise the generator's version."""
    described = manifest(Data(scenario="oversampled", modulations="digital-17"))
    assert described["sha256"] == "110e2672d141cda6d0f0ac44f83b7c569f8b05cd0f3926c05963fd78d9425613"
    frames = oversampled(channel={"fading": "rician"})
    label = labels(frames, "OQPSK", 1, 5)
    truth = frames.truth(*label)
    assert truth.gains is not None
    drawn = [truth.timing, truth.phase, truth.cfo * 1e4, truth.rate * 1e4, truth.rolloff, truth.gains[:, 1].real]
    assert torch.cat(drawn).tolist() == pytest.approx([3.14535, 1.31411, 0.62252, 1.29426, 0.27035, -0.10499], abs=1e-4)
    received = frames.iq(*label)[0, :, 100:103].flatten().tolist()
    assert received == pytest.approx([0.4858, 0.8703, -0.0896, 0.0077, 0.0032, -0.0939], abs=1e-3)


def test_the_manifest_says_what_the_frames_depend_on() -> None:
    plain = manifest(Data(scenario="oversampled", modulations="digital-17"))
    assert plain["generator"] == "oversampled/1"
    assert plain["modulations"] == list(DIGITAL)
    assert {"pulse", "channel", "snr_definition"} <= set(plain)
    changed = [
        {"snr_definition": "esn0"}, {"pulse": {"rolloff": (0.2, 0.2)}}, {"channel": {"fading": "rayleigh"}},
        {"symbols": {"apsk_32": "9/10"}}, {"modulations": "digital-19"}, {"snr_db": "-20..30"},
    ]  # fmt: skip
    base = {"scenario": "oversampled", "modulations": "digital-17"}
    digests = {manifest(Data(**{**base, **change}))["sha256"] for change in changed}
    assert len(digests | {plain["sha256"]}) == len(changed) + 1


@pytest.mark.parametrize(("wrong", "message"), [
    ({"modulations": ("QPSK", "GMSK")}, "GMSK need data.scenario = oversampled"),
    ({"scenario": "oversampled", "modulations": ("QPSK", "FSK")}, "each once, out of .*OQPSK.*GMSK"),
    ({"pulse": {"samples_per_symbol": 4}}, "nothing reads it at one sample a symbol"),
    ({"channel": {"timing": 0.0}}, "nothing reads it at one sample a symbol"),
    ({"scenario": "oversampled", "samples": 7}, "at least one symbol of 8"),
    ({"snr_db": (0, 10, 0)}, "increasing values in dB"),
    ({"snr_db": (0, 2000)}, "from -60 to 100 dB"),
    ({"symbols": {"apsk_32": "2/3"}}, "32APSK has no code rate '2/3'; choose from 3/4, 4/5"),
    ({"scenario": "oversampled", "pulse": {"rolloff": (0.4, 0.1)}}, "lowest <= highest"),
])  # fmt: skip
def test_impossible_data_sets_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Data(**wrong)

"""The generator and its images: SNR measured back, seeds that hang on nothing else, equality with numpy."""

import math

import numpy as np
import pytest
import torch

from tocsin.studies.constellation.ceilings.baselines import cell_probabilities
from tocsin.studies.constellation.ceilings.oracle import Oracle
from tocsin.studies.constellation.config import Data, View
from tocsin.studies.constellation.data.generated import SPLITS, Frames, manifest
from tocsin.studies.constellation.signal.modulation import constellation
from tocsin.studies.constellation.view.image import grey, histogram, normalise_power

DATA = Data()
VIEW = View()
FRAMES = Frames(DATA)


def every_cell() -> tuple[torch.Tensor, torch.Tensor]:
    cell = torch.arange(FRAMES.cells)
    return cell // len(DATA.snr_db), cell % len(DATA.snr_db)


def test_the_snr_is_the_one_on_the_label() -> None:
    """Noise power measured against the known symbols, over 8 frames of every (modulation, SNR) pair."""
    modulation, snr = every_cell()
    noise = torch.zeros(FRAMES.cells)
    for index in range(8):
        frame = modulation, snr, torch.full_like(modulation, index)
        sent = torch.view_as_real(FRAMES.truth(*frame).symbols).transpose(1, 2)
        noise += (FRAMES.iq(*frame) - sent).square().sum(1).mean(1) / 8
    measured = -10 * torch.log10(noise.view(len(DATA.modulations), len(DATA.snr_db)).mean(0))
    assert np.allclose(measured.numpy(), DATA.snr_db, atol=0.1)
    each = -10 * torch.log10(noise).numpy()
    assert np.abs(each - np.asarray(DATA.snr_db)[snr.numpy()]).max() < 0.25  # sd of 8192 samples: 0.05 dB


def test_signal_power_is_one_and_symbols_are_uniform() -> None:
    modulation = torch.full((64,), DATA.modulations.index("16QAM"))
    keys = FRAMES.keys(modulation, torch.zeros_like(modulation), torch.arange(64))
    count = np.bincount(FRAMES.symbols(modulation, keys).numpy().reshape(-1), minlength=16)
    from scipy import stats

    assert count.size == 16
    assert stats.chisquare(count).pvalue > 1e-3


def test_a_frame_depends_on_its_own_label_and_index_only() -> None:
    modulation, snr = every_cell()
    index = torch.arange(FRAMES.cells) * 7
    together = FRAMES.iq(modulation, snr, index)
    shuffled = torch.randperm(FRAMES.cells, generator=torch.Generator().manual_seed(1))
    assert torch.equal(FRAMES.iq(modulation[shuffled], snr[shuffled], index[shuffled]), together[shuffled])
    alone = FRAMES.iq(modulation[100:101], snr[100:101], index[100:101])
    assert torch.equal(alone[0], together[100])
    assert not torch.equal(FRAMES.iq(modulation, snr, index + 1), together)
    assert not torch.equal(Frames(Data(root=1)).iq(modulation, snr, index), together)


def test_a_preset_with_fewer_classes_sees_the_same_frames() -> None:
    few = Data(modulations=("16QAM", "BPSK"), snr_db=(4, 10))
    one = torch.tensor([1])
    wide = FRAMES.iq(torch.tensor([DATA.modulations.index("BPSK")]), torch.tensor([5]), torch.tensor([3]))
    assert torch.equal(Frames(few).iq(one, one, torch.tensor([3])), wide)


def test_epochs_and_splits_share_no_frame_and_every_cell_has_its_share() -> None:
    small = Data(modulations=("BPSK", "QPSK", "8PSK"), snr_db=(0, 10), samples=32, train_per_cell=4, val_per_cell=4)
    frames = Frames(small, view=View(bins=16))
    batches = [b for epoch in (1, 2) for b in frames.training(epoch, 5, seed=0)] + list(frames.held_out("val", 5))
    pictures = torch.cat([b.counts for b in batches]).flatten(1).numpy()
    assert len(np.unique(pictures, axis=0)) == len(pictures) == 3 * 24
    labels = torch.cat([b.modulation * 2 + b.snr for b in batches[:5]])
    assert torch.bincount(labels).tolist() == [4] * 6
    first, again, other = (torch.cat([b.counts for b in frames.training(1, 5, seed=s)]) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first.sum(0), other.sum(0))  # another seed: the same frames in another order


def test_histogram_equals_numpy() -> None:
    """Cell for cell, but for values within float32 rounding of an edge (at most one sample in 10,000)."""
    modulation, snr = every_cell()
    iq = normalise_power(FRAMES.iq(modulation, snr, torch.zeros_like(snr)))
    counts, outside = histogram(iq, VIEW.bins, VIEW.extent)
    limits = [[-VIEW.extent, VIEW.extent]] * 2
    moved = 0
    for frame, count in zip(iq.double().numpy(), counts.numpy(), strict=True):
        inside = np.clip(frame, -VIEW.extent, VIEW.extent)
        expected, _, _ = np.histogram2d(inside[0], inside[1], bins=VIEW.bins, range=limits)
        moved += np.abs(expected - count).sum() / 2
    assert moved <= 1e-4 * counts.sum().item()
    assert (counts.sum((1, 2)) == DATA.samples).all()
    assert torch.equal(outside, (iq.abs() > VIEW.extent).any(1).sum(1))


def test_samples_out_of_range_are_kept_in_the_border_and_counted() -> None:
    iq = torch.tensor([[[0.1, 9.0, -9.0], [0.1, 0.1, -3.5]]])
    counts, outside = histogram(iq, 16, 3.0)
    assert outside.tolist() == [2]
    assert counts[0, 8, 8] == counts[0, 15, 8] == counts[0, 0, 0] == 1


def test_grey_level_of_a_count_is_the_same_in_every_image() -> None:
    counts = torch.zeros(2, 1, 16, 16, dtype=torch.int16)
    counts[0, 0, 3, 3], counts[1, 0, 3, 3], counts[1, 0, 0, 0] = 1, 1, 1024
    image = grey(counts, 1024)
    assert image.shape == (2, 1, 16, 16)
    assert image[0, 0, 3, 3] == image[1, 0, 3, 3]
    assert float(image.max()) == pytest.approx(1.0)


def test_the_manifest_changes_with_the_data_and_with_nothing_else() -> None:
    fingerprint = manifest(DATA)["sha256"]
    assert manifest(Data())["sha256"] == fingerprint
    assert fingerprint == "36d243573fac2419074f1cbfebd25def8322bc3a89b0b635a86981edaccdfa2c"
    changed = {
        manifest(Data(**c))["sha256"] for c in ({"root": 1}, {"samples": 512}, {"snr_db": (0, 2)}, {"val_per_cell": 9})
    }
    assert len(changed | {fingerprint}) == 5


def test_cell_probabilities_sum_to_one_and_match_the_generator() -> None:
    table = cell_probabilities(constellation("16APSK"), 10, 64, 3.0, math.sqrt(1.1))
    assert table.sum() == pytest.approx(1.0, abs=1e-9)
    modulation = torch.full((512,), DATA.modulations.index("16APSK"))
    seen = FRAMES.seen(modulation, torch.full_like(modulation, 5), torch.arange(512))
    share = seen.counts[:, 0].double().mean(0).numpy() / DATA.samples
    assert np.abs(share - table).max() < 6 * np.sqrt(table.max() / (512 * DATA.samples))


def test_the_bayes_oracle_reaches_the_known_ceiling() -> None:
    """Measured elsewhere with its own generator: modulation .826, SNR .901, joint .795 (24 frames a pair)."""
    modulation, snr = every_cell()
    modulation, snr = modulation.repeat(4), snr.repeat(4)
    counts = FRAMES.seen(modulation, snr, SPLITS["test"] + torch.arange(4).repeat_interleave(FRAMES.cells)).counts
    found = Oracle(DATA, VIEW).predict(counts[:, 0])
    levels = len(DATA.snr_db)
    assert float((found // levels == modulation).float().mean()) == pytest.approx(0.826, abs=0.04)
    assert float((found % levels == snr).float().mean()) == pytest.approx(0.901, abs=0.03)
    assert float((found == modulation * levels + snr).float().mean()) == pytest.approx(0.795, abs=0.04)

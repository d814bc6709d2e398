"""The synchronous scenario: its frames are those of its first version, bit for bit."""

import numpy as np
import torch

from tocsin.studies.constellation.config import Data
from tocsin.studies.constellation.data.generated import Frames
from tocsin.studies.constellation.signal import random_bits
from tocsin.studies.constellation.signal.modulation import NAMES, constellation

DATA = Data()
FRAMES = Frames(DATA)


def every_cell() -> tuple[torch.Tensor, torch.Tensor]:
    cell = torch.arange(FRAMES.cells)
    return cell // len(DATA.snr_db), cell % len(DATA.snr_db)


def test_synchronous_frames_are_those_of_their_first_version_bit_for_bit() -> None:
    """Version 1 as it was first written: word 2 n of the key is symbol n, word 2 n + 1 its noise."""
    modulation, snr = every_cell()
    index = torch.full_like(modulation, 3)
    position = torch.arange(DATA.samples)
    numbers = torch.tensor([NAMES.index(name) for name in DATA.modulations])
    keys = random_bits.key(2018, numbers[modulation], torch.tensor(DATA.snr_db)[snr], index)
    received = FRAMES.iq(modulation, snr, index)
    noise = torch.stack(random_bits.complex_normal(random_bits.words(keys, 2 * position + 1)))
    for row, (name, decibels) in enumerate((name, db) for name in DATA.modulations for db in DATA.snr_db):
        points = torch.from_numpy(constellation(name).astype(np.complex64))
        words = random_bits.words(keys[row : row + 1], 2 * position)
        sent = points[random_bits.integers(words, torch.tensor([[points.numel()]]))][0]
        sigma = 10.0 ** (-torch.tensor([float(decibels)]) / 20)
        expected = torch.stack([sent.real, sent.imag]) + noise[:, row] * sigma
        assert torch.equal(received[row], expected)


def test_the_truth_of_a_synchronous_frame_has_no_offsets() -> None:
    modulation, snr = every_cell()
    truth = FRAMES.truth(modulation, snr, snr)
    assert torch.equal(truth.instants, torch.arange(1024.0).expand(FRAMES.cells, 1024))
    assert not any(part.any() for part in (truth.timing, truth.phase, truth.cfo, truth.rate))
    assert truth.gains is None
    assert torch.equal(torch.view_as_real(truth.symbols).transpose(1, 2), FRAMES.signal(modulation, snr, snr))

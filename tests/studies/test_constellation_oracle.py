"""The Bayes classifier of an image, with the jitter of a frame's own power."""

import numpy as np
import pytest
import torch

from tocsin.studies.constellation.ceilings.baselines import Linear, cell_probabilities
from tocsin.studies.constellation.ceilings.oracle import Oracle, amplitude_jitter
from tocsin.studies.constellation.config import Data, View
from tocsin.studies.constellation.data.generated import SPLITS, Frames
from tocsin.studies.constellation.view.image import normalise_power

DATA = Data(modulations=("QPSK", "16QAM", "64QAM"), snr_db=(24, 26, 28, 30))


def linear(view):
    """The classifier that takes the ensemble's power for each frame's."""
    scales = [1.0 if view.power == "none" else np.sqrt(1 + 10 ** (-db / 10)) for db in DATA.snr_db]
    return Linear(
        np.stack(
            [
                cell_probabilities(DATA.constellation(name), db, view.bins, view.extent, scale).reshape(-1)
                for name in DATA.modulations
                for db, scale in zip(DATA.snr_db, scales, strict=True)
            ]
        )
    )


def right(classifier, view, each=25):
    frames = Frames(DATA, view=view)
    cell = torch.arange(frames.cells).repeat(each)
    index = SPLITS["test"] + torch.arange(each).repeat_interleave(frames.cells)
    batch = frames.batch(cell, index)
    return float((classifier.predict(batch.counts[:, 0]) == cell).double().mean())


def test_jitter_of_the_amplitude_is_that_of_generated_frames():
    frames = Frames(DATA)
    n = 300
    for modulation, snr in ((0, 0), (2, 3)):
        iq = frames.iq(torch.full((n,), modulation), torch.full((n,), snr), torch.arange(n))
        divided = iq[:, 0, 0] / normalise_power(iq)[:, 0, 0]
        points = DATA.constellation(DATA.modulations[modulation])
        expected = amplitude_jitter(points, DATA.snr_db[snr], DATA.samples)
        assert float(divided.std() / divided.mean()) == pytest.approx(expected, rel=4 / np.sqrt(2 * n))


def test_where_frames_are_divided_by_their_own_power_the_jitter_is_known():
    view = View(power="sample")
    known, unknown = right(Oracle(DATA, view), view), right(linear(view), view)
    assert known > unknown + 0.03
    assert known > 0.99


@pytest.mark.parametrize("power", ["ensemble", "none"])
def test_without_jitter_it_is_linear_in_the_counts(power):
    view = View(power=power)
    frames = Frames(DATA, view=view)
    cell = torch.arange(frames.cells).repeat(4)
    counts = frames.batch(cell, torch.arange(len(cell))).counts[:, 0]
    assert torch.equal(Oracle(DATA, view).predict(counts), linear(view).predict(counts))

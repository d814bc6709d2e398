"""Histograms equal to numpy's, grey levels that mean the same in every image, and frames that do not see each other."""

import numpy as np
import pytest
import torch

from tocsin.studies.constellation.config import Config, Data
from tocsin.studies.constellation.config.view import View
from tocsin.studies.constellation.data.generated import Frames
from tocsin.studies.constellation.view.image import CHUNK, grey, histogram, normalise_power
from tocsin.studies.constellation.view.representation import differences, scaled, see

ALL = View(
    bins=32, layers=("samples", "instants", "lags"), lag=2, scalars=("m2m4", "spectral_floor", "cumulants"), input="iq"
)


def noise(frames: int, points: int = 1024, seed: int = 0) -> torch.Tensor:
    return torch.randn(frames, 2, points, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bins", [64, 128, 224])
def test_histogram_equals_numpy_but_for_points_on_an_edge(bins: int) -> None:
    """A point changes cells only where float32 puts it on the other side of an edge: within 1e-6 of one."""
    iq, extent = noise(CHUNK + 3), 3.0
    counts, outside = histogram(iq, bins, extent)
    edges = np.linspace(-extent, extent, bins + 1)
    for frame, found, strays in zip(iq.double().numpy(), counts.numpy(), outside.tolist(), strict=True):
        inside = np.clip(frame, -extent, extent)
        expected, _, _ = np.histogram2d(inside[0], inside[1], bins=bins, range=[[-extent, extent]] * 2)
        near = np.abs(inside[..., None] - edges[1:-1]).min(-1).min(0) < 1e-6
        assert np.abs(expected - found).sum() <= 2 * near.sum()
        assert found.sum() == frame.shape[1]
        assert strays == (np.abs(frame) > extent).any(0).sum()


def test_points_on_the_edges_of_the_range_are_inside_as_in_numpy() -> None:
    counts, outside = histogram(torch.tensor([[[-3.0, 3.0, 0.0], [3.0, -3.0, 0.0]]]), 16, 3.0)
    assert counts[0, 0, 15] == counts[0, 15, 0] == counts[0, 8, 8] == 1
    assert outside.tolist() == [0]


def test_what_is_not_a_number_is_counted_as_outside_and_breaks_nothing() -> None:
    iq = noise(2, 8).clamp(-2, 2)
    iq[0, 0, 0], iq[0, 1, 1], iq[0, :, 2] = torch.nan, torch.inf, -torch.inf
    counts, outside = histogram(iq, 16, 3.0)
    assert counts.sum((1, 2)).tolist() == [8, 8]
    assert outside.tolist() == [3, 0]
    assert torch.equal(counts[1], histogram(iq[1:], 16, 3.0)[0][0])


def test_more_points_than_a_count_can_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 32767 points a frame, got 32768"):
        histogram(torch.zeros(1, 2, 32768), 16, 3.0)
    assert histogram(torch.zeros(1, 2, 32767), 16, 3.0)[0].max() == 32767


def test_grey_levels_are_constants_but_for_the_ablation() -> None:
    counts = torch.zeros(2, 2, 16, 16, dtype=torch.int16)
    counts[0, 0, 3, 3], counts[1, 1, 3, 3], counts[1, 1, 0, 0] = 1, 1, 100
    log, linear, largest = (grey(counts, 1024, scale) for scale in ("log", "linear", "max"))
    for image, expected in ((log, np.log(2) / np.log(1025)), (linear, 1 / 1024)):
        assert image[0, 0, 3, 3] == image[1, 1, 3, 3]
        assert float(image[0, 0, 3, 3]) == pytest.approx(expected, rel=1e-6)
    assert (float(largest[0, 0, 3, 3]), float(largest[1, 1, 3, 3])) == (1.0, pytest.approx(0.01))
    assert float(largest[0, 1].max()) == 0.0
    full = torch.full((1, 1, 1, 1), 1024, dtype=torch.int16)
    assert [float(grey(full, 1024, scale)) for scale in ("log", "linear", "max")] == pytest.approx([1.0, 1.0, 1.0])


def test_a_frame_looks_the_same_whatever_is_beside_it() -> None:
    """No scale comes from the batch: others may be a thousand times stronger, or of any label."""
    frames = Frames(Data(scenario="oversampled", modulations=("BPSK", "256QAM", "OQPSK"), snr_db=(0, 14, 30)))
    cell = torch.arange(9)
    iq = frames.iq(cell // 3, cell % 3, cell)
    loud = torch.cat([iq[4:5], 1000 * iq, torch.zeros_like(iq[:1])])
    alone, beside = see(iq[4:5], ALL, 8), see(loud, ALL, 8)
    assert torch.equal(alone.counts[0], beside.counts[0])
    assert torch.allclose(alone.scalars[0], beside.scalars[0], atol=1e-4)
    assert torch.equal(alone.iq[0], beside.iq[0])
    assert alone.overflow[0] == beside.overflow[0]


def test_a_frame_looks_the_same_at_any_gain_if_its_own_power_is_the_unit() -> None:
    iq = noise(3)
    assert torch.allclose(scaled(7 * iq, View()), scaled(iq, View()), atol=1e-6)
    assert torch.allclose(normalise_power(iq).square().sum(1).mean(1), torch.ones(3))
    assert torch.equal(normalise_power(torch.zeros(1, 2, 4)), torch.zeros(1, 2, 4))


def test_the_powers_that_frames_are_divided_by() -> None:
    """With the ensemble's, signal and noise together have mean power 1 at every SNR, and frames differ as they did."""
    data = Data(modulations=("QPSK", "16QAM"), snr_db=(0, 10))
    cell = torch.arange(4)
    found = {}
    for power in ("sample", "ensemble", "none"):
        frames = Frames(data, view=View(input="iq", power=power))
        each = [frames.batch(cell, torch.full_like(cell, k)).iq.square().sum(1).mean(1) for k in range(32)]
        found[power] = torch.stack(each)
    assert torch.allclose(found["sample"], torch.ones(32, 4))
    assert torch.allclose(found["ensemble"].mean(0), torch.ones(4), atol=0.02)
    assert torch.allclose(found["none"].mean(0), torch.tensor([2.0, 1.1, 2.0, 1.1]), atol=0.03)
    assert float(found["ensemble"][:, 2].std()) > 0.01
    with pytest.raises(ValueError, match="nobody knows the power of the ensemble"):
        see(noise(1), View(power="ensemble"), 1)


def test_layers_and_features_come_in_their_order_and_shape() -> None:
    batch = Frames(Data(scenario="oversampled", modulations=("QPSK", "8PSK")), view=ALL).batch(
        torch.arange(4), torch.zeros(4, dtype=torch.int64)
    )
    assert batch.counts.shape == (4, 3, 32, 32)
    assert batch.counts.dtype == torch.int16
    assert batch.counts.sum((2, 3)).tolist() == [[1024, 120, 1022]] * 4
    assert batch.scalars.shape == (4, 5)
    assert batch.iq is not None
    assert batch.iq.shape == (4, 2, 1024)
    reordered = View(bins=32, layers=("lags", "samples"), lag=2, scalars=("spectral_floor",))
    other = see(batch.iq, reordered, 8)
    assert other.iq is None
    assert torch.equal(other.counts, batch.counts[:, [2, 0]])
    assert torch.allclose(other.scalars[:, 0], batch.scalars[:, 1], atol=1e-4)


def test_differences_double_the_power_of_white_noise_and_lose_what_is_slow() -> None:
    iq = noise(4, 4096)
    assert torch.equal(differences(iq, 3, 1), iq[..., 3:] - iq[..., :-3])
    assert torch.allclose(differences(iq, 1, 2), iq[..., 2:] - 2 * iq[..., 1:-1] + iq[..., :-2], atol=1e-5)
    assert float(differences(iq, 5, 1).square().sum(1).mean()) == pytest.approx(4.0, rel=0.05)
    assert float(differences(iq, 1, 2).square().sum(1).mean()) == pytest.approx(12.0, rel=0.05)
    ramp = torch.arange(64.0).expand(1, 2, 64)
    assert torch.equal(differences(ramp, 4, 2), torch.zeros(1, 2, 56))


@pytest.mark.parametrize(
    ("view", "data", "message"),
    [
        ({"layers": ("instants",)}, {}, "every sample is an instant"),
        ({"scalars": ("spectral_floor",)}, {}, "no frequency is free of signal"),
        ({"layers": ("lags",), "lag": 600, "differences": 2}, {}, "need more than 1024 samples"),
        ({"scalars": ("m2m4",)}, {"scenario": "oversampled", "samples": 1020}, "a multiple of 8 above 64, came 1020"),
        ({"layers": ("instants",)}, {"scenario": "oversampled", "samples": 64}, "a multiple of 8 above 64, came 64"),
        ({"layers": ()}, {}, "at least 1 item"),
        ({"layers": ("samples", "samples")}, {}, "expected each name once"),
        ({"scalars": ("m2m4", "m2m4")}, {}, "expected each name once"),
        ({"lag": 2}, {}, "nothing reads lag without the layer lags"),
        ({"bins": 60}, {}, "multiple of 16"),
    ],
)
def test_views_that_cannot_be_are_explained(view: dict[str, object], data: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config.model_validate({"view": view, "data": data})

"""Networks and heads: shapes, probabilities that sum to one, and what each head's output means."""

from __future__ import annotations

import cmath

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import norm

from tocsin.studies.constellation.config.network import Network
from tocsin.studies.constellation.model.backbones import NAMES, Backbone, load_weights
from tocsin.studies.constellation.model.heads import Heads, expected_level, snr_log_probabilities
from tocsin.studies.constellation.model.network import ConstellationNet
from tocsin.studies.study import StudyError

LEVELS = tuple(range(0, 32, 2))
SIZES = {"resnet18": 11.17, "resnet34": 21.28, "resnet50": 23.50, "vit-b16": 85.4, "swin-t": 27.52}


def built(layers=1, bins=32, scalars=0, **settings):
    torch.manual_seed(0)
    return ConstellationNet(
        Network(**settings), layers=layers, bins=bins, scalars=scalars, modulations=5, snr_db=LEVELS
    )


@pytest.mark.parametrize("task", ["factored", "joint", "conditional"])
@pytest.mark.parametrize("head", ["standard", "bottleneck", "dual", "regression", "corn", "distributional"])
def test_every_answer_is_a_distribution(task, head):
    if task != "factored" and head != "standard":
        return
    net = built(task=task, snr_head=head)
    said = net.heads.log_probabilities(net(torch.randn(7, 1, 32, 32)))
    assert {name: tuple(p.shape) for name, p in said.items()} == {
        "modulation": (7, 5),
        "snr": (7, 16),
        "joint": (7, 80),
    }
    for p in said.values():
        torch.testing.assert_close(p.exp().sum(1), torch.ones(7))
    pairs = said["joint"].exp().unflatten(1, (5, 16))
    torch.testing.assert_close(pairs.sum(2), said["modulation"].exp(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(pairs.sum(1), said["snr"].exp(), atol=1e-5, rtol=1e-4)


def test_a_conditional_head_can_say_what_a_factored_one_cannot():
    """The SNR of one modulation is sure and that of another is not: p(snr | mod) is no product."""
    heads = Heads(Network(task="conditional"), 2, 2, torch.tensor((0, 2)))
    given = torch.tensor([[[9.0, 0.0], [0.0, 0.0]]])
    pairs = heads.log_probabilities({"modulation": torch.zeros(1, 2), "snr_given_modulation": given})["joint"].exp()
    assert torch.linalg.matrix_rank(pairs.view(2, 2), atol=1e-3) == 2


def test_corn_is_the_product_of_its_conditionals():
    raw, levels = torch.randn(4, 15, dtype=torch.float64), torch.tensor(LEVELS, dtype=torch.float64)
    p = snr_log_probabilities("corn", raw, levels).exp().numpy()
    above = np.cumprod(1 / (1 + np.exp(-raw.numpy())), axis=1)  # P(level > k)
    expected = np.concatenate([np.ones((4, 1)), above], 1) - np.concatenate([above, np.zeros((4, 1))], 1)
    np.testing.assert_allclose(p, expected, atol=1e-12)


def test_a_distribution_over_decibels_is_scipys():
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    raw = torch.tensor([[0.3, 1.0], [-4.0, -9.0]], dtype=torch.float64)
    p = snr_log_probabilities("distributional", raw, levels).exp().numpy()
    x = (np.array(LEVELS) - np.mean(LEVELS)) / np.std(LEVELS)
    edges = np.concatenate([[-np.inf], (x[1:] + x[:-1]) / 2, [np.inf]])
    sd = np.exp(-4 + np.log1p(np.exp(raw[:, 1].numpy() + 4)))
    expected = np.diff(norm.cdf((edges[None] - raw[:, :1].numpy()) / sd[:, None]), axis=1)
    np.testing.assert_allclose(p, expected, atol=1e-12)


def test_a_regression_answers_the_nearest_level():
    levels = torch.tensor(LEVELS, dtype=torch.float32)
    said = torch.tensor([[-5.0], [0.0], [0.11], [5.0]])
    assert snr_log_probabilities("regression", said, levels).argmax(1).tolist() == [0, 7, 8, 15]
    assert expected_level(levels, said[:, 0]).tolist() == [0, 7, 8, 15]


def test_scalars_and_samples_go_in():
    net = built(layers=3, scalars=4)
    one = net(torch.zeros(2, 3, 32, 32), torch.zeros(2, 4))["snr"]
    assert not torch.equal(one, net(torch.zeros(2, 3, 32, 32), torch.ones(2, 4))["snr"])
    assert built(backbone="micro-iq")(torch.randn(2, 2, 1024))["modulation"].shape == (2, 5)


@pytest.mark.parametrize(("phase", "channels"), [(0.3, 8), (2.0, 24), (-1.57, 32)])
def test_a_phase_of_the_carrier_is_not_seen_in_samples(phase, channels):
    network = built(backbone="micro-iq", channels=channels).double().eval()
    iq = torch.randn(3, 2, 256, dtype=torch.float64)
    turned = torch.view_as_real(torch.view_as_complex(iq.mT.contiguous()) * cmath.exp(1j * phase)).mT
    plain, rotated = network(iq), network(turned)
    for name in plain:
        torch.testing.assert_close(rotated[name], plain[name], rtol=1e-4, atol=1e-5)
    conjugated = network(iq * torch.tensor([1.0, -1.0])[:, None])
    assert not torch.allclose(conjugated["modulation"], plain["modulation"], atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_full_size_networks_have_the_sizes_of_the_papers(name):
    with torch.device("meta"):
        body = Backbone(name, layers=1, bins=224, dropout=0.0)
    millions = sum(p.numel() for p in body.parameters()) / 1e6
    assert millions == pytest.approx(SIZES[name], rel=0.01)


def test_a_full_size_network_takes_a_step():
    net = built(layers=2, bins=64, backbone="resnet18")
    picture = torch.randn(2, 2, 64, 64)
    said = net(picture)
    (said["modulation"].square().mean() + said["snr"].square().mean()).backward()
    assert all(p.grad is not None for p in net.parameters())


def test_weights_come_from_a_file_alone_and_must_fit(tmp_path):
    body, grey = Backbone("resnet18", 3, 64, 0.0), Backbone("resnet18", 1, 64, 0.0)
    torch.save({f"resnet.{k}": v for k, v in body.body.state_dict().items()}, tmp_path / "colour.pt")
    load_weights(grey, tmp_path / "colour.pt")
    picture = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(grey.eval()(picture), body.eval()(picture.expand(-1, 3, -1, -1)), rtol=1e-3, atol=1e-4)
    with pytest.raises(StudyError, match="are missing or of another shape"):
        load_weights(Backbone("resnet34", 1, 64, 0.0), tmp_path / "colour.pt")
    with pytest.raises(StudyError, match="does not exist"):
        load_weights(grey, tmp_path / "absent.pt")
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(StudyError, match="expected tensors by name"):
        load_weights(grey, tmp_path / "list.pt")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "joint", "snr_head": "corn"}, "belongs to task factored"),
        ({"bottleneck": 8}, "read by snr_head bottleneck"),
        ({"weights": "w.pt"}, "for a full-size backbone"),
        ({"backbone": "swin-t", "norm": "batch"}, "not by swin-t"),
    ],
)
def test_settings_that_nothing_would_read_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Network(**settings)

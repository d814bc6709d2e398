"""DAT002 before the run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from tocsin import preflight
from tocsin.prechecks.neighbours import nearness

DIGITS = torch.tensor(load_digits().data, dtype=torch.float32)


def batches(x, size=64):
    return [(part, torch.zeros(len(part))) for part in x.split(size)]


def overlap(train, val, **options):
    x = (train[0] if isinstance(train, list) else next(iter(train)))[0]
    model = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 1))
    return preflight(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), 0.1),
        losses=lambda m, b: m(b[0].float()).mean(),
        train=train,
        val=val,
        select=["DAT002"],
        options={"DAT002": options},
    )


def split(x, seed=0, part=0.75):
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    n = int(part * len(x))
    return x[order[:n]], x[order[n:]]


def test_exact_copies_ring_with_their_number():
    train, held = split(DIGITS)
    held = torch.cat([held[:150], train[:50]])
    (found,) = overlap(batches(train), batches(held)).findings
    assert found.severity == "warning"
    assert found.message == "50 of 200 evaluation samples are training samples, entry for entry (25%, at least 20%)"
    assert found.evidence[0].interval[0] == pytest.approx(0.1951, abs=1e-3)
    assert found.name == "train-eval-overlap"


def test_evaluating_on_the_training_data_is_an_error():
    train, _ = split(DIGITS)
    (found,) = overlap(batches(train), batches(train)).findings
    assert found.severity == "error"


def test_one_batch_that_is_evaluated_is_a_note():
    (found,) = overlap(batches(DIGITS[:64]), batches(DIGITS[:64])).findings
    assert found.severity == "note"
    assert found.message.endswith("training has this one batch only")


def test_a_sampler_with_replacement_hides_nothing():
    train, held = split(DIGITS)
    data = TensorDataset(train, torch.zeros(len(train)))
    loader = DataLoader(data, 64, sampler=RandomSampler(data, replacement=True))
    assert overlap(loader, batches(train[:400])).findings
    assert not overlap(loader, batches(held)).findings


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_split_is_silent(seed):
    report = overlap(*map(batches, split(DIGITS, seed)))
    assert not report.findings
    assert "DAT002" in report.clean


@pytest.mark.parametrize("seed", range(3))
def test_few_possible_inputs_are_silent(seed):
    made = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 2, (1200, 6), generator=made).float()
    assert not overlap(batches(x[:1000]), batches(x[1000:])).findings
    rare = (torch.rand(1200, 20, generator=made) < 0.1).float()  # many alike, many alone
    assert not overlap(batches(rare[:1000]), batches(rare[1000:])).findings


def test_blank_samples_do_not_count():
    train, held = split(DIGITS)
    train[:200], held[:200] = 0.0, 0.0
    assert not overlap(batches(train), batches(held)).findings


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dimensions", [1, 2, 4])
def test_samples_on_a_curve_or_a_surface_are_silent(dimensions, seed):
    made = torch.Generator().manual_seed(seed)
    z = torch.randn(1500, dimensions, generator=made)
    x = torch.tanh(z @ torch.randn(dimensions, 30, generator=made))
    assert not overlap(batches(x[:1100]), batches(x[1100:])).findings


def test_a_denser_evaluation_is_silent():
    made = torch.Generator().manual_seed(0)
    near, far = 0.05 * torch.randn(1500, 20, generator=made), 3 * torch.randn(700, 20, generator=made)
    assert not overlap(batches(torch.cat([near[:700], far])), batches(near[700:])).findings


def test_samples_with_a_little_noise_ring():
    train, held = split(DIGITS)
    noise = 0.05 * train.std(dim=0) * torch.randn(100, 64, generator=torch.Generator().manual_seed(1))
    (found,) = overlap(batches(train), batches(torch.cat([held, train[:100] + noise]))).findings
    assert found.subject == "nearly"
    assert found.severity == "warning"
    assert found.message == (
        "100 of 550 evaluation samples (18%) are nearly the same as a training sample: less than 0.25 times as far "
        "from it as that is from any other training sample; so are 0.0% of the training samples among themselves"
    )


def test_pairs_that_the_split_tears_apart_ring():
    made = torch.Generator().manual_seed(0)
    x = torch.randn(600, 30, generator=made).repeat_interleave(2, dim=0)
    x = x + 0.05 * torch.randn(x.shape, generator=made)
    (found,) = overlap(*map(batches, split(x))).findings
    assert found.subject == "nearly"


def test_large_inputs_are_projected():
    made = torch.Generator().manual_seed(0)
    x = torch.randn(500, 3, 16, 16, generator=made)
    copies = x[:60] + 0.02 * torch.randn(60, 3, 16, 16, generator=made)
    (found,) = overlap(batches(x[:400]), batches(torch.cat([x[400:], copies]))).findings
    assert "60 of 160 evaluation samples (38%) are nearly" in found.message


def test_identifiers_have_no_distance():
    x = torch.randint(0, 977, (1000, 8), generator=torch.Generator().manual_seed(0))
    assert "DAT002" in overlap(batches(x[:800]), batches(x[800:])).clean


def test_little_can_be_said_of_few_entries_few_samples_or_other_shapes():
    x = torch.randn(200, 8)
    for train, val in ((x[:, :2], x[:, :2]), (x[:100], x[100:110]), (x.reshape(-1, 4), x)):
        report = overlap(batches(train), batches(val))
        assert not report.findings
        assert [n.code for n in report.not_checked] == ["DAT002"]


def test_not_finite_inputs_do_no_harm():
    x = torch.randn(300, 8)
    x[::3, 2] = torch.nan
    assert not overlap(batches(x[:200]), batches(x[200:])).findings


def test_nearness_is_that_of_sklearn():
    train, held = (part.double() for part in split(torch.randn(400, 12, generator=torch.Generator().manual_seed(3))))
    found = nearness(train, held)
    scale = train.std(dim=0, correction=0)
    a, b = (train / scale).numpy(), (held / scale).numpy()
    near = NearestNeighbors().fit(a)
    d, at = near.kneighbors(b, 1)
    own = near.kneighbors(a, 2)[0][:, 1]
    np.testing.assert_allclose(found.held, d[:, 0] / own[at[:, 0]], rtol=1e-4)
    for q in (0, 7, 100):
        rest = np.delete(a, q, axis=0)
        fit = NearestNeighbors().fit(rest)
        d, at = fit.kneighbors(a[[q]], 1)
        assert found.trained[q] == pytest.approx(d[0, 0] / fit.kneighbors(rest[at[0]], 2)[0][0, 1], rel=1e-4)

"""OPT018: sums ring, means do not; token means and contrastive losses ring where batches are accumulated."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tocsin
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.halves import halved
from tocsin.prechecks.setup import Setup


def setup(loss, *, seed=0, accumulate=4, n=16, model=None, batches=None):
    torch.manual_seed(seed)
    model = model or nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
    batches = batches or [(torch.randn(n, 6), torch.randint(0, 3, (n,))) for _ in range(6)]
    return Setup(model, torch.optim.SGD(model.parameters(), 0.1), loss, batches, accumulate=accumulate)


def flown(*given, **how):
    return tocsin.preflight(setup(*given, **how), select=["OPT018"], options={"OPT018": {"seconds": 60}})


def mean(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def summed(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="sum")


def per_token(model, batch):
    """Mean over tokens that are not padding; ``batch`` has [N, T, 6] inputs and -100 beyond each length."""
    return F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())


def contrastive(model, batch):
    z = F.normalize(model(batch[0]), dim=1)
    return F.cross_entropy(z @ z.T / 0.1, torch.arange(len(z)))


def texts(lengths, seed=0, batches=8, n=4, t=32):
    """Targets that differ between long and short samples, as those of prompts and answers do."""
    g = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(batches):
        size = torch.randint(*lengths, (n,), generator=g)
        target = torch.where(size[:, None] > 8, 0, torch.randint(1, 3, (n, t), generator=g))
        target[torch.arange(t)[None, :] >= size[:, None]] = -100
        found.append((torch.randn(n, t, 6, generator=g), target))
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_mean_is_clean(seed, accumulate):
    assert flown(mean, seed=seed, accumulate=accumulate).clean == ("OPT018",)


@pytest.mark.parametrize("seed", range(3))
def test_a_sum_rings(seed):
    (found,) = flown(summed, seed=seed).findings
    assert (found.code, found.severity, found.subject) == ("OPT018", "warning", "sum")
    (found,) = flown(summed, seed=seed, accumulate=1).findings
    assert found.severity == "note"


def test_message_of_a_sum():
    assert flown(summed).findings[0].message == (
        "the loss is a sum over the samples: two halves of a batch have 0.5 [0.5, 0.5] of its gradient on average, "
        "where a mean has 1; 4 accumulated batches, divided by 4, give 1/4 of the gradient of one batch of that size"
    )


def test_messages():
    assert flown(per_token, seed=2, batches=texts((1, 33), 2)).findings[0].message == (
        "the loss is a mean over unequal numbers (of tokens, pixels or weights): those of whole batches differ by "
        "31.5% [12.3%, 50.7%] of their mean (standard deviation), and each of the 4 accumulated batches counts the "
        "same, whatever it holds"
    )
    assert flown(contrastive).findings[0].message == (
        "the loss compares the samples of a batch: the mean gradient of its halves is off by 22.0% [17.3%, 26.6%] of "
        "its own, so 4 accumulated batches are not one of that size"
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_mean_over_unequal_numbers_of_tokens_rings(seed):
    (found,) = flown(per_token, seed=seed, batches=texts((1, 33), seed)).findings
    assert (found.subject, found.severity) == ("weights", "warning")
    low, high = found.evidence[0].interval
    assert 0.05 < low < found.evidence[0].value < high


@pytest.mark.parametrize("seed", range(3))
def test_the_same_without_accumulation_or_with_equal_lengths_is_clean(seed):
    assert flown(per_token, seed=seed, batches=texts((1, 33), seed), accumulate=1).clean == ("OPT018",)
    assert flown(per_token, seed=seed, batches=texts((24, 33), seed)).clean == ("OPT018",)
    assert flown(per_token, seed=seed, batches=texts((32, 33), seed)).clean == ("OPT018",)


def test_contrastive_losses_ring_where_accumulated():
    assert flown(contrastive).findings[0].subject == "compared"
    assert flown(contrastive, accumulate=1).clean == ("OPT018",)


def test_the_gradients_are_those_of_a_separate_backward_pass():
    given = setup(per_token, batches=texts((1, 33)))
    given.model.eval()
    found = next(halved(Bench(given), given.train[0]))
    x, y = given.train[0]

    def flat(rows):
        given.model.zero_grad()
        per_token(given.model, (x[rows], y[rows])).backward()
        return torch.cat([p.grad.flatten() for p in given.model.parameters()]).double()

    whole, both = flat(slice(None)), (flat(slice(0, 2)) + flat(slice(2, 4))) / 2
    assert found.difference == pytest.approx(float((both - whole).norm() / whole.norm()), rel=1e-4)
    counts = [(y[rows] != -100).sum() for rows in (slice(0, 2), slice(2, 4))]
    assert found.imbalance == pytest.approx(float((counts[0] - counts[1]) / sum(counts)), rel=1e-3)
    assert found.unexplained < 1e-4
    assert found.norm == pytest.approx(float(both.norm() / whole.norm()), rel=1e-4)


def test_weight_decay_in_the_loss_is_clean():
    def decayed(model, batch):
        return mean(model, batch) + 0.1 * sum(p.square().sum() for p in model.parameters())

    assert flown(decayed).clean == ("OPT018",)


def noisy(model, batch):
    return mean(model, (batch[0] + torch.randn_like(batch[0]), batch[1]))


def of_one_size(model, batch):
    assert len(batch[0]) == 16
    return mean(model, batch)


def nothing(model, batch):
    return model(batch[0]).sum() * float("nan")


@pytest.mark.parametrize(
    ("loss", "n"), [(noisy, 16), (of_one_size, 16), (mean, 3), (nothing, 16)], ids=["random", "fixed", "small", "nan"]
)
def test_not_checked(loss, n):
    report = flown(loss, n=n)
    assert not report.findings
    assert report.not_checked


def test_a_batch_as_a_mapping_with_names():
    torch.manual_seed(0)
    batches = [{"x": torch.randn(8, 6), "y": torch.randint(0, 3, (8,)), "name": ["a"] * 8, "id": 3} for _ in range(4)]

    def loss(model, batch):
        assert len(batch["name"]) == len(batch["x"])
        return F.cross_entropy(model(batch["x"]), batch["y"], reduction="sum")

    assert flown(loss, batches=batches).findings[0].subject == "sum"

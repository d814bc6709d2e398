"""DAT003 before the run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler, IterableDataset, TensorDataset

from tocsin import preflight
from tocsin.prechecks.stream import as_columns, stream

DIGITS, LABELS = (torch.tensor(part) for part in load_digits(return_X_y=True))
DIGITS = DIGITS.float()
SORTED = torch.argsort(LABELS, stable=True)


def order(train, model=None, labelled=True, **parts):
    model = model if model is not None else nn.LazyLinear(10)
    x = next(iter(train))[0]
    with torch.no_grad():
        model(x.float())
    return preflight(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), 0.1),
        losses=lambda m, b: out(m, b).square().mean(),
        predict=(lambda m, b: (b[1], out(m, b))) if labelled else None,
        train=train,
        select=["DAT003"],
        **parts,
    )


def out(model, batch):
    made = model(batch[0].float())
    return made[0] if isinstance(made, tuple) else made


def loader(x, y, size=32, **how):
    return DataLoader(TensorDataset(x, y), size, **how)


def test_sorted_digits_in_one_order_ring():
    (found,) = order(loader(DIGITS[SORTED], LABELS[SORTED])).findings
    assert found.severity == "warning"
    assert found.name == "unshuffled-training"
    assert found.message == (
        "93% of the variance of the main labels lies between blocks of 32 samples, as they come (in random order about "
        "0 %, p <= 0.005); lag-1 autocorrelation of the 56 blocks 0.86; two passes gave the same 256 samples in the "
        "same order"
    )


def test_one_order_of_mixed_samples_is_a_note():
    x, y = mixed(0)
    (found,) = order(loader(x, y)).findings
    assert found.severity == "note"
    assert found.message == ("two passes over train gave the same 256 samples of the first 8 batches in the same order")


def mixed(seed):
    at = torch.randperm(len(DIGITS), generator=torch.Generator().manual_seed(seed))
    return DIGITS[at], LABELS[at]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [1, 8, 32, 128])
def test_shuffled_samples_are_silent(seed, size):
    torch.manual_seed(seed)
    report = order(loader(DIGITS[SORTED], LABELS[SORTED], size, shuffle=True))
    assert not report.findings
    assert report.clean == ("DAT003",)


@pytest.mark.parametrize("size", [500, 1797])
def test_few_batches_have_no_order(size):
    assert order(loader(DIGITS[SORTED], LABELS[SORTED], size)).clean == ("DAT003",)


class Noisy(Dataset):
    def __len__(self):
        return len(DIGITS)

    def __getitem__(self, i):
        return DIGITS[i] + torch.randn(64), LABELS[i]


def test_labels_tell_the_order_of_augmented_samples():
    (found,) = order(DataLoader(Noisy(), 32)).findings
    assert found.severity == "note"  # these digits come in mixed order
    assert not order(DataLoader(Noisy(), 32, shuffle=True)).findings


class Buffered(IterableDataset):
    def __init__(self, size):
        self.size = size

    def __iter__(self):
        at = SORTED.clone()
        for start in range(0, len(at), self.size):
            part = at[start : start + self.size]
            yield from ((DIGITS[i], LABELS[i]) for i in part[torch.randperm(len(part))])


def test_a_buffer_that_is_too_small_rings():
    torch.manual_seed(0)
    (found,) = order(DataLoader(Buffered(100), 32)).findings
    assert found.severity == "warning"
    assert "same order" not in found.message
    assert not order(DataLoader(Buffered(1797), 32)).findings


class FewClasses(torch.utils.data.Sampler):
    """Batches of 4 classes with 8 samples of each, as in metric learning."""

    def __iter__(self):
        for _ in range(50):
            yield [int(i) for c in torch.randperm(10)[:4] for i in draw(torch.nonzero(c == LABELS)[:, 0], 8)]


def draw(rows, n):
    return rows[torch.randperm(len(rows))[:n]]


@pytest.mark.parametrize("seed", range(5))
def test_batches_of_a_few_classes_drawn_anew_are_silent(seed):
    torch.manual_seed(seed)
    train = DataLoader(TensorDataset(DIGITS, LABELS), batch_sampler=FewClasses())
    assert not order(train).findings


def test_a_set_epoch_that_the_loop_calls_is_not_judged():
    data = TensorDataset(*mixed(0))
    train = DataLoader(data, 32, sampler=DistributedSampler(data, num_replicas=1, rank=0))
    report = order(train)
    assert not report.findings
    assert "set_epoch" in report.not_checked[0].reason
    still = DataLoader(data, 32, sampler=DistributedSampler(data, num_replicas=1, rank=0, shuffle=False))
    assert order(still).findings[0].severity == "note"


def test_of_a_list_only_the_labels_are_judged():
    x, y = mixed(0)
    report = order(list(zip(x.split(32), y.split(32), strict=True)))
    assert not report.findings
    assert "list" in report.not_checked[0].reason
    (found,) = order(list(zip(DIGITS[SORTED].split(32), LABELS[SORTED].split(32), strict=True))).findings
    assert found.severity == "warning"


def test_recurrent_models_and_windows_of_a_series_are_notes():
    wave = torch.sin(torch.arange(1200) / 40) + 0.1 * torch.randn(1200, generator=torch.Generator().manual_seed(0))
    x, y = wave.unfold(0, 16, 1)[:-1], wave[16:]
    (found,) = order(loader(x, y)).findings
    assert found.severity == "note"
    assert found.message.endswith("the samples are windows of a series: the order may be meant")
    (found,) = order(loader(x[:, None], y), nn.GRU(16, 4, batch_first=True)).findings
    assert found.severity == "note"
    assert "recurrent" in found.message


def test_sorted_values_ring():
    made = torch.Generator().manual_seed(0)
    x = torch.randn(800, 8, generator=made)
    y, at = torch.sort(x[:, 0])
    (found,) = order(loader(x[at], y)).findings
    assert found.severity == "warning"
    assert order(loader(x, x[:, 0])).findings[0].severity == "note"


def test_a_first_class_longer_than_what_is_looked_at_rings():
    y = torch.arange(2).repeat_interleave(5000)
    x = torch.randn(10000, 4, generator=torch.Generator().manual_seed(0))
    held = loader(x[4900:5100], y[4900:5100])
    (found,) = order(loader(x, y, 64), val=held).findings
    assert found.message == (
        "the first 4096 training samples are all of class 0 (main), 50% of the evaluation's: the training data are "
        "sorted"
    )
    assert found.severity == "warning"


def test_without_labels_the_order_still_tells():
    assert order(loader(*mixed(1)), labelled=False).findings[0].severity == "note"
    assert not order(loader(*mixed(1), shuffle=True), labelled=False).findings


def test_small_batches_count_by_optimizer_step():
    y = torch.arange(400) // 8 % 5  # in steps of 8 x 5 = 40 samples all are alike
    x = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    assert order(loader(x, y, 8)).findings[0].severity == "warning"
    assert order(loader(x, y, 8), accumulate=5).findings[0].severity == "note"


def test_the_share_between_blocks_is_that_of_an_analysis_of_variance():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(12, 16)) + rng.normal(size=(12, 1))
    found = stream(y.reshape(-1, 1), np.repeat(np.arange(12), 16))
    between, within = 16 * y.mean(axis=1).var(ddof=1), y.var(axis=1, ddof=1).mean()
    assert found.likeness == pytest.approx((between - within) / (between + 15 * within))
    means = y.mean(axis=1) - y.mean()
    assert found.lag == pytest.approx((means[1:] @ means[:-1]) / (means @ means))


@pytest.mark.parametrize("seed", range(2))
def test_p_values_are_uniform_enough(seed):
    rng = np.random.default_rng(seed)
    ps = [stream(np.eye(3)[rng.integers(0, 3, 160)], np.arange(160) // 16, seed=k) for k in range(40)]
    assert np.mean([p.likeness_p <= 0.1 for p in ps]) < 0.3
    assert np.mean([p.lag_p <= 0.1 for p in ps]) < 0.3


@pytest.mark.parametrize("classes", [3, 30, 100, 400])
def test_many_classes_in_order_ring_and_mixed_ones_do_not(classes):
    y = torch.arange(1600) * classes // 1600
    x = torch.randn(1600, 4, generator=torch.Generator().manual_seed(0))
    at = torch.randperm(1600, generator=torch.Generator().manual_seed(1))
    assert [f.severity for f in order(loader(x, y, 16)).findings] == ["warning"]
    assert order(loader(x, y[at], 16)).findings[0].severity == "note"


def test_targets_with_an_order_of_their_own_are_no_labels():
    assert as_columns(torch.zeros(5, 7, 9)) is None
    assert as_columns(torch.zeros(5, 100)) is None
    assert as_columns(torch.tensor([1.0, torch.nan])) is None

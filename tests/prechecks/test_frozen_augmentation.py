"""DAT009 before the run."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from tocsin import preflight
from tocsin.prechecks.checks.frozen_augmentation import _judged
from tocsin.prechecks.draws import in_workers

X = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))


class Plain(Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, i):
        return X[i] + self.noise(i), 0.0

    def noise(self, i):
        return 0.0


class Torch(Plain):
    def noise(self, i):
        return torch.randn(6)


class Numpy(Plain):
    def noise(self, i):
        return torch.tensor(np.random.normal(size=6), dtype=torch.float32)  # noqa: NPY002


class Python(Plain):
    def noise(self, i):
        return random.random()


class Held(Plain):
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def noise(self, i):
        return torch.tensor(self.rng.normal(size=6), dtype=torch.float32)


class Seldom(Torch):
    def noise(self, i):
        return float(torch.rand(()) < 0.001)


class ByIndex(Torch):
    def noise(self, i):
        torch.manual_seed(i)
        return super().noise(i)


class Constant(Numpy):
    def noise(self, i):
        np.random.seed(0)  # noqa: NPY002
        return super().noise(i)


class Careful(Torch):
    """A finite synthetic data set that leaves the generator as it was."""

    def noise(self, i):
        with torch.random.fork_rng():
            torch.manual_seed(i)
            return super().noise(i)


def frozen(train):
    model = nn.Linear(6, 1)
    return preflight(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), 0.1),
        losses=lambda m, b: m(b[0].float()).mean(),
        train=train,
        select=["DAT009"],
    )


@pytest.mark.parametrize("data", [Plain, Torch, Numpy, Python, Held, Seldom, Careful])
@pytest.mark.parametrize("shuffle", [True, False])
def test_living_and_absent_augmentation_is_silent(data, shuffle):
    report = frozen(DataLoader(data(), 8, shuffle=shuffle))
    assert not report.findings
    assert report.clean == ("DAT009",)


@pytest.mark.parametrize("data", [Plain, Torch, Numpy, Python])
def test_workers_that_the_loader_seeds_are_silent(data):
    report = frozen(DataLoader(data(), 8, num_workers=2))
    assert not report.findings
    assert report.clean == ("DAT009",)


def test_one_state_for_every_sample_rings():
    (found,) = frozen(DataLoader(Constant(), 8)).findings
    assert found.severity == "warning"
    assert found.name == "frozen-augmentation"
    assert found.message == (
        "taken twice, 4 of 4 training samples are the same, though random numbers are drawn (numpy.random): the data "
        "set seeds the generator itself, alike for every sample"
    )


def test_a_seed_by_index_is_a_note():
    (found,) = frozen(DataLoader(ByIndex(), 8)).findings
    assert found.severity == "note"
    assert found.message.endswith("the data set seeds the generator itself, by sample")
    assert frozen(DataLoader(Subset(ByIndex(), range(5, 40)), 8, num_workers=1)).findings


def test_a_held_generator_repeats_in_workers_and_epochs():
    found = {f.subject: f for f in frozen(DataLoader(Held(), 8, num_workers=2)).findings}
    assert set(found) == {"workers", "epochs"}
    assert found["workers"].message == (
        "each of the 2 workers begins with the same random numbers of dataset.rng, which the data set draws from"
    )
    (once,) = frozen(DataLoader(Held(), 8, num_workers=1)).findings
    assert once.subject == "epochs"
    (kept,) = frozen(DataLoader(Held(), 8, num_workers=2, persistent_workers=True)).findings
    assert kept.subject == "workers"


def same_seed(worker):
    np.random.seed(42)  # noqa: NPY002


def own_seed(worker):
    info = torch.utils.data.get_worker_info()
    info.dataset.rng = np.random.default_rng(info.seed)


def test_what_worker_init_fn_does_counts():
    found = {f.subject for f in frozen(DataLoader(Numpy(), 8, num_workers=2, worker_init_fn=same_seed)).findings}
    assert found == {"workers", "epochs"}
    assert not frozen(DataLoader(Held(), 8, num_workers=2, worker_init_fn=own_seed)).findings


class Collate:
    """Noise on a batch, from a generator of its own or torch's; ``seed`` sets torch's each time."""

    def __init__(self, own=False, seed=None):
        self.rng, self.seed = np.random.default_rng(0) if own else None, seed

    def __call__(self, samples):
        if self.seed is not None:
            torch.manual_seed(self.seed)
        x = torch.stack([torch.as_tensor(sample[0]) for sample in samples])
        noise = torch.randn(x.shape) if self.rng is None else torch.as_tensor(self.rng.normal(size=x.shape))
        return x + noise, torch.zeros(len(x))


def test_a_collate_function_that_seeds_itself_rings():
    (found,) = frozen(DataLoader(Plain(), 8, collate_fn=Collate(seed=3))).findings
    assert found.severity == "warning"
    assert found.message == (
        "collated twice, 4 of 4 training samples are the same, though random numbers are drawn (torch): collate_fn "
        "seeds the generator itself, alike for every sample"
    )


def test_a_generator_of_a_collate_function_repeats_in_workers_and_epochs():
    report = frozen(DataLoader(Plain(), 8, num_workers=2, collate_fn=Collate(own=True)))
    assert {f.subject for f in report.findings} == {"workers", "epochs"}
    assert report.findings[0].message.endswith("of collate_fn.rng, which collate_fn draws from")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_living_collate_function_is_silent(workers):
    loader = DataLoader(Torch(), 8, num_workers=workers, collate_fn=Collate())
    assert frozen(loader).clean == ("DAT009",)


def test_spawned_workers_get_one_state():
    """One start of two processes, which takes seconds."""
    loader = DataLoader(Held(), 8, num_workers=2, multiprocessing_context="spawn")
    drawn = in_workers(loader, [0])
    assert [(one.worker, one.epoch) for one in drawn] == [(0, 0), (1, 0)]
    assert [f.subject for f in _judged(loader, drawn)] == ["workers"]


class Stream(IterableDataset):
    def __init__(self, split):
        self.split = split

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        start, step = (info.id, info.num_workers) if info is not None and self.split else (0, 1)
        yield from ((X[i], 0.0) for i in range(start, 64, step))


def test_a_stream_that_is_not_split_rings():
    (found,) = frozen(DataLoader(Stream(split=False), 4, num_workers=2)).findings
    assert found.message == "the 2 workers give the same batches, in each of 4 rounds: the stream is not split"
    for loader in (DataLoader(Stream(split=True), 4, num_workers=2), DataLoader(Stream(split=False), 4)):
        report = frozen(loader)
        assert not report.findings
        assert "stream" in report.not_checked[0].reason


def test_what_cannot_be_seen_is_not_checked():
    report = frozen([(X[:8], torch.zeros(8))] * 6)
    assert [n.code for n in report.not_checked] == ["DAT009"]


def test_nothing_of_the_data_set_changes():
    data = Held()
    before = data.rng.bit_generator.state
    frozen(DataLoader(data, 8))
    frozen(DataLoader(data, 8, num_workers=2))
    assert data.rng.bit_generator.state == before
    assert type(data) is Held


def test_tensors_in_one_are_silent():
    assert frozen(DataLoader(TensorDataset(X, X[:, 0]), 8, shuffle=True)).clean == ("DAT009",)

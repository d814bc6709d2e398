"""Plain ``DistributedDataParallel`` on two processes: what RUN006 says of each way to go wrong, and ``stop_on``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import tocsin
from integrations.process_groups import run_ranks
from loops import batches
from tocsin.findings import Finding

WAYS = ("healthy", "accumulating", "same-batches", "never-wrapped", "inner-called", "nan")


def net_of(rank: int) -> nn.Sequential:
    """Batch normalisation, whose running statistics are each rank's own."""
    torch.manual_seed(rank)
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


def data() -> TensorDataset:
    x, y = (torch.cat(parts) for parts in zip(*batches(80), strict=True))
    return TensorDataset(x, y)


def loader_of(way: str) -> DataLoader[tuple[torch.Tensor, ...]]:
    """32 samples a batch; without a sampler all ranks draw the same order from the same seed."""
    samples = data()
    if way == "same-batches":
        return DataLoader(samples, 32, shuffle=True, generator=torch.Generator().manual_seed(0))
    return DataLoader(samples, 32, sampler=DistributedSampler(samples))


def train(rank: int, folder: Path, way: str) -> None:
    net = net_of(rank)
    model = net if way == "never-wrapped" else DistributedDataParallel(net)
    called = net if way == "inner-called" else model
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    said: list[str] = []
    options = {"stop_on": "error"} if way == "nan" else {}
    with tocsin.watch(model, optimizer, run_dir=folder / way, say=said.append, **options) as run:
        for k, (x, y) in enumerate(loader_of(way)):
            steps = way != "accumulating" or k % 2 == 1
            with nullcontext() if steps else model.no_sync():
                loss = nn.functional.cross_entropy(called(x), y) * (torch.nan if way == "nan" and k == 10 else 1)
                run.losses(total=loss)
                loss.backward()
            if steps:
                optimizer.step()
                optimizer.zero_grad()
    (folder / f"{way}-{rank}.txt").write_text("\n".join(said))


def train_all(rank: int, folder: Path) -> None:
    for way in WAYS:
        train(rank, folder, way)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(train_all, folder)
    return folder


def said_of_ranks(folder: Path) -> list[Finding]:
    report = tocsin.check(folder, select=["RUN006"])
    assert not report.not_checked, report.not_checked
    return list(report.findings)


@pytest.mark.parametrize("way", ["healthy", "accumulating"])
def test_healthy_ranks_are_looked_at_and_silent(trained: Path, way: str) -> None:
    assert said_of_ranks(trained / way) == []
    (run,) = tocsin.read(trained / way)
    assert run.last_step == 40
    assert run.series["param/bits/0.weight"].step.tolist() == [1, 2, 4, 8, 16, 32]


def test_ranks_without_a_sampler_see_the_same_batches(trained: Path) -> None:
    (found,) = said_of_ranks(trained / "same-batches")
    assert (found.subject, found.severity, found.step) == ("batches", "warning", 1)
    assert "rank 1 trained on the same batches as rank 0: 8 of 8 compared ones are equal" in found.message


@pytest.mark.parametrize("way", ["never-wrapped", "inner-called"])
def test_ranks_that_nothing_synchronises_diverge(trained: Path, way: str) -> None:
    (found,) = said_of_ranks(trained / way)
    assert (found.subject, found.severity, found.step) == ("parameters", "error", 1)
    assert "parameters of rank 1 differ from rank 0's since step 1" in found.message
    assert "6 of 6 tensors at step 32" in found.message


def test_a_rank_that_would_stop_alone_goes_on_with_the_others(trained: Path) -> None:
    (run,) = tocsin.read(trained / "nan")
    assert (run.exit, run.environment["ranks"]["exit"]) == ("finished", {"0": "finished", "1": "finished"})
    assert run.last_step == run.series["rank1/train/loss"].step[-1] == 40
    for rank in (0, 1):
        said = (trained / f"nan-{rank}.txt").read_text()
        assert said.count("stop_on is refused with several processes") == 1
        assert "error AMP003" in said
    assert said_of_ranks(trained / "nan") == [], "NaN everywhere is no divergence"

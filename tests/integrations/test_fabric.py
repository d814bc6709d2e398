"""Fabric and plain ``DistributedDataParallel`` need no adapter: ``watch`` on what they wrap."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

import tocsin
from loops import batches, quiet, small_model
from tocsin.run import Run


def loop(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    folder: Path | None,
    rank: int = 0,
    backward: Callable[[torch.Tensor], None] = torch.Tensor.backward,
) -> None:
    """A plain loop on this rank's data, 40 steps."""
    with tocsin.watch(model, optimizer, run_dir=folder, enabled=folder is not None, every=1, say=quiet) as run:
        for x, y in batches(40, seed=1 + rank):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            run.losses(total=loss)
            backward(loss)
            optimizer.step()
        with torch.no_grad():
            x, y = batches(2, seed=11 + rank, size=64)[0]
            run.evaluate("val", target=y, prediction=model(x))


def alarms(folder: Path) -> set[str]:
    return {f.code for f in tocsin.check(folder).findings if f.severity != "note"}


def values(run: Run, name: str) -> list[float]:
    assert name in run.series, f"{name} not in {sorted(run.series)}"
    return run.series[name].value.tolist()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_fabric_is_watched_through_its_wrappers(tmp_path: Path, precision: str) -> None:
    ends = []
    for folder in (tmp_path / "r", None):
        net = small_model(dropout=0.0)
        fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
        model, optimizer = fabric.setup(net, torch.optim.Adam(net.parameters(), 1e-2))
        loop(model, optimizer, folder, backward=fabric.backward)
        ends.append(net)
    assert all(torch.equal(a, b) for a, b in zip(ends[0].parameters(), ends[1].parameters(), strict=True))
    (run,) = tocsin.read(tmp_path / "r")
    assert values(run, "count/optimizer")[-1] == values(run, "count/forward")[-1] == 40
    assert "update/ratio/0.weight" in run.series
    assert run.parameters[0].name == "0.weight"
    assert not alarms(tmp_path / "r")


def of_one_rank(rank: int, world: int, port: int, folder: Path) -> None:
    """Three trainings in a process group: watched by all ranks in one folder, unnamed, and not at all."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    os.chdir(folder)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=world)
    for name in ("watched", "bare"):
        net = small_model(dropout=0.0)
        model = nn.parallel.DistributedDataParallel(net)
        loop(model, torch.optim.SGD(net.parameters(), 0.1), folder / "r" if name == "watched" else None, rank)
        torch.save(net.state_dict(), folder / f"{name}{rank}.pt")
    with tocsin.watch(net, torch.optim.SGD(net.parameters(), 0.1), say=quiet) as run:
        assert (run.folder is None) == bool(rank), "without a name the first rank alone records"
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ddp")
    torch.multiprocessing.spawn(of_one_rank, (2, free_port(), folder), nprocs=2)
    return folder


def test_ranks_write_parts_of_one_record(two_ranks: Path) -> None:
    (run,) = tocsin.read(two_ranks / "r")
    assert run.exit == "finished"
    for prefix in ("", "rank1/"):
        assert len(values(run, f"{prefix}train/loss")) == values(run, f"{prefix}count/optimizer")[-1] == 40
    assert not np.array_equal(values(run, "train/loss"), values(run, "rank1/train/loss"))
    assert not np.array_equal(values(run, "grad/norm"), values(run, "rank1/grad/norm")), "raw gradients are local"
    assert values(run, "grad/applied_norm") == values(run, "rank1/grad/applied_norm")
    assert {e.split for e in run.evaluations} == {"val", "rank1/val"}
    assert len(list((two_ranks / "runs").iterdir())) == 1


def test_watched_ranks_end_with_the_weights_of_unwatched_ones(two_ranks: Path) -> None:
    watched, other, bare = (
        torch.load(two_ranks / f"{name}.pt", weights_only=True) for name in ("watched0", "watched1", "bare0")
    )
    for name, tensor in watched.items():
        assert torch.equal(tensor, bare[name])
        assert torch.equal(tensor, other[name])


def test_healthy_ranks_are_silent(two_ranks: Path) -> None:
    assert not alarms(two_ranks / "r")

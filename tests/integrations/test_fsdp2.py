"""FSDP2 on two processes: what can be measured without a collective is, the rest is said by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import fully_shard

import tocsin
from integrations.process_groups import run_ranks
from loops import batches, small_model


def train(rank: int, folder: Path, name: str, *, budget: float) -> None:
    mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (2,))
    net = small_model(dropout=0.0)
    for part in net:
        if isinstance(part, nn.Linear):
            fully_shard(part, mesh=mesh)
    fully_shard(net, mesh=mesh)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
    said: list[str] = []
    options = {"run_dir": folder / "r", "enabled": name == "watched", "say": said.append, "budget": budget}
    with tocsin.watch(net, optimizer, **options) as run:
        for x, y in batches(40, seed=1 + rank):
            optimizer.zero_grad()
            out = net(x)
            kind, size = nn.functional.cross_entropy(out, y), 0.01 * out.square().mean()
            run.losses(total=kind + size, kind=kind, size=size)
            (kind + size).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        with torch.no_grad():
            x, y = batches(2, seed=11 + rank, size=64)[0]
            run.evaluate("val", target=y, prediction=net(x))
    whole = {key: value.full_tensor() for key, value in net.state_dict().items()}
    torch.save(whole, folder / f"{name}{rank}.pt")
    (folder / f"{name}{rank}.txt").write_text("\n".join(said))


def train_both(rank: int, folder: Path) -> None:
    for name in ("watched", "bare"):
        train(rank, folder, name, budget=0.5 if rank else 1e-6)  # the ranks sample at unlike steps


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fsdp2")
    run_ranks(train_both, folder)
    return folder


def test_the_training_is_what_it_would_be(trained: Path) -> None:
    ends = [torch.load(trained / f"{name}0.pt", weights_only=True) for name in ("watched", "bare")]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[1])


def test_what_is_not_measured_is_said_by_name_and_nothing_breaks(trained: Path) -> None:
    for rank in (0, 1):
        said = (trained / f"watched{rank}.txt").read_text()
        assert "parameters are sharded (FSDP2): nothing of them" in said
        assert "switched off" not in said
    (run,) = tocsin.read(trained / "r")
    assert {e.kind for e in run.events} == {"limit"}
    assert not [name for name in run.series if name.startswith(("grad/", "param/", "update/", "loss/"))]


def test_losses_counts_inputs_and_evaluations_of_both_ranks_are_recorded(trained: Path) -> None:
    (run,) = tocsin.read(trained / "r")
    for prefix in ("", "rank1/"):
        for name in ("train/loss/kind", "count/backward", "count/optimizer", "count/forward"):
            assert run.series[prefix + name].step[-1] == 40, name
        assert run.series[f"{prefix}count/backward"].value[-1] == 40
        assert f"{prefix}input/fingerprint/train" in run.series
    assert {e.split for e in run.evaluations} == {"val", "rank1/val"}
    report = tocsin.check(trained / "r")
    assert not report.failed
    (why,) = [n.reason for n in report.not_checked if n.code == "RUN006"]
    assert "parameters are sharded (FSDP2)" in why

"""Measuring waits for no accelerator: measures read no number, and watched steps synchronise no more than bare ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import tocsin
from loops import quiet, small_model
from tocsin import ledger
from tocsin.probes import measures

WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "aten::_local_scalar_dense")


@pytest.mark.parametrize("entries", [16, 5000, 300_000])
def test_measures_read_no_number(entries: int) -> None:
    tensor = torch.empty(entries, device="meta")  # reading a number of it raises
    with pytest.raises((RuntimeError, NotImplementedError)):
        tensor.sum().item()
    found = [
        measures.norm(tensor),
        measures.norms([tensor, tensor]),
        measures.nonfinite(tensor),
        measures.zero_frac(tensor),
        *measures.zero_and_max_frac(tensor),
        measures.rms(tensor),
        measures.bits(tensor),
        measures.fingerprint(tensor),
    ]
    assert all(isinstance(value, torch.Tensor) and value.device.type == "meta" for value in found)


def waits(steps: int, run_dir: Path | None) -> Counter[str]:
    """How often plain steps wait for the device, by the name of the call."""
    net = small_model().cuda()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    x, y = torch.randn(32, 8, device="cuda"), torch.randint(0, 3, (32,), device="cuda")

    def step(run: tocsin.Recorder) -> None:
        loss = torch.nn.functional.cross_entropy(net(x), y)
        run.losses(total=loss, half=loss / 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    with tocsin.watch(net, optimizer, run_dir=run_dir, enabled=run_dir is not None, every=10**6, say=quiet) as run:
        for _ in range(33):  # past the window of the first step and the inputs of the first forwards
            step(run)
        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
            for _ in range(steps):
                step(run)
        return Counter(e.name for e in profiled.events() if e.name in WAITS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_watched_steps_wait_no_more_than_bare_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "SETTLE_ROWS", 10**6)
    monkeypatch.setattr(ledger, "SETTLE_S", 1e6)
    assert waits(10, tmp_path / "r") == waits(10, None)  # steps 34 to 43: no sample, no look, no settling

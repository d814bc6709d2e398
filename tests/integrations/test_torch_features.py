"""torch's own ways to train: watched or not the weights are the same, and what is measured does not depend on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import tocsin
from loops import batches, quiet, small_model
from tocsin.run import Run

STEPS = 24
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "adamw": (torch.optim.AdamW, {"lr": 1e-2}),
}


def trained(folder: Path, optimizer: Any, net: nn.Module, *, watched: bool, call: Any = None, ema: Any = None) -> Run:
    forward = net if call is None else call
    options = {"run_dir": folder, "every": 1, "ema": ema, "enabled": watched, "say": quiet}
    torch.manual_seed(3)
    with tocsin.watch(net, optimizer, **options) as run:
        for x, y in batches(STEPS):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(forward(x), y)
            run.losses(total=loss)
            loss.backward()
            optimizer.step()
            if ema is not None:
                ema.update_parameters(net)
        with torch.no_grad():
            x, y = batches(4, seed=5, size=64)[0]
            run.evaluate("val", target=y, prediction=(ema or forward)(x))
    return tocsin.read(folder)[0] if watched else Run.of()


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def made(name: str, net: nn.Module, how: dict[str, Any]) -> torch.optim.Optimizer:
    kind, options = OPTIMIZERS[name]
    return kind(net.parameters(), **options, **how)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("how", ["fused", "foreach"])
def test_fused_and_foreach_optimizers_are_measured_as_plain_ones(tmp_path: Path, name: str, how: str) -> None:
    nets = [small_model(dropout=0.0) for _ in range(3)]
    on = {how: True}
    watched = trained(tmp_path / "w", made(name, nets[0], on), nets[0], watched=True)
    trained(tmp_path / "n", made(name, nets[1], on), nets[1], watched=False)
    plain = trained(tmp_path / "p", made(name, nets[2], {"foreach": False}), nets[2], watched=True)
    assert same(nets[0], nets[1])
    assert set(watched.series) == set(plain.series)
    for series in ("grad/norm", "grad/applied_norm", "update/ratio/0.weight", "count/optimizer"):
        assert watched.series[series].value == pytest.approx(plain.series[series].value, rel=1e-3), series


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_model_is_measured_as_the_plain_one(tmp_path: Path, backend: str) -> None:
    torch._dynamo.reset()
    nets = [small_model(dropout=0.0) for _ in range(3)]
    runs = [
        trained(
            tmp_path / str(k),
            torch.optim.SGD(net.parameters(), 0.1),
            net,
            watched=k < 2,
            call=torch.compile(net, backend=backend) if k != 1 else None,
        )
        for k, net in enumerate(nets)
    ]
    assert same(nets[0], nets[2])
    for series in ("train/loss", "grad/norm", "update/ratio/0.weight", "count/optimizer", "count/backward"):
        assert runs[0].series[series].value == pytest.approx(runs[1].series[series].value, rel=1e-4), series


def test_an_averaged_model_is_followed_and_its_forwards_are_not_the_models(tmp_path: Path) -> None:
    ends = []
    for watched in (True, False):
        net = small_model(dropout=0.0)
        ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        run = trained(tmp_path / "r", torch.optim.SGD(net.parameters(), 0.1), net, watched=watched, ema=ema)
        ends.append((net, ema, run))
    (net, ema, run), (bare, bare_ema, _) = ends
    assert same(net, bare)
    assert same(ema, bare_ema)
    assert 0 < run.series["ema/behind"].value[-1] < 1
    assert "input/fingerprint/eval" not in run.series, "that was the copy's forward"

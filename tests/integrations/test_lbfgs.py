"""LBFGS: its closure runs several times a step; what cannot be told is off and said, the rest is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tocsin
from loops import batches, small_model

STEPS = 40
HOW = {
    "fixed": {"lr": 0.1, "max_iter": 5},
    "line-search": {"lr": 1.0, "line_search_fn": "strong_wolfe", "max_iter": 5},
    "one-pass": {"lr": 0.1, "max_iter": 1},
}
WHERE = ("outside", "before-backward", "after-backward")


def trained(folder: Path | None, how: str, where: str, *, minibatches: bool, say: Any) -> tuple[nn.Module, list[float]]:
    net = small_model(dropout=0.0)
    optimizer = torch.optim.LBFGS(net.parameters(), **HOW[how])
    whole = batches(1, size=256) * STEPS
    norms: list[float] = []
    with tocsin.watch(net, optimizer, run_dir=folder, enabled=folder is not None, every=1, say=say) as run:
        for x, y in batches(STEPS) if minibatches else whole:

            def closure(x: torch.Tensor = x, y: torch.Tensor = y) -> torch.Tensor:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(net(x), y) + 0.01 * sum(p.square().sum() for p in net.parameters())
                if where == "before-backward":
                    run.losses(total=loss)
                loss.backward()
                if where == "after-backward":
                    run.losses(total=loss)
                return loss

            loss = optimizer.step(closure)
            norms.append(float(nn.utils.get_total_norm([p.grad for p in net.parameters()])))
            if where == "outside":
                run.losses(total=loss)
    return net, norms


@pytest.mark.parametrize("minibatches", [False, True])
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("how", HOW)
def test_a_healthy_training_is_untouched_and_silent(tmp_path: Path, how: str, where: str, minibatches: bool) -> None:
    said: list[str] = []
    net, _ = trained(tmp_path / "r", how, where, minibatches=minibatches, say=said.append)
    bare, _ = trained(None, how, where, minibatches=minibatches, say=said.append)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), bare.parameters(), strict=True))
    assert [line for line in said if "switched off" in line] == []
    assert not tocsin.check(tmp_path / "r").failed
    (run,) = tocsin.read(tmp_path / "r")
    assert run.series["count/optimizer"].value[-1] == STEPS


def test_what_is_off_is_said_by_name(tmp_path: Path) -> None:
    said: list[str] = []
    trained(tmp_path / "r", "fixed", "outside", minibatches=False, say=said.append)
    (run,) = tocsin.read(tmp_path / "r")
    (limit,) = [e.text for e in run.events if e.kind == "limit"]
    assert limit.startswith("LBFGS calls its closure several times a step: applied gradients, updates and waiting")
    assert f"tocsin: {limit}" in said
    off = ("grad/applied", "grad/zero_frac", "grad/at_max_frac", "update/", "time/", "count/cleared")
    assert not [name for name in run.series if name.startswith(off)]


def test_outside_a_step_is_a_step_and_its_gradient_that_of_the_last_pass(tmp_path: Path) -> None:
    _, norms = trained(tmp_path / "r", "fixed", "outside", minibatches=False, say=lambda _: None)
    (run,) = tocsin.read(tmp_path / "r")
    assert run.last_step == STEPS
    assert run.series["grad/norm"].value == pytest.approx(norms, rel=1e-5)
    assert run.series["count/backward"].value[0] == 5, "the passes of the first step"

"""Accelerate needs no adapter: ``watch`` on what ``prepare`` wrapped; the recipe of docs/guides/transformers.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
from torch import nn

import tocsin
from loops import batches, quiet, small_model


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.state.GradientState._reset_state()


def trained(folder: Path | None, **options: Any) -> nn.Module:
    """The recipe."""
    accelerator = accelerate.Accelerator(cpu=True, **options)
    net = small_model(dropout=0.0)
    model, optimizer = accelerator.prepare(net, torch.optim.SGD(net.parameters(), 0.1))
    with tocsin.watch(
        accelerator.unwrap_model(model),
        optimizer.optimizer,
        scaler=accelerator.scaler,
        run_dir=folder,
        enabled=folder is not None,
        every=1,
        say=quiet,
    ) as run:
        for x, y in batches(12):
            with accelerator.accumulate(model):
                loss = nn.functional.cross_entropy(model(x), y)
                run.losses(total=loss)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 0.1)
                optimizer.step()
                optimizer.zero_grad()
    return accelerator.unwrap_model(model)


def last(run: tocsin.Run, name: str) -> float:
    return float(run.series[name].value[-1])


@pytest.mark.parametrize("every", [1, 3])
def test_the_recipe_records_steps_accumulation_and_clipping(tmp_path: Path, every: int) -> None:
    trained(tmp_path / "r", gradient_accumulation_steps=every)
    (run,) = tocsin.read(tmp_path / "r")
    assert run.last_step == 12
    assert last(run, "count/backward") == 12
    assert last(run, "count/optimizer") == 12 / every
    assert last(run, "grad/norm") > 0.1
    assert last(run, "grad/applied_norm") == pytest.approx(0.1, rel=1e-2)
    assert not tocsin.check(tmp_path / "r").failed


def test_weights_are_those_of_the_loop_without_tocsin(tmp_path: Path) -> None:
    watched, plain = trained(tmp_path / "r"), trained(None)
    for mine, other in zip(watched.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_bfloat16_by_accelerate_is_recorded(tmp_path: Path) -> None:
    trained(tmp_path / "r", mixed_precision="bf16")
    (run,) = tocsin.read(tmp_path / "r")
    assert len(run.series["train/loss"]) == 12
    assert not tocsin.check(tmp_path / "r").failed

"""Small real training loops for the tests of the recorder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

import tocsin


def small_model(seed: int = 0, *, dropout: float = 0.1) -> nn.Sequential:
    """An MLP 8-16-16-3."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(8, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3)
    )


def batches(n: int, seed: int = 1, size: int = 32) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """``n`` learnable batches of a 3-class problem."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, size, 8, generator=generator)
    return [(b, b[:, :3].argmax(dim=1)) for b in x]


def quiet(_: str) -> None:
    """Says nothing."""


def train(
    run_dir: Path | None,
    *,
    steps: int = 40,
    before: bool = True,
    accumulate: int = 1,
    scaler: Any = None,
    model: nn.Module | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    epochs: int = 1,
    **options: Any,
) -> tuple[nn.Module, list[float], tocsin.Recorder | None]:
    """Train ``small_model`` with or without (``run_dir`` None) a watch; returns model, losses, handle."""
    net = model if model is not None else small_model()
    opt = optimizer if optimizer is not None else torch.optim.Adam(net.parameters(), 1e-2)
    losses: list[float] = []
    handle = tocsin.watch(net, opt, run_dir=run_dir, enabled=run_dir is not None, scaler=scaler, say=quiet, **options)
    torch.manual_seed(7)
    with handle as run:
        for _ in range(epochs):
            for k, (x, y) in enumerate(batches(steps)):
                out = net(x)
                ce, size = nn.functional.cross_entropy(out, y), out.square().mean()
                total = (ce + 0.01 * size) / accumulate
                if before:
                    run.losses(total=total, ce=ce, size=size)
                (total if scaler is None else scaler.scale(total)).backward()
                if (k + 1) % accumulate == 0:
                    opt.step() if scaler is None else (scaler.step(opt), scaler.update())
                    opt.zero_grad()
                if not before:
                    run.losses(total=total.detach(), ce=ce, size=size)
                losses.append(float(total.detach()))
            with torch.no_grad():
                x, y = batches(4, seed=5, size=64)[0]
                run.evaluate("val", target=y, prediction=net(x))
                run.metrics({"val/loss": float(nn.functional.cross_entropy(net(x), y))})
            run.end_epoch()
    return net, losses, handle if run_dir is not None else None

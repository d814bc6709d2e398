"""One small real loop with the faults of optimisation as switches; what it rings."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import tocsin


def mlp(depth=2, act=nn.ReLU, width=24):
    """An MLP 8 - width x depth - 3."""
    sizes = [8, *[width] * depth]
    parts = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), act())]
    return nn.Sequential(*parts, nn.Linear(sizes[-1], 3))


def rung(folder, optimizer, *, net=mlp, steps=120, clip=None, scale=None, unscale=True, decay=None, every=4):
    """Train on a learnable problem of 3 classes and give the report."""
    torch.manual_seed(0)
    model = net()
    stepper = optimizer(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=scale) if scale else None
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None
    given = {"scaler": scaler, "ema": ema, "every": every, "say": lambda _: None}
    with tocsin.watch(model, stepper, run_dir=folder, **given) as run:
        for k in range(steps):
            x = torch.randn(32, 8, generator=torch.Generator().manual_seed(k))
            loss = nn.functional.cross_entropy(model(x), x[:, :3].argmax(1))
            stepper.zero_grad()
            (scaler.scale(loss) if scaler else loss).backward()
            if scaler and clip and unscale:
                scaler.unscale_(stepper)
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            (scaler or _Plain).step(stepper)
            if scaler:
                scaler.update()
            if ema:
                ema.update_parameters(model)
            run.losses(total=loss)
    return tocsin.check(folder)


class _Plain:
    @staticmethod
    def step(optimizer):
        optimizer.step()


def adam(rate):
    return lambda parameters: torch.optim.Adam(parameters, rate)


def sgd(rate):
    return lambda parameters: torch.optim.SGD(parameters, rate)


def roots(report):
    return {f.code for f in report.roots if f.severity != "note"}

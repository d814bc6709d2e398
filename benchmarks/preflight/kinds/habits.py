"""One training on pictures, with the habits of different loops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

import tocsin
from preflight.kinds.digits import digits, loaders, split
from preflight.kinds.pictures import conv_net, cross_entropy, labelled
from preflight.kinds.registry import kind


def _plain(size: int = 32, **parts: Any) -> tocsin.Setup:
    model = conv_net()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    data = loaders(*split(*digits()), size)
    how = {"predict": labelled, "epochs": 10, **data, **parts}
    return tocsin.Setup(model, optimizer, cross_entropy, **how)


@kind("accumulation", "four batches of 8 an optimizer step, the loss divided by 4")
def accumulation() -> tocsin.Setup:
    return _plain(8, accumulate=4)


@kind("bfloat16", "autocast to bfloat16 in the loss")
def bfloat16() -> tocsin.Setup:
    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return F.cross_entropy(model(batch[0]).float(), batch[1])

    return replace(_plain(), losses=losses)


@kind("float16", "autocast to float16, a scaler; unscaled before clipping")
def float16() -> tocsin.Setup:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        with torch.autocast("cpu", torch.float16):
            return F.cross_entropy(model(batch[0]).float(), batch[1])

    def step(model: nn.Module, optimizer: Any, scaler: Any, batch: list[Tensor]) -> Tensor:
        optimizer.zero_grad()
        loss = losses(model, batch)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        return loss

    return replace(_plain(), losses=losses, step=step, scaler=scaler)


@kind("warm-up-cosine", "a linear warm-up of a twentieth of the steps, then a cosine to 0; groups without decay")
def warm_up_cosine() -> tocsin.Setup:
    given = _plain()
    matrices = [p for p in given.model.parameters() if p.ndim > 1]
    others = [p for p in given.model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": matrices}, {"params": others, "weight_decay": 0.0}], 1e-3)
    steps = 10 * len(given.train)  # type: ignore[arg-type]
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=steps // 20)
    rest = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - steps // 20)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warm, rest], [steps // 20])
    return replace(given, optimizer=optimizer, scheduler=schedule)


@kind("averaged", "an exponential average of the weights beside BatchNorm, updated in the step")
def averaged() -> tocsin.Setup:
    averages: dict[int, Any] = {}

    def step(model: nn.Module, optimizer: Any, _: Any, batch: list[Tensor]) -> Tensor:
        mine = averages.setdefault(id(model), torch.optim.swa_utils.AveragedModel(model, use_buffers=True))
        optimizer.zero_grad()
        loss = cross_entropy(model, batch)
        loss.backward()
        optimizer.step()
        mine.update_parameters(model)
        return loss

    return replace(_plain(), step=step)


@kind("distillation", "soft answers of a fixed teacher beside the labels; the teacher is none of the model")
def distillation() -> tocsin.Setup:
    teacher = conv_net().eval().requires_grad_(False)

    def losses(model: nn.Module, batch: list[Tensor]) -> dict[str, Tensor]:
        logits = model(batch[0])
        soft = F.kl_div(logits.log_softmax(1), teacher(batch[0]).softmax(1), reduction="batchmean")
        hard = F.cross_entropy(logits, batch[1])
        return {"total": 0.5 * soft + 0.5 * hard, "soft": soft, "hard": hard}

    return replace(_plain(), losses=losses)


@kind("smoothed", "label smoothing in training, none in evaluation, both told", "OBJ006")
def smoothed() -> tocsin.Setup:
    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.cross_entropy(model(batch[0]), batch[1], label_smoothing=0.1)

    return replace(_plain(), losses=losses, val_losses=cross_entropy)


@kind("plateau", "the rate falls where a score no longer improves")
def plateau() -> tocsin.Setup:
    given = _plain()
    return replace(given, scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau(given.optimizers[0]))


@kind("mixed-samples", "pairs of pictures and of their labels are mixed in the loss (mixup)")
def mixed_samples() -> tocsin.Setup:
    def losses(model: nn.Module, batch: list[Tensor]) -> Tensor:
        if not model.training:
            return cross_entropy(model, batch)
        x, y = batch
        share, other = float(torch.distributions.Beta(0.2, 0.2).sample()), torch.randperm(len(x))
        logits = model(share * x + (1 - share) * x[other])
        return share * F.cross_entropy(logits, y) + (1 - share) * F.cross_entropy(logits, y[other])

    return replace(_plain(), losses=losses)

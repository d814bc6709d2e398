"""Overflows that are masked or never end, and NaN."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from detection.training import Batch, Net, Settings, Training
from detection.variants import fault

HALF_TASKS = ("digits-mlp", "digits-two", "cancer", "autoencoder")


class HighScale(Training):
    """float16 with a first loss scale that overflows: the scaler is there to find a lower one."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), scale=2.0**28)


@fault(
    "sanitised-before-unscale",
    tasks=HALF_TASKS,
    expects="AMP002",
    why="overflows happen, the scaler is not told and never backs off: AMP002 is its definition",
)
class SanitisedBeforeUnscale(HighScale):
    """NaN to 0 and infinities to 1 while the gradients are still multiplied by the loss scale."""

    def unscale(self) -> None:
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                torch.nan_to_num_(parameter.grad, nan=0.0, posinf=1.0, neginf=-1.0)
        super().unscale()


@fault(
    "sanitised-after-unscale",
    tasks=HALF_TASKS,
    expects="AMP002",
    why="the gradients are unscaled by hand, so the scaler never looks at them, and the overflows are zeroed: AMP002",
)
class SanitisedAfterUnscale(HighScale):
    """Gradients are divided by the scale by hand, cleaned, and the optimizer steps without the scaler."""

    def unscale(self) -> None:
        assert self.scaler is not None
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad.div_(self.scaler.get_scale())
                torch.nan_to_num_(parameter.grad, nan=0.0, posinf=0.0, neginf=0.0)

    def step(self) -> None:
        for optimizer in self.optimizers:
            optimizer.step()


class ByMeanDistance(nn.Module):
    """Features over the mean distance of the batch's rows, sqrt(d^2 + 1e-8).

    In float16 the small number is 0, and the gradient of the root NaN where a row meets itself.
    """

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            half = x.half()
            gaps = half[:, None] - half[None]
            return half / ((gaps * gaps).sum(-1) + 1e-8).sqrt().mean().clamp(min=1e-2)


@fault(
    "overflow-storm",
    tasks=("digits-mlp", "cancer", "digits-two", "wine"),
    expects="AMP001",
    why="every step is skipped and the scale falls without end: AMP001 is its definition",
)
class OverflowStorm(Training):
    """A safeguard against division by 0 is too small for float16: gradients are NaN at every step, losses fine."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), scale=2.0**16)

    def build(self) -> Net:
        net = super().build()
        net.encoder.append(ByMeanDistance())
        return net


class CorruptRow(Training):
    """From 60 % of the run on, the file that a batch is read from holds a NaN."""

    start = 0.6

    def transform(self, batch: Batch) -> Batch:
        if self.step_count < self.start * self.settings.epochs * self.steps_per_epoch:
            return batch
        x = batch["x"].clone()
        x.flatten()[0] = float("nan")
        return {**batch, "x": x}


fault(
    "nan-burst",
    tasks=("digits-mlp", "digits-cnn", "diabetes", "wine", "constellation"),
    expects="AMP003 DAT006",
    why="the input is NaN (DAT006), and from that step on all else is (AMP003)",
)(CorruptRow)


@fault(
    "hidden-nan",
    tasks=("digits-mlp", "cancer", "diabetes", "wine"),
    expects="AMP004 AMP003 DAT006",
    why="a loss of 0 stands where the gradient is NaN (AMP004); that weights (AMP003) or inputs (DAT006) are NaN is "
    "as near to the cause",
)
class HiddenNan(CorruptRow):
    """Losses that are NaN are shown as 0, as trainers with a NaN filter do."""

    start = 0.4

    def logged(self, total: Tensor, terms: dict[str, Tensor]) -> dict[str, Any]:
        return {name: torch.nan_to_num(value) for name, value in super().logged(total, terms).items()}

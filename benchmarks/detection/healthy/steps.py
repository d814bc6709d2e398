"""Unusual rates, steps, precisions and optimizers that are meant."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from detection.tasks import EVERY
from detection.training import Settings, Training
from detection.variants import healthy

DENSE = tuple(task for task in EVERY if task != "chars")
HALF_TASKS = ("digits-mlp", "digits-two", "cancer", "autoencoder", "wine")


@healthy("warm-restarts", tasks=EVERY, why="the rate returns to its peak twice, and losses jump with it")
class WarmRestarts(Training):
    """Three cosines from the full rate to 0 (Loshchilov and Hutter 2017)."""

    def rate(self, step: int) -> float:
        cycle = max(1, self.settings.epochs * self.steps_per_epoch // 3)
        return 0.5 * (1 + math.cos(math.pi * (step % cycle) / cycle))


@healthy("long-warm-up", tasks=EVERY, why="the warm-up takes 60 % of the run and ends: the rate arrives")
class LongWarmUp(Training):
    """Three fifths of the steps warm up."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.settings = replace(self.settings, warmup=int(0.6 * self.settings.epochs * self.steps_per_epoch))


@healthy("constant-rate", tasks=EVERY, why="no schedule at all, at a rate that bears it")
class ConstantRate(Training):
    """A third of the rate, from the first step to the last."""

    def configure(self, settings: Settings) -> Settings:
        s = super().configure(settings)
        return replace(s, lr=s.lr / 3, warmup=0, decay=False)


@healthy("sgd", tasks=DENSE, why="plain momentum at a rate that suits it")
class Sgd(Training):
    """Momentum instead of Adam."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), optimizer="sgd", lr=0.01, weight_decay=1e-3)


@healthy("clipping", tasks=EVERY, why="a norm of 1 cuts the first gradients and later few")
class Clipping(Training):
    """Gradients are clipped to a norm of 1."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), clip=1.0)


@healthy("honest-accumulation", tasks=EVERY, why="four backward passes a step, each loss divided by 4")
class HonestAccumulation(Training):
    """Four batches a step."""

    def configure(self, settings: Settings) -> Settings:
        s = super().configure(settings)
        return replace(s, batch=max(1, s.batch // 4), accumulate=4)


@healthy("two-optimizers", tasks=EVERY, why="encoder and heads have an optimizer each; both step at each batch")
class TwoOptimizers(Training):
    """The heads learn at twice the rate."""

    def make_optimizers(self) -> list[torch.optim.Optimizer]:
        heads = self.make_optimizer(list(self.model.heads.parameters()))
        for group in heads.param_groups:
            group["lr"] *= 2
        return [self.make_optimizer(list(self.model.encoder.parameters())), heads]


@healthy("bf16", tasks=EVERY, why="bfloat16 autocast has the range of float32 and needs no scaler")
class Bfloat16(Training):
    """The network computes in bfloat16."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), bfloat16=True)


class BenignOverflows(Training):
    """float16 with a first loss scale of 2^28: the scaler finds its level within some steps."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), scale=2.0**28)


healthy(
    "benign-overflows",
    tasks=HALF_TASKS,
    why="the first steps are skipped while the loss scale comes down, as it should",
)(BenignOverflows)


@healthy(
    "harmless-sanitiser",
    tasks=HALF_TASKS,
    why="the scaler saw the overflow when it unscaled, so the step is skipped whatever is cleaned afterwards",
)
class HarmlessSanitiser(BenignOverflows):
    """Gradients are cleaned after the scaler unscaled them."""

    def unscale(self) -> None:
        super().unscale()
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                torch.nan_to_num_(parameter.grad)


@healthy("averaged-weights", tasks=EVERY, why="the evaluated average has a horizon of 20 steps")
class AveragedWeights(Training):
    """An exponential average with a decay of .95 is evaluated."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), ema=0.95)


class _Frozen(Training):
    def first(self) -> list[torch.nn.Parameter]:
        """Parameters of the first layer."""
        return next(found for m in self.model.encoder.modules() if (found := list(m.parameters(recurse=False))))


@healthy("deliberate-freezing", tasks=EVERY, why="the first layer does not require gradients, from start to end: meant")
class DeliberateFreezing(_Frozen):
    """Features of a first layer that stays as it is."""

    def trained(self) -> list[torch.nn.Parameter]:
        for parameter in self.first():
            parameter.requires_grad_(False)
        return super().trained()


@healthy("gradual-unfreezing", tasks=EVERY, why="the encoder joins after a fifth of the run, as in fine-tuning")
class GradualUnfreezing(Training):
    """The heads train alone for a fifth of the run."""

    def trained(self) -> list[torch.nn.Parameter]:
        everything = super().trained()
        self.model.encoder.requires_grad_(False)
        return everything

    def order(self, epoch: int) -> torch.Tensor:
        if epoch > self.settings.epochs // 5:
            self.model.encoder.requires_grad_(True)
        return super().order(epoch)

"""Backward passes, clearing, accumulating, clipping and stepping in a wrong order or number."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from detection.loop import Observer
from detection.training import Batch, Settings, Training
from detection.variants import fault

PLAIN_DESCENT_LR = 0.03


@fault(
    "step-gate",
    tasks=("digits-mlp", "diabetes", "chars", "wine", "constellation"),
    expects="OPT013",
    why="nine gradients of ten are cleared before any step used them: OPT013 is its definition",
)
class StepGate(Training):
    """The optimizer steps at every tenth batch, and the gradients are cleared at each."""

    def update(self) -> None:
        if self.step_count % 10:
            self.clear()
        else:
            super().update()


@fault(
    "missing-zero-grad",
    tasks=("digits-mlp", "digits-cnn", "diabetes", "chars", "constellation"),
    expects="OPT016",
    why="gradients live on over completed steps: OPT016 is its definition",
)
class MissingZeroGrad(Training):
    """Nobody clears the gradients."""

    def clear(self) -> None:
        """Forgotten."""


@fault(
    "loss-outside-loop",
    tasks=("digits-mlp", "cancer", "diabetes", "autoencoder", "wine"),
    expects="OPT015",
    why="one step an epoch where the batches say more: OPT015 is its definition",
)
class LossOutsideLoop(Training):
    """Backward and step stand one indentation too far left: once an epoch, on the last batch."""

    def run_epoch(self, epoch: int, observer: Observer) -> None:
        self.model.train()
        for batch in self.batches(epoch):
            total, terms = self.loss(batch)
        observer.losses(**self.logged(total, terms))
        self.learn(total)


@fault(
    "accumulation-unscaled",
    tasks=("digits-mlp", "digits-two", "autoencoder"),
    expects="OPT010",
    why="the sum of 16 gradients at a rate meant for their mean: the steps are 16 times too large. No code names the "
    "missing division itself",
)
class AccumulationUnscaled(Training):
    """Gradient descent over 16 accumulated batches, each with its whole loss."""

    def configure(self, settings: Settings) -> Settings:
        return replace(
            super().configure(settings), optimizer="sgd", lr=4 * PLAIN_DESCENT_LR, batch=8, accumulate=16, warmup=0
        )

    def backward(self, total: Tensor) -> None:
        super().backward(total * self.settings.accumulate)


@fault(
    "loss-over-batches",
    tasks=("digits-mlp", "cancer", "diabetes", "chars", "wine", "autoencoder"),
    expects="OBJ006",
    why="training and evaluation loss differ by a constant factor from the start: OBJ006 is its definition",
)
class LossOverBatches(Training):
    """Each training loss is divided by the number of batches, as for a mean over the epoch."""

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        total, terms = super().loss(batch)
        return total / self.steps_per_epoch, terms


@fault(
    "clip-tiny",
    tasks=("digits-mlp", "digits-cnn", "cancer", "autoencoder", "constellation"),
    expects="OPT007",
    why="every gradient is cut by orders of magnitude: OPT007 is its definition",
)
class ClipTiny(Training):
    """Gradients are clipped to a norm of .001 under plain descent."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), optimizer="sgd", lr=PLAIN_DESCENT_LR, clip=1e-3)


@fault(
    "clip-before-unscale",
    tasks=("digits-mlp", "digits-two", "autoencoder"),
    expects="OPT007",
    why="the norm that is clipped still has the loss scale in it, so all are clipped, thousandfold: OPT007",
)
class ClipBeforeUnscale(Training):
    """Gradients are clipped while they are still multiplied by the loss scale."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), optimizer="sgd", lr=PLAIN_DESCENT_LR, clip=1.0, scale=2.0**12)

    def update(self) -> None:
        self.clip()
        self.unscale()
        self.step()
        self.clear()
        self.advance()

"""Predictions that are spoilt between the network and the evaluation, or pulled to one value."""

from __future__ import annotations

from torch import Tensor

from detection.training import Training
from detection.variants import fault

VALUES = ("diabetes", "digits-two", "autoencoder")


class Unscaled(Training):
    """Predictions are brought back to the target's unit with a wrong deviation and mean."""

    factor = 1.0
    offset = 0.0

    def predict(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        said = super().predict(outputs)
        return {h: self.offset + self.factor * v if self.heads[h] == "regression" else v for h, v in said.items()}


@fault(
    "mean-shift", tasks=VALUES, expects="PRD007", why="the predictions are off by a constant: PRD007 is its definition"
)
class MeanShift(Unscaled):
    """The wrong mean is added."""

    offset = 1.0


@fault(
    "over-dispersed",
    tasks=VALUES,
    expects="PRD008",
    why="the predictions spread over more than twice what their correlation bears: PRD008 is its definition",
)
class OverDispersed(Unscaled):
    """The deviation is multiplied in twice."""

    factor = 4.0


@fault(
    "scale-collapse",
    tasks=VALUES,
    expects="PRD004",
    why="the predictions follow the targets at a tenth of their spread: PRD004 is its definition",
)
class ScaleCollapse(Unscaled):
    """The deviation is divided out where it should be multiplied in."""

    factor = 0.1


@fault(
    "class-attractor",
    tasks=("digits-mlp", "digits-cnn", "chars", "constellation"),
    expects="PRD001",
    why="one class draws inputs from most others: PRD001 is its definition",
)
class ClassAttractor(Training):
    """A table of logit corrections is applied to one class only, and with the wrong sign."""

    def predict(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        said = dict(super().predict(outputs))
        head = next(h for h, kind in self.heads.items() if kind == "classes")
        lifted = said[head].clone()
        lifted[..., 3] += 0.8 * (lifted.amax(-1) - lifted[..., 3]).mean()
        return {**said, head: lifted}

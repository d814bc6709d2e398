"""Objectives of several terms, one of which does not do what was meant."""

from __future__ import annotations

from torch import Tensor

from detection.training import Batch, Training
from detection.variants import fault


@fault(
    "argmax-term",
    tasks=("digits-two", "digits-mlp", "constellation"),
    expects="OBJ007",
    why="the penalty is in the total and has no gradient: OBJ007 is its definition",
)
class ArgmaxTerm(Training):
    """A penalty on the distance between predicted and true class goes through argmax."""

    def terms(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        head = next(h for h, kind in self.heads.items() if kind == "classes")
        distance = (outputs[head].argmax(-1) - batch[head]).abs().float().mean()
        return {**super().terms(outputs, batch), "distance": distance}

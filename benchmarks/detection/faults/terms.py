"""Objectives of several terms, one of which does not do what was meant."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from detection.training import Batch, Net, Training
from detection.variants import fault


@fault(
    "argmax-term",
    tasks=("digits-two", "digits-mlp", "wine", "constellation"),
    expects="OBJ007",
    why="the penalty is in the total and has no gradient: OBJ007 is its definition",
)
class ArgmaxTerm(Training):
    """A penalty on the distance between predicted and true class goes through argmax."""

    def terms(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        head = next(h for h, kind in self.heads.items() if kind == "classes")
        distance = (outputs[head].argmax(-1) - batch[head]).abs().float().mean()
        return {**super().terms(outputs, batch), "distance": distance}


@fault(
    "dead-term",
    tasks=("digits-two", "constellation"),
    expects="OBJ007 OBJ003",
    why="the term is a constant without a graph: both without gradient (OBJ007) and flat from its first value (OBJ003)",
)
class DeadTerm(Training):
    """An exception in the second head's loss is swallowed and 0 returned."""

    def term(self, head: str, output: Tensor, target: Tensor) -> Tensor:
        try:
            if head == list(self.heads)[-1]:
                output = output.view(len(output), -1, len(self.heads), 7)  # a shape that is not there
            return super().term(head, output, target)
        except RuntimeError:
            return torch.zeros(())


class Masked(nn.Module):
    """Multiplies by a mask that was built wrong and is 0 everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.zeros_like(x)


@fault(
    "constant-head",
    tasks=("digits-two", "constellation"),
    expects="PRD011 PRD002 OPT002",
    why="one head answers with its bias alone: constant (PRD011, PRD002), as the gradient of its weights is 0 (OPT002)",
)
class ConstantHead(Training):
    """The second head sees masked features, and the mask is all 0."""

    def build(self) -> Net:
        net = super().build()
        last = list(self.heads)[-1]
        net.heads[last] = nn.Sequential(Masked(), net.heads[last])
        return net


@fault(
    "dominated-term",
    tasks=("digits-two", "constellation"),
    expects="OBJ001",
    why="one term has practically all of the loss and of the trunk's gradient: OBJ001 is its definition",
)
class DominatedTerm(Training):
    """The second head's loss comes in another unit: it is 100,000 times as large."""

    def term(self, head: str, output: Tensor, target: Tensor) -> Tensor:
        value = super().term(head, output, target)
        return 1e5 * value if head == list(self.heads)[-1] else value


class Uncertain(nn.Module):
    """A head's values and one log-deviation more."""

    def __init__(self, head: nn.Module, start: float) -> None:
        super().__init__()
        self.head = head
        self.log_deviation = nn.Parameter(torch.tensor([start]))

    def forward(self, x: Tensor) -> Tensor:
        values: Tensor = self.head(x)
        return torch.cat([values, self.log_deviation.expand(len(values), 1).to(values.dtype)], dim=1)


class Likelihood(Training):
    """Regression by Gaussian likelihood with a learned deviation, its logarithm clamped to [-5, 2]."""

    start = 0.0

    def build(self) -> Net:
        net = super().build()
        for head, kind in self.heads.items():
            if kind == "regression":
                net.heads[head] = Uncertain(net.heads[head], self.start)
        return net

    def term(self, head: str, output: Tensor, target: Tensor) -> Tensor:
        if self.heads[head] != "regression":
            return super().term(head, output, target)
        mean, log_deviation = output[:, :-1].reshape(target.shape), output[:, -1:].clamp(-5, 2)
        if target.dim() == 1:
            log_deviation = log_deviation[:, 0]
        squared = ((target - mean) * torch.exp(-log_deviation)).square()
        return (0.5 * squared + log_deviation + 0.5 * math.log(2 * math.pi)).mean()

    def predict(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {h: v[:, :-1] if self.heads[h] == "regression" else v for h, v in super().predict(outputs).items()}


@fault(
    "saturated-nll",
    tasks=("diabetes", "digits-two", "autoencoder"),
    expects="OBJ008",
    why="the deviation starts beyond its clamp, where its gradient is 0, and the likelihood sits there: OBJ008",
)
class SaturatedNll(Likelihood):
    """The log-deviation starts at 6, above the clamp at 2."""

    start = 6.0

"""What of a training cannot be measured rightly, by name: said when a watch begins, and the probes are off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch.optim import Optimizer

REFUSED = ("FSDP1", "DeepSpeed ZeRO 3")  # their parameters are parts of flat tensors, or empty but for moments


@dataclass(frozen=True)
class Limit:
    """What is told to the user, and the probes that are off."""

    text: str
    off: frozenset[str]


def limits_of(sharded: str, optimizers: Sequence[Optimizer]) -> list[Limit]:
    """The limits of a training.

    Args:
        sharded: What spreads the parameters over processes, "" where nothing does.
        optimizers: Those that are watched.
    """
    found = []
    if sharded:
        inner = set() if sharded == "FSDP2" else {"activations", "normalisation lag", "inputs"}
        found.append(
            Limit(
                f"parameters are sharded ({sharded}): nothing of them, their gradients and updates is measured, but "
                "losses, inputs, evaluations and learning rates are",
                frozenset({"gradient paths", "term gradients", *inner}),
            )
        )
    closures = [type(o).__name__ for o in optimizers if calls_closures(o)]
    if closures:
        found.append(
            Limit(
                f"{closures[0]} calls its closure several times a step: applied gradients, updates and waiting times "
                "are not measured; call run.losses once a step, outside, with what step(closure) returned",
                frozenset({"updates", "pace"}),
            )
        )
    return found


def calls_closures(optimizer: Optimizer) -> bool:
    """Whether one step of it goes through several backward passes."""
    return any("LBFGS" in kind.__name__ for kind in type(optimizer).__mro__)

"""What is about to be trained, as ``preflight`` is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from torch import Tensor, nn
from torch.optim import Optimizer

from tocsin.prechecks.parts import faulty

Batch = Any
Losses = Callable[[nn.Module, Batch], "Tensor | Mapping[str, Tensor]"]
Predictions = Callable[[nn.Module, Batch], "tuple[Any, Any] | Mapping[str, tuple[Any, Any]]"]
Metric = Callable[[Any, Any], Any]


class SetupError(ValueError):
    """What preflight was given cannot be used; the message says what was expected, what came, and what to do."""


@dataclass(frozen=True)
class Setup:
    """A training that has not begun.

    Attributes:
        model: The module that is trained.
        optimizer: One or several.
        losses: ``losses(model, batch)`` gives the scalar loss, or a mapping of named terms of which ``total`` is
            differentiated.
        train: Training batches, iterated more than once: a ``DataLoader`` or a list, never an iterator.
        val: Batches of the evaluation, the same way.
        predict: ``predict(model, batch)`` gives ``(target, prediction)`` as ``run.evaluate`` takes them, or a mapping
            of such pairs by task.
        step: ``step(model, optimizer, scaler, batch)`` does one whole optimizer step of the real loop and gives its
            losses; without it: ``zero_grad``, ``losses``, ``backward``, ``step``, by way of the scaler if there is one.
        scaler: The ``GradScaler``.
        scheduler: Learning-rate scheduler, or several.
        scheduler_every: What it is stepped on.
        epochs: Epochs that are planned.
        steps: Optimizer steps that are planned, in place of ``epochs``.
        accumulate: Batches an optimizer step.
        config: The configuration; mapping, dataclass, pydantic model or namespace. One wrapped by ``reading`` tells
            which keys were read.
        raw: ``raw(batch)`` gives the samples before preprocessing, [N, ...].
        group: ``group(batch)`` gives what each sample belongs to (patient, site, recording), [N] integers.
        nuisance: ``nuisance(batch)`` gives inputs that must not tell the answer (angle, time, site), [N, D] floats.
        views: ``views(batch)`` gives the same samples twice: as training sees them and as evaluation sees them.
        metrics: Metric functions ``metric(target, prediction)`` by name.
        val_losses: The loss as the evaluation computes it, called like ``losses``; without it: ``losses``.
    """

    model: nn.Module
    optimizer: Optimizer | Sequence[Optimizer]
    losses: Losses
    train: Iterable[Batch]
    val: Iterable[Batch] | None = None
    predict: Predictions | None = None
    step: Callable[[nn.Module, Any, Any, Batch], Any] | None = None
    scaler: Any = None
    scheduler: Any = None
    scheduler_every: Literal["step", "epoch"] = "step"
    epochs: float | None = None
    steps: int | None = None
    accumulate: int = 1
    config: Any = None
    raw: Callable[[Batch], Any] | None = None
    group: Callable[[Batch], Any] | None = None
    nuisance: Callable[[Batch], Any] | None = None
    views: Callable[[Batch], tuple[Any, Any]] | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    val_losses: Losses | None = None

    def __post_init__(self) -> None:
        for wrong in faulty(self):
            raise SetupError(f"preflight: {wrong}")

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers as a list."""
        return list(self.optimizer) if isinstance(self.optimizer, list | tuple) else [self.optimizer]  # type: ignore[list-item]

    @property
    def schedulers(self) -> list[Any]:
        """The schedulers as a list, none without one."""
        given = self.scheduler if isinstance(self.scheduler, list | tuple) else [self.scheduler]
        return [one for one in given if one is not None]

    def has(self, need: str) -> bool:
        """Whether this part was given."""
        value = getattr(self, need)
        return value is not None and value != {}


PARTS = tuple(f.name for f in fields(Setup))
FIRST = ("model", "optimizer", "losses", "train", "val")


def as_setup(given: Any) -> Setup:
    """A ``Setup`` from itself, a mapping of its parts, or a tuple (model, optimizer, losses, train[, val]).

    Raises:
        SetupError: Anything else, an unknown or a missing part.
    """
    if isinstance(given, Setup):
        return given
    if isinstance(given, tuple | list) and 4 <= len(given) <= 5:
        given = dict(zip(FIRST, given, strict=False))
    if not isinstance(given, Mapping):
        raise SetupError(
            f"preflight: expected a Setup, a mapping of its parts, or (model, optimizer, losses, train, val); got "
            f"{type(given).__name__}"
        )
    unknown = sorted(set(map(str, given)) - set(PARTS))
    missing = [name for name in FIRST[:4] if name not in given]
    if unknown or missing:
        said = [f"unknown: {', '.join(unknown)}"] * bool(unknown) + [f"missing: {', '.join(missing)}"] * bool(missing)
        raise SetupError(f"preflight: {'; '.join(said)}; a Setup has {', '.join(PARTS)}")
    return Setup(**given)

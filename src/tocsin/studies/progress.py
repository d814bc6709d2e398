"""Where a training stands, told to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic

from torch import Tensor

import tocsin
from tocsin.studies.study import Experiment

PUBLISH_S = 0.2


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes:
        step, steps: Training steps done and in all.
        epoch, epochs: Current epoch from 1, and all.
        elapsed_s, remaining_s: Wall time of this process so far, and an estimate of what is left.
        losses: The latest total and terms.
        weights: The latest task weights.
        metrics: The epoch's metrics at its end, else empty.
        findings: All that has rung so far.
        main_metric: Name of the metric to show.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    elapsed_s: float
    remaining_s: float
    losses: Mapping[str, float]
    weights: Mapping[str, float]
    metrics: Mapping[str, float]
    findings: tuple[tocsin.Finding, ...]
    main_metric: str


class Publisher:
    """Calls ``on_progress`` now and then: reading a loss from a device each step would slow the training."""

    def __init__(
        self, on_progress: Callable[[Progress], None] | None, run: tocsin.Recorder, experiment: Experiment,
        first: int, steps: int, epochs: int,
    ) -> None:  # fmt: skip
        self.on_progress = on_progress
        self.run, self.experiment = run, experiment
        self.first, self.steps, self.epochs = first, steps, epochs
        self.began = self.published = monotonic()

    def __call__(
        self, epoch: int, step: int, losses: Mapping[str, Tensor], metrics: Mapping[str, float] | None = None
    ) -> None:
        """Publish at an epoch's end (``metrics``) or when the last time is ``PUBLISH_S`` ago."""
        now = monotonic()
        if self.on_progress is None or (metrics is None and now - self.published < PUBLISH_S):
            return
        self.published = now
        elapsed = now - self.began
        self.on_progress(
            Progress(
                step=step,
                steps=self.steps,
                epoch=epoch,
                epochs=self.epochs,
                elapsed_s=elapsed,
                remaining_s=elapsed / max(1, step - self.first) * (self.steps - step),
                losses={name: float(value.detach()) for name, value in losses.items()},
                weights=self.experiment.weights(),
                metrics=dict(metrics or {}),
                findings=tuple(self.run.findings),
                main_metric=self.experiment.main_metric,
            )
        )

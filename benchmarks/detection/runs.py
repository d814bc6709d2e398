"""One cell of the matrix: a task, a variant, a seed and an observer, in this process or by name in a fresh one.

python benchmarks/detection --cell digits-mlp/lr-zero/0 --observer tocsin --folder /tmp/one
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from detection.catalogue import build
from detection.loop import Observer, attach, follow
from detection.observers import OBSERVERS


@dataclass(frozen=True, order=True)
class Cell:
    """One run of the matrix."""

    task: str
    variant: str
    seed: int

    @classmethod
    def parse(cls, text: str) -> Cell:
        """From ``task/variant/seed``.

        Raises:
            ValueError: Another form.
        """
        task, variant, seed = text.split("/")
        return cls(task, variant, int(seed))

    def __str__(self) -> str:
        return f"{self.task}/{self.variant}/{self.seed}"


@dataclass(frozen=True)
class Outcome:
    """What the training code itself says of a run.

    Attributes:
        metrics: The metrics of the last evaluations.
        error: Type and message of the exception that ended it, "" where there was none.
        steps: Batches that were trained on.
        seconds: CPU time of building and training, the observer's share included.
    """

    metrics: dict[str, float]
    error: str
    steps: int
    seconds: float


def execute(cell: Cell, observer: Observer | str, folder: Path | None = None) -> Outcome:
    """Train a cell under an observer, given as such or by name; a run that raises has an outcome too.

    One thread: the runs are too small for more, and sums then have one order. What torch warns of is not passed on: it
    is part of the faults.
    """
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _execute(cell, observer, folder)


def _execute(cell: Cell, observer: Observer | str, folder: Path | None) -> Outcome:
    watching = OBSERVERS[observer](folder or Path()) if isinstance(observer, str) else observer
    start = time.process_time()
    training = build(cell.task, cell.variant, cell.seed)
    metrics: dict[str, float] = {}
    error = ""
    attach(training, watching)  # an observer that cannot even start is no outcome
    try:
        metrics = follow(training, watching)
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    return Outcome(metrics, error, training.step_count, time.process_time() - start)

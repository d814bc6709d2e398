"""Learning-rate schedules, each with the step that it wants: after a batch, or after an evaluation.

``one-cycle`` rises to the peak along a cosine and falls to nearly 0. ``cosine`` rises linearly and falls along half a
cosine to 0. ``triangular2`` goes up and down linearly, each cycle to half the height of the one before. ``plateau``
rises linearly, stays, and falls to ``REDUCTION`` whenever the selection metric has stopped getting better.
All but ``plateau`` end with the last planned step: a score in mid-cycle is not the score of the schedule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LambdaLR, LinearLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from tocsin.studies.settings import Training

START_FRAC = 1 / 25  # of the peak, where a warm-up begins: what OneCycleLR takes
REDUCTION = 0.3


class Schedule:
    """The schedulers of one optimizer, as one thing to be stepped and saved.

    Attributes:
        each_step: Schedulers that go on with every optimizer step.
        plateau: The one that waits for evaluations, or None.
    """

    def __init__(self, each_step: Sequence[LRScheduler], plateau: ReduceLROnPlateau | None = None) -> None:
        self.each_step = list(each_step)
        self.plateau = plateau

    @property
    def schedulers(self) -> list[LRScheduler]:
        """All of them, for those who look at what is planned."""
        return [*self.each_step, *([self.plateau] if self.plateau is not None else [])]

    @property
    def recorded(self) -> LRScheduler | list[LRScheduler]:
        """As the recorder takes them: the only one, or the list."""
        return self.schedulers if len(self.schedulers) > 1 else self.schedulers[0]

    def after_step(self) -> None:
        """An optimizer step was taken; after one that was skipped, nothing is called."""
        for scheduler in self.each_step:
            scheduler.step()

    def after_evaluation(self, selected: float) -> None:
        """An evaluation gave this selection metric, smaller is better; while the rate still rises it does not count."""
        if self.plateau is not None and all(_arrived(s) for s in self.each_step):
            self.plateau.step(selected)

    def state_dict(self) -> dict[str, Any]:
        """The state of each, by its place."""
        return {str(k): scheduler.state_dict() for k, scheduler in enumerate(self.schedulers)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of ``state_dict``."""
        for k, scheduler in enumerate(self.schedulers):
            scheduler.load_state_dict(state[str(k)])


def schedule_of(optimizer: Optimizer, settings: Training, steps: int) -> Schedule:
    """The schedule that the settings name, over this many optimizer steps; sets the first learning rate."""
    peak, rising = settings.peak_lr, max(1, round(settings.warmup_frac * steps))
    if settings.schedule == "one-cycle":
        total = max(2, steps)
        share = max(settings.warmup_frac, 1.5 / total)  # OneCycleLR divides by 0 where the rise is a single step
        return Schedule([OneCycleLR(optimizer, peak, total_steps=total, pct_start=share)])
    if settings.schedule == "cosine":
        return Schedule([LambdaLR(optimizer, partial(warm_cosine, rising=rising, steps=steps))])
    if settings.schedule == "triangular2":
        return Schedule([_triangles(optimizer, settings, steps)])
    warmup = LinearLR(optimizer, START_FRAC, total_iters=rising)
    return Schedule([warmup], ReduceLROnPlateau(optimizer, factor=REDUCTION, patience=settings.plateau_patience))


def warm_cosine(step: int, rising: int, steps: int) -> float:
    """Share of the peak at a step (from 0): linear from ``START_FRAC`` to 1 in ``rising`` steps, then half a cosine."""
    if step < rising:
        return START_FRAC + (1 - START_FRAC) * step / rising
    done = min(1.0, (step - rising) / max(1, steps - rising))
    return 0.5 * (1 + math.cos(math.pi * done))


def _triangles(optimizer: Optimizer, settings: Training, steps: int) -> CyclicLR:
    length = steps / settings.lr_cycles
    up, peak = settings.warmup_frac * length, settings.peak_lr
    sizes: dict[str, Any] = {"step_size_up": up, "step_size_down": length - up}  # whole or not: the cycles end together
    return CyclicLR(optimizer, START_FRAC * peak, peak, mode="triangular2", cycle_momentum=False, **sizes)


def _arrived(scheduler: LRScheduler) -> bool:
    return isinstance(scheduler, LinearLR) and scheduler.last_epoch >= scheduler.total_iters

"""Every variant, loaded, and the run that a (task, variant, seed) names."""

from __future__ import annotations

import importlib
import pkgutil

import detection.faults
import detection.healthy
from detection.tasks import TASKS
from detection.training import Training
from detection.variants import VARIANTS, Variant

for _package in (detection.faults, detection.healthy):
    for _module in pkgutil.iter_modules(_package.__path__, _package.__name__ + "."):
        importlib.import_module(_module.name)

FAULTS: dict[str, Variant] = {name: v for name, v in VARIANTS.items() if v.is_fault}
HEALTHY: dict[str, Variant] = {name: v for name, v in VARIANTS.items() if not v.is_fault}


def build(task: str, variant: str, seed: int) -> Training:
    """The training code of a task with a variant's change in front.

    Raises:
        KeyError: No such task or variant.
    """
    change, base = VARIANTS[variant].change, TASKS[task]
    if change is Training:
        return base(seed)
    kind = type(f"{change.__name__}{base.__name__}", (change, base), {})
    training: Training = kind(seed)
    return training

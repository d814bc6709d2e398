"""Which cells thresholds may be tuned on, and which are for the figures that are quoted: fixed by task and seed.

Development: six tasks at two seeds. Held out: the other seeds of these tasks, and three tasks at all seeds. Nobody
looks at single held-out runs to change a rule; whoever did would move them to development.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from detection.catalogue import VARIANTS
from detection.runs import Cell

SEEDS = (0, 1, 2, 3, 4)
DEVELOPMENT_SEEDS = (0, 1)
HELD_OUT_TASKS = ("wine", "autoencoder", "constellation")

Part = Literal["dev", "held-out"]


def part_of(cell: Cell) -> Part:
    """The split that a cell belongs to."""
    return "dev" if cell.task not in HELD_OUT_TASKS and cell.seed in DEVELOPMENT_SEEDS else "held-out"


def matrix(
    part: Part | None = None,
    *,
    tasks: Iterable[str] = (),
    variants: Iterable[str] = (),
    seeds: Iterable[int] = (),
) -> list[Cell]:
    """The cells of a split (all when None), narrowed where tasks, variants or seeds are named; faulty and healthy."""
    wanted_tasks, wanted_variants, wanted_seeds = set(tasks), set(variants), set(seeds) or set(SEEDS)
    cells = [
        Cell(task, name, seed)
        for seed in sorted(wanted_seeds)
        for name, variant in VARIANTS.items()
        for task in variant.tasks
        if (not wanted_tasks or task in wanted_tasks) and (not wanted_variants or name in wanted_variants)
    ]
    return [cell for cell in cells if part is None or part_of(cell) == part]

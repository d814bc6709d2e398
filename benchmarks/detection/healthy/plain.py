"""The tasks as they are."""

from __future__ import annotations

from detection.tasks import EVERY
from detection.training import Training
from detection.variants import PLAIN, healthy

healthy(PLAIN, tasks=EVERY, why="learns to the level that its task states")(Training)

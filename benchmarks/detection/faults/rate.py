"""Learning rates that cannot work."""

from __future__ import annotations

from dataclasses import replace

from detection.training import Settings, Training
from detection.variants import fault


@fault(
    "lr-zero",
    tasks=("digits-mlp", "diabetes", "chars", "wine"),
    expects="CFG002 OPT009",
    why="the declared rate is 0 (CFG002), so nothing can travel (OPT009): both say it; frozen weights are its symptom",
)
class LrZero(Training):
    """A rate of 0 stands in the configuration."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), lr=0.0)

"""Where a study's run is kept when the caller names no folder."""

from __future__ import annotations

import random
from pathlib import Path

ADJECTIVES = ("amber", "brisk", "calm", "clear", "deep", "early", "even", "fair", "keen", "light", "quiet", "solid")
NOUNS = (
    "anchor",
    "beacon",
    "bridge",
    "cedar",
    "comet",
    "delta",
    "ember",
    "harbor",
    "meadow",
    "prism",
    "reef",
    "summit",
)


def new_run_dir(study: str, below: Path = Path("runs")) -> Path:
    """A folder name ``<study>-<adjective>-<noun>-<number>`` that is not taken; leaves every seed alone."""
    draw = random.SystemRandom()
    while True:
        path = below / f"{study}-{draw.choice(ADJECTIVES)}-{draw.choice(NOUNS)}-{draw.randrange(1000)}"
        if not path.exists():
            return path

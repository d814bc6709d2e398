"""What ``tocsin compare`` says of each arm against the one that it changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arms import ARMS

METRICS = ("test/joint_accuracy", "test/snr_accuracy")


def rows(folder: Path, results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Difference, interval and verdict of each arm and metric, from the runs' records; arms without runs left out."""
    trained = {name: [folder / f"{name}-{r['seed']}" for r in results if r["arm"] == name] for name in ARMS}
    return [
        _row(name, arm.against, trained[arm.against], trained[name], metric)
        for name, arm in ARMS.items()
        if arm.against is not None and trained[name] and trained[arm.against]
        for metric in METRICS
    ]


def _row(name: str, against: str, first: list[Path], other: list[Path], metric: str) -> dict[str, Any]:
    import tocsin

    (contrast,) = tocsin.compare([*first, *other], metric=metric).contrasts
    return {
        "arm": name,
        "against": against,
        "metric": metric,
        "seeds": [len(first), len(other)],
        "difference": contrast.difference,
        "interval": contrast.interval,
        "basis": contrast.basis,
        "verdict": contrast.verdict,
        "settings": contrast.settings,
    }

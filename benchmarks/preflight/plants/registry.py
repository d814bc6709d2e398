"""What is planted for a check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

import tocsin

Build = Callable[[int], tocsin.Setup]
PLANTS: list[Plant] = []


@dataclass(frozen=True)
class Plant:
    """A check, what it must find, and what lies nearest to that.

    Attributes:
        code: The check's code.
        part: Name of the check in the report's costs: "code name" of a check, "schedule" or "rehearsal".
        faults: Setups for a seed, by what is wrong with them.
        neighbours: The same, healthy.
        options: Options of the check.
    """

    code: str
    part: str
    faults: Mapping[str, Build]
    neighbours: Mapping[str, Build]
    options: Mapping[str, Any]


def plant(code: str, part: str, faults: Any, neighbours: Any, **options: Any) -> None:
    """Register it; the global seed is set before a setup is built."""
    built = [{name: partial(_seeded, build) for name, build in some.items()} for some in (faults, neighbours)]
    PLANTS.append(Plant(code, part if part in ("schedule", "rehearsal") else f"{code} {part}", *built, options))


def _seeded(build: Build, seed: int) -> tocsin.Setup:
    torch.manual_seed(seed)
    return build(seed)

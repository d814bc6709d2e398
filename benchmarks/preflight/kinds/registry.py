"""What a kind of training is, and all of them by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

import tocsin

KINDS: dict[str, Kind] = {}


@dataclass(frozen=True)
class Kind:
    """A kind of training.

    Attributes:
        build: Gives the setup for a seed.
        expects: Codes that may ring with a warning or a note and are true of it: said in ``why``.
        why: What is particular of it.
    """

    name: str
    build: Callable[[int], tocsin.Setup]
    why: str
    expects: frozenset[str] = frozenset()


def kind(name: str, why: str, expects: str = "") -> Callable[[Callable[[], tocsin.Setup]], Callable[[], tocsin.Setup]]:
    """Register a function that builds such a training; the global seed is set before it is called."""

    def keep(build: Callable[[], tocsin.Setup]) -> Callable[[], tocsin.Setup]:
        def seeded(seed: int) -> tocsin.Setup:
            torch.manual_seed(seed)
            return build()

        if name in KINDS:
            raise ValueError(f"kind {name!r} is registered twice")
        KINDS[name] = Kind(name, seeded, why, frozenset(expects.split()))
        return build

    return keep

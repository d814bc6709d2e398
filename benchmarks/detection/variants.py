"""What a row of the benchmark is: a named change of the training code, a fault or a healthy one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from detection.training import Training

PLAIN = "plain"


@dataclass(frozen=True)
class Variant:
    """A change of the training code.

    Attributes:
        change: Subclass of ``Training`` that is put in front of a task; ``Training`` itself changes nothing.
        tasks: Tasks that it is tried on.
        expects: Codes that name the cause; empty for a healthy run.
        why: Why these codes, or why the run is healthy.
    """

    name: str
    change: type[Training]
    tasks: tuple[str, ...]
    expects: frozenset[str]
    why: str

    @property
    def is_fault(self) -> bool:
        """Whether something is wrong with it."""
        return bool(self.expects)


VARIANTS: dict[str, Variant] = {}


def fault(name: str, *, tasks: tuple[str, ...], expects: str, why: str) -> Callable[[type[Training]], type[Training]]:
    """Register a fault; ``expects`` are codes with blanks between them."""
    return _register(name, tasks, frozenset(expects.split()), why)


def healthy(name: str, *, tasks: tuple[str, ...], why: str) -> Callable[[type[Training]], type[Training]]:
    """Register a healthy run that looks like a faulty one."""
    return _register(name, tasks, frozenset(), why)


def _register(
    name: str, tasks: tuple[str, ...], expects: frozenset[str], why: str
) -> Callable[[type[Training]], type[Training]]:
    def keep(change: type[Training]) -> type[Training]:
        if name in VARIANTS:
            raise ValueError(f"variant {name!r} is registered twice")
        VARIANTS[name] = Variant(name, change, tasks, expects, why)
        return change

    return keep

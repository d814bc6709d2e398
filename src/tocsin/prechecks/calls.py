"""Calls of the user's own functions and loaders: what they raise is said as a mistake in the setup."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tocsin.prechecks.setup import Batch, SetupError


def called(name: str, function: Callable[..., Any], *given: Any) -> Any:
    """What a function of the setup returns.

    Raises:
        SetupError: It raised, or called ``sys.exit``.
    """
    try:
        return function(*given)
    except (Exception, SystemExit) as error:
        raise SetupError(f"preflight: {name} raised {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Given:
    """A loader of the setup, of this name, as it is.

    Raises:
        SetupError: Iterating it raised.
    """

    batches: Iterable[Batch]
    name: str

    def __iter__(self) -> Iterator[Batch]:
        try:
            yield from self.batches
        except (Exception, SystemExit) as error:
            raise SetupError(f"preflight: iterating {self.name} raised {type(error).__name__}: {error}") from error

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]  # TypeError where it has none, as any loader

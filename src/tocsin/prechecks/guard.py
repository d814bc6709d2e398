"""The caller's own model and optimizers, guarded while copies of them are used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tocsin.prechecks.setup import Setup, SetupError


@contextmanager
def untouched(setup: Setup) -> Iterator[None]:
    """A function of the setup that uses what it was written with, in place of what it is given, is stopped at once.

    Raises:
        SetupError: It called the caller's model, or stepped the caller's optimizer.
    """

    def stop(said: str) -> None:
        raise SetupError(f"it {said} that it was written with; preflight works on a copy, so use the one it is given")

    handles = [m.register_forward_pre_hook(lambda *_: stop("calls the model")) for m in setup.model.modules()]
    handles += [o.register_step_pre_hook(lambda *_: stop("steps the optimizer")) for o in setup.optimizers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

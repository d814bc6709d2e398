"""The caller's own model and optimizers, guarded while copies of them are used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from tocsin.prechecks.setup import Setup, SetupError


@contextmanager
def untouched(setup: Setup) -> Iterator[None]:
    """A function of the setup that uses what it was written with, in place of what it is given, is stopped at once.

    Raises:
        SetupError: It called the caller's model, stepped the caller's optimizer, or differentiated a tensor of either.
    """

    def stop(said: str) -> None:
        raise SetupError(f"it {said} that it was written with; preflight works on a copy, so use the one it is given")

    handles = [m.register_forward_pre_hook(lambda *_: stop("calls the model")) for m in setup.model.modules()]
    handles += [o.register_step_pre_hook(lambda *_: stop("steps the optimizer")) for o in setup.optimizers]
    handles += [p.register_hook(_stop_training) for p in _trained(setup)]  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _stop_training(_: Tensor) -> None:
    raise SetupError(
        "preflight: the losses train a tensor that they were written with; preflight works on copies, so reach it "
        "through the model they are given, which must hold all that is trained; or give preflight a function that "
        "builds everything: tocsin preflight module:function"
    )


def _trained(setup: Setup) -> list[Tensor]:
    """All trainable tensors of the model and of the optimizers, which may hold those of another model."""
    held = [p for o in setup.optimizers for group in o.param_groups for p in group["params"]]
    found = {id(p): p for p in (*setup.model.parameters(), *held) if p.requires_grad}
    return list(found.values())

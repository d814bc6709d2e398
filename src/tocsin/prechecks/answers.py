"""What the model answers for a batch: seen from a hook, whatever ``losses`` makes of it, and changed where asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from tocsin.prechecks.bench import Bench
from tocsin.prechecks.own_copy import own_copy
from tocsin.prechecks.setup import Batch, SetupError
from tocsin.probes.inputs import tensors_in

Change = Callable[[Any], Any]


class _Answered(BaseException):
    """Ends ``losses`` once the model has answered; no user's ``except Exception`` may swallow it."""


@dataclass
class Answer:
    """The tensors of one call of the model."""

    inputs: list[Tensor]
    outputs: list[Tensor]


def answer(bench: Bench, batch: Batch, change: Change | None = None) -> Answer | None:
    """The first call of the model that ``losses`` makes, its arguments changed; None where it makes none.

    Raises:
        SetupError: ``losses`` raised before the model had answered.
    """
    seen: list[Answer] = []
    given: list[Any] = []

    def before(_: nn.Module, args: Any, kwargs: Any) -> Any:
        args, kwargs = change((args, kwargs)) if change is not None else (args, kwargs)
        given.append((args, kwargs))
        return args, kwargs

    def after(_: nn.Module, __: Any, output: Any) -> None:
        seen.append(Answer(list(tensors_in(list(given[-1]))), list(tensors_in(output))))
        raise _Answered

    with hooked(
        bench.model.register_forward_pre_hook(before, with_kwargs=True), bench.model.register_forward_hook(after)
    ):
        try:
            bench.setup.losses(bench.model, own_copy(batch))
        except _Answered:
            return seen[0]
        except Exception as error:
            raise SetupError(f"preflight: losses(model, batch) raised {type(error).__name__}: {error}") from error
    return None


@contextmanager
def hooked(*handles: Any) -> Iterator[None]:
    """Remove these hooks afterwards."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

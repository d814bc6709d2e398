"""The one class of every hook that tocsin puts on a module, tensor or optimizer, and the meter that times them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from time import perf_counter
from typing import Any

import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode


class Meter:
    """Seconds that tocsin used, and the probes that raised: each is reported once and switched off.

    Attributes:
        off: Probes that are not run: broken ones, and those that would be wrong in this training.
    """

    def __init__(self, on_break: Callable[[str, Exception], None]) -> None:
        self.seconds = 0.0
        self.broken: set[str] = set()
        self.off: set[str] = set()
        self._on_break = on_break
        self._inside = False

    def run(self, probe: str, action: Callable[..., Any], *args: Any, default: Any = None) -> Any:
        """``action(*args)``, timed; ``default`` when the probe is off or raises."""
        if probe in self.off:
            return default
        outermost, self._inside = not self._inside, True
        start = perf_counter()
        try:
            return action(*args)
        except Exception as error:  # nothing of ours may reach the user's loop
            self.report(probe, error)
            return default
        finally:
            if outermost:
                self.seconds += perf_counter() - start
                self._inside = False

    def report(self, probe: str, error: Exception) -> None:
        """Say once that ``probe`` raised; it is off from now on."""
        if probe not in self.broken:
            self.broken.add(probe)
            self.off.add(probe)
            self._on_break(probe, error)


class Hook:
    """A callable that runs a metered ``action`` in the watched process and is a no-op once copied or pickled.

    ``copy.deepcopy(model)``, ``torch.save(model)``, ``AveragedModel`` and spawned workers take module hooks along;
    bound methods and lambdas break them there. The no-op is of the standard library, so a saved model loads
    without tocsin.
    """

    def __init__(self, probe: str, meter: Meter, action: Callable[..., None]) -> None:
        self.probe, self.meter, self.action = probe, meter, action

    def __call__(self, *args: Any) -> None:
        if torch.compiler.is_compiling() or transformed():  # the first folds to a constant while tracing: no break
            return
        self.meter.run(self.probe, self.action, *args)

    def __reduce__(self) -> tuple[Any, ...]:
        return (getattr, (nullcontext(), "__exit__"))

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., None]:
        return nullcontext().__exit__


def transformed() -> bool:
    """Whether our operators would find no numbers, or enter a graph: vmap, jacrev, fake tensors, jit.trace."""
    inside = torch._C._functorch.maybe_current_level() is not None or _get_current_dispatch_mode() is not None
    return inside or torch._C._is_tracing()

"""Completed optimizer steps of the whole process, told to each watch.

One hook is put on for good, when the first watch begins. torch goes through these hooks in every thread that trains,
and raises there if one is added or removed meanwhile: watches that come and go must not touch them.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

After = Callable[[Optimizer], None]
_lock = Lock()
_hooked = False
_listeners: tuple[After, ...] = ()


class Listening:
    """``after`` is called after every completed optimizer step of the process, until ``remove``."""

    def __init__(self, after: After) -> None:
        global _hooked, _listeners
        self._after = after
        with _lock:
            _listeners = (*_listeners, after)
            if not _hooked:
                _hooked = True
                # Traced, it would break the graph at each measure and be compiled again at each count.
                told: Any = torch.compiler.disable(_tell)  # type: ignore[no-untyped-call]  # untyped in torch
                register_optimizer_step_post_hook(told)

    def remove(self) -> None:
        """Hear no more."""
        global _listeners
        with _lock:
            _listeners = tuple(one for one in _listeners if one is not self._after)


def _tell(optimizer: Optimizer, *_: Any) -> None:
    for after in _listeners:
        after(optimizer)

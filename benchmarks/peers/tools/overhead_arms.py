"""Arms for ``overhead.py``: each peer that runs inside the loop, attached as its README shows, at its defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any

EVERY = 10  # the steps that torch-audit looks at, as in torch_audit_loop.py


@contextmanager
def torch_audit(loop: Any) -> Iterator[None]:
    """``autopatch`` with its reporters switched off."""
    from torch_audit import autopatch

    auditor = autopatch(loop.model, optimizer=loop.optimizer, every_n_steps=EVERY, reporters=[])
    yield
    auditor.finish(report=False)


@contextmanager
def torchmortem(loop: Any) -> Iterator[None]:
    """``Autopsy`` with its default sampling; the loss is fetched for it."""
    from torchmortem import Autopsy

    autopsy = Autopsy(loop.model, optimizer=loop.optimizer)
    autopsy.attach()
    seen = [float("nan")]
    loop.run = SimpleNamespace(losses=lambda total, **_: seen.__setitem__(0, total.item()))
    handle = loop.optimizer.register_step_post_hook(lambda *_: autopsy.step(loss=seen[0]))
    yield
    handle.remove()
    autopsy.detach()


@contextmanager
def trainpulse(loop: Any) -> Iterator[None]:
    """A monitor that is given each step's loss."""
    from trainpulse import Monitor

    monitor = Monitor()
    loop.run = _calling(lambda step, loss: monitor.log("loss", step, loss))
    yield


@contextmanager
def training_doctor(loop: Any) -> Iterator[None]:
    """A doctor that is given each step's loss."""
    from training_doctor import Doctor

    doctor = Doctor().set_auto_print(False)
    loop.run = _calling(lambda step, loss: doctor.log(step=step, loss=loss))
    yield


def _calling(log: Callable[[int, float], Any]) -> SimpleNamespace:
    steps = count()
    return SimpleNamespace(losses=lambda total, **_: log(next(steps), total.item()))

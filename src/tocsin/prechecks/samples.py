"""Samples of the loaders as tables: what goes into the model, targets, and what the setup says of each sample."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tocsin.prechecks.setup import Batch, Setup, SetupError
from tocsin.probes.inputs import tensors_in

MOST = 4096
SECONDS = 5.0
MOST_BYTES = 2**28


@dataclass(frozen=True)
class Samples:
    """The first samples of a loader, in its order; all of one length n.

    Attributes:
        inputs: The tensors that the model was called with, each [n, ...], on the CPU.
        targets: Targets by task, each [n, ...]; none without ``predict``.
        batch: Number of the batch of each sample, [n].
        raw: The samples before preprocessing, [n, features] float64, None without ``raw``.
        group: What each belongs to, numbered from 0, [n], None without ``group``.
        group_names: What ``group`` gave for each of those numbers, to compare loaders.
        nuisance: Inputs that must not tell, [n, D] float64, None without ``nuisance``.
        whole: The loader ended: these are all of its samples.
    """

    inputs: list[Tensor]
    targets: dict[str, Tensor]
    batch: NDArray[np.int64]
    raw: NDArray[np.float64] | None = None
    group: NDArray[np.int64] | None = None
    group_names: NDArray[Any] | None = None
    nuisance: NDArray[np.float64] | None = None
    whole: bool = False

    def __len__(self) -> int:
        return self.batch.size

    @property
    def table(self) -> NDArray[np.float64]:
        """The first floating-point input (else the first), flattened, [n, features] float64."""
        first = next((t for t in self.inputs if t.is_floating_point()), self.inputs[0])
        return first.reshape(len(first), -1).double().numpy()


@dataclass
class _Gathered:
    inputs: list[list[Tensor]] = field(default_factory=list)
    targets: dict[str, list[Tensor]] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    parts: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    bytes: int = 0


def gather(setup: Setup, batches: Any, *, most: int = MOST, seconds: float = SECONDS) -> Samples | None:
    """The first samples of these batches; None where batches differ in their tensors' shapes.

    It ends after ``most`` samples, ``MOST_BYTES`` of inputs, or so many ``seconds``.
    Targets cost a forward pass, inputs none: the model is stopped before it begins.

    Raises:
        SetupError: A function of the setup raised.
    """
    found, started, whole = _Gathered(), time.perf_counter(), True
    for batch in batches:
        if sum(found.sizes) >= most or found.bytes >= MOST_BYTES or time.perf_counter() - started > seconds:
            whole = False
            break
        if not _take(found, setup, batch):
            return None
    return _joined(found, whole) if found.sizes else None


def _take(found: _Gathered, setup: Setup, batch: Batch) -> bool:
    inputs = model_inputs(setup, batch)
    if not inputs or not inputs[0].dim() or any(len(t) != len(inputs[0]) for t in inputs if t.dim()):
        return False
    n = len(inputs[0])
    kept = [t.detach().cpu().clone() for t in inputs if t.dim() and len(t) == n]
    if found.inputs and [t.shape[1:] for t in kept] != [t.shape[1:] for t in found.inputs[-1]]:
        return False
    found.inputs.append(kept)
    found.sizes.append(n)
    found.bytes += sum(t.nbytes for t in kept)
    for task, (target, _) in predicted(setup, batch).items():
        if target.dim() and len(target) == n:
            found.targets.setdefault(task, []).append(target.detach().cpu())
    for name in ("raw", "group", "nuisance"):
        function: Callable[[Batch], Any] | None = getattr(setup, name)
        if function is not None:
            found.parts.setdefault(name, []).append(_array(name, function, batch, n))
    return True


def predicted(setup: Setup, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
    """Target and prediction of a batch by task, without gradients; nothing without ``predict``.

    Raises:
        SetupError: ``predict`` gave something else, or raised.
    """
    if setup.predict is None:
        return {}
    try:
        with torch.no_grad():
            found = setup.predict(setup.model, copy.deepcopy(batch))
    except Exception as error:
        raise SetupError(f"preflight: predict(model, batch) raised {type(error).__name__}: {error}") from error
    named = found if isinstance(found, Mapping) else {"main": found}
    try:
        return {str(task): (torch.as_tensor(t), torch.as_tensor(p)) for task, (t, p) in named.items()}
    except (TypeError, ValueError) as error:
        raise SetupError(
            f"preflight: predict(model, batch) must give (target, prediction) or a mapping of those; {error}"
        ) from error


def _array(name: str, function: Callable[[Batch], Any], batch: Batch, n: int) -> NDArray[Any]:
    try:
        given = function(batch)
        made = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    except Exception as error:
        raise SetupError(f"preflight: {name}(batch) raised {type(error).__name__}: {error}") from error
    if made.shape[:1] != (n,):
        raise SetupError(f"preflight: {name}(batch) must give {n} rows, one a sample; got shape {made.shape}")
    return made


def _joined(found: _Gathered, whole: bool) -> Samples:
    n = sum(found.sizes)
    columns = range(len(found.inputs[0]))
    targets = {task: torch.cat(parts) for task, parts in found.targets.items() if sum(map(len, parts)) == n}
    parts = {name: np.concatenate(arrays) for name, arrays in found.parts.items()}
    flat = {k: parts[k].reshape(n, -1).astype(np.float64) for k in ("raw", "nuisance") if k in parts}
    names, group = np.unique(parts["group"], return_inverse=True) if "group" in parts else (None, None)
    return Samples(
        inputs=[torch.cat([one[k] for one in found.inputs]) for k in columns],
        targets=targets,
        batch=np.repeat(np.arange(len(found.sizes)), found.sizes),
        raw=flat.get("raw"),
        group=None if group is None else group.reshape(-1),
        group_names=names,
        nuisance=flat.get("nuisance"),
        whole=whole,
    )


class _Enough(BaseException):
    """Ends a forward pass that was only to show its inputs; no user's ``except Exception`` may swallow it."""


def model_inputs(setup: Setup, batch: Batch) -> list[Tensor]:
    """The tensors that the model is called with for this batch; none where ``losses`` does not call it."""
    seen: list[Tensor] = []

    def show(_: nn.Module, args: Any, kwargs: Any) -> None:
        seen.extend(tensors_in([args, kwargs]))
        raise _Enough

    with _hooked(setup.model, show):
        try:
            setup.losses(setup.model, copy.deepcopy(batch))
        except _Enough:
            pass
        except Exception as error:
            raise SetupError(f"preflight: losses(model, batch) raised {type(error).__name__}: {error}") from error
    return seen


@contextmanager
def _hooked(model: nn.Module, hook: Callable[..., None]) -> Iterator[None]:
    handle = model.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()

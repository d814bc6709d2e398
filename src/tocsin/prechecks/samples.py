"""Samples of the loaders as tables: what goes into the model, targets, and what the setup says of each sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tocsin.prechecks.own_copy import own_copy
from tocsin.prechecks.setup import Batch, Setup, SetupError
from tocsin.probes.inputs import tensors_in

MOST = 4096
SECONDS = 5.0
MOST_BYTES = 2**28  # of all that is kept of them: inputs, targets, and what raw, group and nuisance give


@dataclass(frozen=True)
class Samples:
    """The first samples of a loader, in its order; all of one length n.

    Attributes:
        inputs: The tensors that the model was called with, each [n, ...], on the CPU.
        targets: Targets by task, each [n, ...]; none without ``predict``.
        batch: Number of the batch of each sample, [n].
        raw: The samples before preprocessing, [n, features] in their own type, None without ``raw``.
        group: What each belongs to, numbered from 0, [n], None without ``group``.
        group_names: What ``group`` gave for each of those numbers, to compare loaders.
        nuisance: Inputs that must not tell, [n, D] float64, None without ``nuisance``.
        whole: The loader ended: these are all of its samples.
    """

    inputs: list[Tensor]
    targets: dict[str, Tensor]
    batch: NDArray[np.int64]
    raw: NDArray[Any] | None = None
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

    It ends after ``most`` samples, ``MOST_BYTES``, or so many ``seconds``; a batch beyond that is kept in part, and
    one that the loader has begun to load is waited for. Targets cost a forward pass, inputs none: the model is stopped
    before it begins.

    Raises:
        SetupError: A function of the setup raised.
    """
    found, started, whole = _Gathered(), time.perf_counter(), True
    for batch in batches:
        size = _take(found, setup, batch, most - sum(found.sizes))
        if size is None:
            return None
        whole = found.sizes[-1] == size
        if not whole or time.perf_counter() - started > seconds:
            break
        if sum(found.sizes) >= most or found.bytes >= MOST_BYTES:
            break
    else:
        return _joined(found, True) if found.sizes else None
    return _joined(found, whole and _ends(batches, found))


def _ends(batches: Any, found: _Gathered) -> bool:
    """Whether the loader says that it has no batch beyond those that were taken."""
    try:
        return len(batches) == len(found.sizes)
    except TypeError:
        return False


def _take(found: _Gathered, setup: Setup, batch: Batch, most: int) -> int | None:
    """Keep up to ``most`` samples of a batch and give how many it has; None where it is not like the others."""
    inputs = model_inputs(setup, batch)
    if not inputs or not inputs[0].dim() or any(len(t) != len(inputs[0]) for t in inputs if t.dim()):
        return None
    n = len(inputs[0])
    each = max(1, sum(t.nbytes for t in inputs) // max(n, 1))
    few = max(1, min(n, most, (MOST_BYTES - found.bytes) // each))
    kept = [t[:few].detach().cpu().clone() for t in inputs if t.dim() and len(t) == n]
    if found.inputs and [t.shape[1:] for t in kept] != [t.shape[1:] for t in found.inputs[-1]]:
        return None
    found.inputs.append(kept)
    found.sizes.append(few)
    for task, (target, _) in predicted(setup, batch).items():
        if target.dim() and len(target) == n:
            found.targets.setdefault(task, []).append(target[:few].detach().cpu().clone())
            found.bytes += found.targets[task][-1].nbytes
    for name in ("raw", "group", "nuisance"):
        function: Callable[[Batch], Any] | None = getattr(setup, name)
        if function is not None:
            found.parts.setdefault(name, []).append(_array(name, function, batch, n)[:few].copy())
            found.bytes += found.parts[name][-1].nbytes
    found.bytes += sum(t.nbytes for t in kept)
    return n


def predicted(setup: Setup, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
    """Target and prediction of a batch by task, without gradients; nothing without ``predict``.

    Raises:
        SetupError: ``predict`` gave something else, or raised.
    """
    if setup.predict is None:
        return {}
    try:
        with torch.no_grad():
            found = setup.predict(setup.model, own_copy(batch))
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
    flat = {k: parts[k].reshape(n, -1) for k in ("raw", "nuisance") if k in parts}
    names, group = np.unique(parts["group"], return_inverse=True) if "group" in parts else (None, None)
    return Samples(
        inputs=[torch.cat([one[k] for one in found.inputs]) for k in columns],
        targets=targets,
        batch=np.repeat(np.arange(len(found.sizes)), found.sizes),
        raw=flat.get("raw"),
        group=None if group is None else group.reshape(-1),
        group_names=names,
        nuisance=flat["nuisance"].astype(np.float64) if "nuisance" in flat else None,
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
            setup.losses(setup.model, own_copy(batch))
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

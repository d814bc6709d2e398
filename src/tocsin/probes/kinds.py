"""What a batch of targets and predictions is: read from dtypes, shapes and values, by the table of ``Kind``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tocsin.run import Kind


class UnreadableError(ValueError):
    """Target and prediction do not fit any kind; the message says what was expected and what came."""


def kind_of(target: Tensor, prediction: Tensor) -> Kind:
    """The kind of an evaluation batch, from dtypes, shapes and values.

    Raises:
        UnreadableError: Nothing fits.
    """
    t, p = tuple(target.shape), tuple(prediction.shape)
    integer = not target.is_floating_point()
    zero_one = bool(((target == 0) | (target == 1)).all())
    if not prediction.is_floating_point():
        if t == p and integer:
            return "ids"
    elif t == p and len(t) == 2 and t[1] > 1 and zero_one:
        return "multilabel"
    elif integer and len(p) == 2 and len(t) == 1 and p[1] > 1 and p[0] == t[0]:
        return "classes"
    elif integer and zero_one and target.numel() == prediction.numel():
        return "binary"
    elif not integer and (t == p or target.numel() == prediction.numel()):
        if zero_one and (len(t) == 1 or t[1:] == (1,)) and p in (t, (*t, 1)):
            return "binary"
        return "regression"
    raise UnreadableError(
        f"expected target [N] of integers with prediction [N, K] or [N], or floats of equal shape; "
        f"got target {_describe(target)} and prediction {_describe(prediction)}; pass kind= if one of "
        f"'classes', 'ids', 'binary', 'multilabel', 'regression' is meant"
    )


def flattened(target: Tensor, prediction: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """Targets and predictions as rows: [N] with [N, K], or [N, D] each.

    Raises:
        UnreadableError: The shapes do not fit the kind.
    """
    rows_of_many = kind in ("classes", "multilabel")
    if rows_of_many and (prediction.dim() < 2 or (kind == "multilabel" and target.dim() < 2)):
        raise UnreadableError(f"prediction {_describe(prediction)} is no [N, K], which kind {kind!r} needs")
    if kind == "classes" and prediction.dim() > 2:
        last = prediction.shape[:-1] == target.shape != (prediction.shape[:1] + prediction.shape[2:])
        prediction = (prediction if last else prediction.movedim(1, -1)).flatten(0, -2)
    if kind == "regression":
        rows = len(target) if target.dim() else 1
        target, prediction = target.reshape(rows, -1), prediction.reshape(rows, -1)
    elif kind == "multilabel":
        target, prediction = target.flatten(0, -2), prediction.flatten(0, -2)
    else:
        target = target.reshape(-1)
        prediction = prediction if kind == "classes" else prediction.reshape(-1)
    if len(target) != len(prediction) or (kind in ("regression", "multilabel") and target.shape != prediction.shape):
        raise UnreadableError(f"target has {len(target)} rows, prediction {len(prediction)}, for kind {kind!r}")
    return target, prediction


def as_tensor(value: Any) -> Tensor:
    """A tensor of what the user passed: tensors, arrays, lists.

    Raises:
        UnreadableError: It holds no real numbers.
    """
    if isinstance(value, Tensor):
        tensor = value
    else:
        array = np.array(value, order="C")  # a copy: torch takes no read-only, reversed or byte-swapped array
        if array.dtype.kind not in "biufc":
            raise UnreadableError(f"expected numbers or bools, got an array of {array.dtype}")
        tensor = torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
    if tensor.is_complex():
        raise UnreadableError("expected real numbers, got complex ones; pass torch.view_as_real of both")
    return tensor


def zero_or_one(target: Tensor) -> Tensor:
    """Where a binary target is finite.

    Raises:
        UnreadableError: A float one holds other numbers: the first batch alone made it look binary.
    """
    finite = torch.isfinite(target)
    if target.is_floating_point() and not bool(((target == 0) | (target == 1) | ~finite).all()):
        raise UnreadableError("expected targets 0 and 1 of kind 'binary', got others; pass kind='regression'")
    return finite


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"

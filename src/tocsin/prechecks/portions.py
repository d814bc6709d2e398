"""Parts of a batch: every tensor, array and list in it that has one entry a sample, sliced alike."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

_DEPTH = 6


def samples_in(batch: Any) -> int | None:
    """The first dimension that all tensors and arrays of a batch share; None where they differ or one is sparse."""
    held = list(leaves(batch))
    sizes = {len(leaf) for leaf in held if leaf.ndim}
    dense = all(leaf.layout == torch.strided for leaf in held if isinstance(leaf, Tensor))  # others take no slice
    return sizes.pop() if dense and len(sizes) == 1 else None


def portion(batch: Any, part: slice) -> Any:
    """The samples ``part`` of a batch; scalars and what is no sample stay as they are."""
    n = samples_in(batch)

    def cut(leaf: Any) -> Any:
        if isinstance(leaf, list | tuple):
            return leaf[part] if len(leaf) == n else leaf
        return leaf[part] if leaf.ndim else leaf

    return mapped(batch, cut)


def mapped(value: Any, change: Callable[[Any], Any], depth: int = 0) -> Any:
    """The same structure with ``change`` of each tensor, array and list that holds neither."""
    if isinstance(value, Tensor | np.ndarray):
        return change(value)
    if depth >= _DEPTH:
        return value
    if isinstance(value, Mapping):
        return _mapping(value, {key: mapped(item, change, depth + 1) for key, item in value.items()})
    if isinstance(value, list | tuple):
        if not any(True for _ in leaves(value)):
            return change(value) if value else value
        items = [mapped(item, change, depth + 1) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if is_dataclass(value) and not isinstance(value, type):
        known = {f.name: mapped(getattr(value, f.name), change, depth + 1) for f in fields(value) if f.init}
        return replace(value, **known)
    return value


def _mapping(old: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    if type(old) is dict or not isinstance(old, MutableMapping):
        return items
    new = copy.copy(old)
    new.update(items)
    return new


def leaves(value: Any, depth: int = 0) -> Iterator[Any]:
    """The tensors and arrays in mappings, lists, tuples and dataclasses."""
    if isinstance(value, Tensor | np.ndarray):
        yield value
    elif depth < _DEPTH:
        items: Any = ()
        if isinstance(value, Mapping):
            items = value.values()
        elif isinstance(value, list | tuple):
            items = value
        elif is_dataclass(value) and not isinstance(value, type):
            items = [getattr(value, f.name) for f in fields(value) if f.init]
        for item in items:
            yield from leaves(item, depth + 1)


def floating(tensors: Any, n: int) -> list[Tensor]:
    """The floating-point tensors of ``n`` rows among these."""
    return [t for t in tensors if torch.is_floating_point(t) and t.dim() and len(t) == n]

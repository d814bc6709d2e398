"""The modules and parameters of a model in torch's own order, walked without its nested generators.

A walk is made at each sampled step; torch's takes several times as long.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import nn

_LISTERS = ("named_modules", "named_parameters", "_named_members")
Named = list[tuple[str, nn.Module]]


def modules(model: nn.Module) -> Named:
    """``model.named_modules()`` as a list; names as torch gives them, the model itself is ""."""
    found: Named = []
    seen: set[int] = set()
    waiting: Named = [("", model)]
    while waiting:
        name, module = waiting.pop()
        if id(module) in seen:
            continue
        if not _lists_plainly(module):
            return list(model.named_modules())
        seen.add(id(module))
        found.append((name, module))
        head = f"{name}." if name else ""
        waiting += [(head + k, child) for k, child in reversed(module._modules.items()) if child is not None]
    return found


def parameters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """``model.named_parameters()`` as a list."""
    walked = modules(model)
    if not all(_lists_plainly(module) for _, module in walked):
        return list(model.named_parameters())
    found: dict[int, tuple[str, nn.Parameter]] = {}
    for name, module in walked:
        for k, p in module._parameters.items():
            if p is not None and id(p) not in found:
                found[id(p)] = (f"{name}.{k}" if name else k, p)
    return list(found.values())


def _lists_plainly(module: nn.Module) -> bool:
    """Whether the class of a module lists its parts as torch does; sharded wrappers rename them."""
    kind: Any = type(module)
    return _is_plain(kind)


@cache
def _is_plain(kind: Any) -> bool:
    return all(getattr(kind, name) is getattr(nn.Module, name) for name in _LISTERS)

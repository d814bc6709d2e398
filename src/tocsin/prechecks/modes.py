"""What the two modes of a model do: dropout that eval mode leaves on, and modules that stay in one mode."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from tocsin.prechecks.answers import answer, hooked, still
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.setup import Batch

_DROPS = (
    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout, torch.dropout,
)  # fmt: skip
TWO_MODES = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)


class _Seen(TorchFunctionMode):
    """Notes calls of dropout that drop."""

    def __init__(self) -> None:
        super().__init__()
        self.module = ""
        self.drops: dict[str, float] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        share = _dropped(func, args, kwargs)
        if share:
            self.drops.setdefault(self.module, share)
        return func(*args, **kwargs)


def _dropped(func: Any, args: Any, kwargs: Any) -> float:
    """The share that this call drops; 0 where it is no dropout, or off."""
    if func is F.scaled_dot_product_attention:
        return float(kwargs.get("dropout_p", args[4] if len(args) > 4 else 0.0))
    if func not in _DROPS:
        return 0.0
    if func is torch.dropout:
        given = {**dict(zip(("input", "p", "train"), args, strict=False)), **kwargs}
        return float(given["p"]) if given["train"] else 0.0
    asked = inspect.signature(func).bind(*args, **kwargs)
    asked.apply_defaults()  # alpha_dropout is off unless it is told to be on
    return float(asked.arguments["p"]) if asked.arguments["training"] else 0.0


def drops_in_eval(bench: Bench, batch: Batch) -> dict[str, float]:
    """Shares that are dropped although the model is in eval mode, by the module whose forward pass does it."""
    seen, inside = _Seen(), [""]

    def enter(name: str) -> Callable[..., None]:
        def entered(*_: Any) -> None:
            inside.append(name)
            seen.module = name

        return entered

    def leave(*_: Any) -> None:
        inside.pop()
        seen.module = inside[-1]

    named = list(bench.model.named_modules())
    hooks = [m.register_forward_pre_hook(enter(name)) for name, m in named]
    hooks += [m.register_forward_hook(leave, always_call=True) for _, m in named]
    bench.model.eval()
    with hooked(*hooks), torch.enable_grad(), seen:
        answer(bench, batch)
    return seen.drops


def spread_of_draws(bench: Bench, batch: Batch, n: int) -> float | None:
    """In eval mode, how far answers of two draws are apart: root mean square over that of their spread over samples."""
    both = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        rows = still(bench, batch, n)
        if rows is None:
            return None
        both.append(rows)
    wide = _spread(both[0])
    return float((both[0] - both[1]).square().mean().sqrt()) / wide if wide > 0 else None


def stuck(model: nn.Module) -> Iterator[tuple[str, nn.Module, bool]]:
    """Modules of two modes whose mode is not the one that the whole model was put in, and that mode."""
    for mode in (False, True):
        model.train(mode)
        for name, module in model.named_modules():
            if module.training != mode and isinstance(module, TWO_MODES):
                yield name, module, mode


def spread(bench: Bench, batch: Batch, n: int) -> float | None:
    """Root mean square of the answers about their mean over the samples."""
    rows = still(bench, batch, n)
    return None if rows is None else _spread(rows)


def _spread(rows: Tensor) -> float:
    return float((rows - rows.mean(0)).square().mean().sqrt())

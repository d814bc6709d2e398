"""What one training step of Lightning says: its losses, before the framework divides and scales them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import Any, cast

from torch import Tensor, nn

from tocsin.readers.naming import spelling

Terms = dict[str, Any]


class Tapped:
    """Stands in for ``training_step`` while a fit runs, and keeps what it returned until that is taken.

    Lightning's hooks show the loss only after it was divided for accumulation and scaled, and the other terms only
    after backward, when nothing can be differentiated. Copies and pickles of the module get its own method back.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module, self._own = module, vars(module).get("training_step")
        self._step = cast("Callable[..., Any]", module.training_step)
        self._returned: Any = None
        update_wrapper(self, self._step)  # Lightning reads the signature
        module.training_step = self  # type: ignore[assignment]  # kept among its plain attributes

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._returned = self._step(*args, **kwargs)
        return self._returned

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self._module, "training_step")

    def take(self) -> Any:
        """What the latest step returned, once."""
        returned, self._returned = self._returned, None
        return returned

    def remove(self) -> None:
        """Put things back as they were, unless somebody else has changed them since."""
        if vars(self._module).get("training_step") is self:
            del self._module.training_step
            if self._own is not None:
                self._module.training_step = self._own


def terms_of(returned: Any) -> Terms:
    """``total`` and the named terms of what ``training_step`` returned: its scalars with "loss" in their names."""
    if isinstance(returned, Tensor):
        return {"total": returned}
    if not isinstance(returned, Mapping):
        return {}
    found: Terms = {"total": returned["loss"]} if is_number(returned.get("loss")) else {}
    for key, value in returned.items():
        stem, _, term = spelling(str(key)).name.partition("loss/")
        if stem == "train/" and term and is_number(value):
            found[term] = value
    return found


def named(term: str) -> str:
    """The series that holds a term."""
    return "train/loss" if term == "total" else f"train/loss/{term}"


def terms_of_passes(losses: list[Tensor], optimizers: int) -> Terms:
    """Terms of a manual step that returned none: what it put through backward, the sum with one optimizer alone.

    With several optimizers the losses play against each other, and their sum means nothing.
    """
    each: Terms = {f"backward{k}": loss for k, loss in enumerate(losses)} if len(losses) > 1 else {}
    return each if optimizers > 1 and each else {"total": sum(losses), **each} if losses else {}


def unscaled(loss: Tensor, scaler: Any) -> Tensor:
    """The loss without the factor of the ``GradScaler``; the division waits on no device."""
    if scaler is None or not scaler.is_enabled():
        return loss
    factor: Tensor = scaler.scale(loss.detach().new_ones(()))
    return loss / factor


def numbers(metrics: Mapping[str, Any], split: str, before: Mapping[str, Any]) -> dict[str, Any]:
    """The scalars among Lightning's metrics that belong to ``split`` and were not there ``before``, by our names.

    A name that says no split belongs to the one that is running. A loss of the training was recorded already, and of a
    batch's and an epoch's value the epoch's stays.
    """
    found: dict[str, Any] = {}
    for key, value in metrics.items():
        name = spelling(key, split).name
        told = before.get(key) is value or key.endswith("_step") or name.startswith("train/loss")
        if not told and name.startswith(f"{split}/") and is_number(value):
            found[name] = value
    return found


def is_number(value: Any) -> bool:
    """Whether it is a float, an integer or a tensor of one entry."""
    return value.numel() == 1 if isinstance(value, Tensor) else isinstance(value, int | float)

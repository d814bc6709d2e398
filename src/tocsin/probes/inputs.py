"""What goes into the model: order fingerprint and moments of the first forwards of each epoch and evaluation.

Under ``torch.compile`` the hook vanishes while tracing, so it costs no graph break and measures nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tocsin.probes import measures
from tocsin.probes.activations import unit_axis, unit_counts
from tocsin.probes.contents import Contents
from tocsin.probes.hook import Hook, Meter, transformed
from tocsin.probes.likeness import Likeness
from tocsin.probes.normalisation import NormalisationLag
from tocsin.probes.pace import Pace

FORWARDS = 8
MOMENT_ENTRIES = 65536
LEAST_ROWS = 8  # fewer, and a feature that varies may well show one value
Emit = Callable[[str, dict[str, Tensor | float]], None]


class Inputs:
    """A pre-hook on the model. A training forward is one with gradients enabled, whatever ``model.training`` says.

    Attributes:
        forwards: Forwards seen by mode since the last ``restart``.
        trained: Training forwards so far.
        rows: Samples that went through the model in this evaluation, by the first dimension of the first tensor.
        eager: A forward ran outside ``torch.compile``.
        after_evaluation: Called in the first training forward after an evaluation, before the model's parts run.
    """

    def __init__(self, model: nn.Module, meter: Meter, emit: Emit, pace: Pace) -> None:
        self.model = model
        self.emit = emit
        self.pace = pace
        self.forwards = {"train": 0, "eval": 0}
        self.trained = 0
        self.rows = 0
        self.eager = False
        self.contents = Contents()
        self.likeness = Likeness()
        self.lags = NormalisationLag(model, meter, emit)
        self.after_evaluation: Callable[[], None] | None = None
        self.evaluated = False  # an evaluation's forward came, and no training forward since
        self._meter = meter
        self._sizes: tuple[set[int], set[int]] | None = None
        self._hook = _InputHook("inputs", meter, self._see, self)
        self._handle = model.register_forward_pre_hook(self._hook, with_kwargs=True)

    def detach(self) -> None:
        """Remove the hook."""
        self._handle.remove()
        self.lags.disarm()

    def given(self, batch: Any) -> None:
        """A batch that goes through parts of the model, which is never called itself."""
        self._hook(self.model, (batch,), {})

    def restart(self, mode: str) -> None:
        """A new epoch (``train``) or a new evaluation (``eval``) begins."""
        self.forwards[mode] = 0
        self.contents.restart(mode)
        if mode == "train":
            self.likeness.restart()
        else:
            self.rows = 0

    def enough(self, mode: str) -> bool:
        """Whether the next forward is of no interest."""
        if mode == "train" and self.evaluated:
            return False
        return self.forwards[mode] >= FORWARDS and not self.contents.wanting(mode)

    def count(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """One more forward of an evaluation, whether it is measured or not."""
        first = next(tensors_in([args, kwargs]), None)
        self.rows += len(first) if first is not None and first.dim() else 0

    def _see(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        mode = "train" if torch.is_grad_enabled() else "eval"
        self.forwards[mode] += 1
        if (mode == "train") == self.evaluated:  # the first of its kind
            self.evaluated = mode == "eval"
            if self.contents.due("eval"):
                self._turn(mode)
        tensors = list(tensors_in([args, kwargs]))
        values = self._values(mode, tensors) if self.forwards[mode] <= FORWARDS else {}
        values |= self._meter.run("input contents", self.contents.see, mode, tensors, self.model.training, default={})
        if values:
            self.emit(mode, values)

    def _turn(self, mode: str) -> None:
        """An evaluation begins, or training goes on after one: its first forward is measured in full."""
        if mode == "eval":
            self._meter.run("normalisation lag", self.lags.arm, mode)
        elif self.after_evaluation is not None:
            self._meter.run("activations", self.after_evaluation)

    def _values(self, mode: str, tensors: list[Tensor]) -> dict[str, Tensor | float]:
        if not tensors:
            return {}
        floating = next((t for t in tensors if t.is_floating_point()), None)
        first = (floating if floating is not None else tensors[0]).detach()
        if not first.numel():
            return {}
        values: dict[str, Tensor | float] = {f"input/fingerprint/{mode}": measures.fingerprint(first)}
        if floating is not None:
            wide = measures.strided(first, MOMENT_ENTRIES)
            wide = wide.float() if wide.dtype in (torch.float16, torch.bfloat16) else wide
            low, high = torch.aminmax(wide)
            sd, mean = torch.std_mean(wide, correction=0)
            values |= {f"input/mean/{mode}": mean, f"input/sd/{mode}": sd}
            values |= {f"input/min/{mode}": low, f"input/max/{mode}": high}
            values[f"input/nonfinite/{mode}"] = measures.nonfinite(first)
            if mode == "train":
                values |= self.likeness.see(first)
            if first.dim() > 1:
                self._sizes = self._sizes or unit_counts(self.model)
                axis = unit_axis(first, *self._sizes)
                if first.numel() >= LEAST_ROWS * first.shape[axis]:
                    values[f"input/constant_frac/{mode}"] = constant_frac(first, axis)
        return values


def constant_frac(batch: Tensor, axis: int) -> Tensor:
    """Share of the features along ``axis`` that have one value in the whole batch; those with NaN have not."""
    over = [d for d in range(batch.dim()) if d != axis % batch.dim()]
    return (batch.amin(dim=over) == batch.amax(dim=over)).float().mean()


class _InputHook(Hook):
    """Turns back at once where there is nothing to do: it runs in every forward."""

    def __init__(self, probe: str, meter: Meter, action: Callable[..., None], inputs: Inputs) -> None:
        super().__init__(probe, meter, action)
        self.inputs = inputs

    def __call__(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if torch.compiler.is_compiling() or redirected(module):
            return
        mode = "train" if torch.is_grad_enabled() else "eval"
        if self.inputs.pace.waiting and mode == "train":
            self.meter.run("pace", self.inputs.pace.forward)
        mine = module is self.inputs.model
        if mine and mode == "train":
            self.inputs.trained += 1
        elif mine and self.inputs.contents.compared:
            self.meter.run(self.probe, self.inputs.count, args, kwargs)
        enough = self.inputs.enough(mode) or not mine
        if (enough and self.inputs.eager) or transformed():
            return
        self.inputs.eager = True
        if not enough:
            self.meter.run(self.probe, self.action, args, kwargs)


def redirected(module: nn.Module) -> bool:
    """Whether this call is Lightning's way to ``training_step`` through a wrapper's ``forward``, and no forward."""
    return getattr(vars(module).get("forward"), "__qualname__", "").startswith("_ForwardRedirection.")


def tensors_in(value: Any, depth: int = 0) -> Iterator[Tensor]:
    if isinstance(value, Tensor) and value.layout == torch.strided and value.device.type != "meta":
        yield value
    elif depth < 4 and isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item, depth + 1)
    elif depth < 4 and isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item, depth + 1)

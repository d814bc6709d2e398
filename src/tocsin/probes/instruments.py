"""All probes of one watched loop: counters at every step, tensor reductions on sampled ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from tocsin.probes.activations import Activations
from tocsin.probes.applied_gradients import AppliedGradients
from tocsin.probes.gradient_life import GradientLife
from tocsin.probes.hook import Hook, Meter
from tocsin.probes.inputs import Inputs
from tocsin.probes.limits import calls_closures, limits_of
from tocsin.probes.pace import Pace
from tocsin.probes.parameters import ParameterState
from tocsin.probes.processes import world
from tocsin.probes.raw_gradients import RawGradients
from tocsin.probes.reach import Reach
from tocsin.probes.replicas import Replicas
from tocsin.probes.scale import LossScale
from tocsin.probes.steps import Listening
from tocsin.probes.tensors import Tensors
from tocsin.probes.terms import TermGradients
from tocsin.probes.transfer import to_host

Values = dict[str, Tensor | float]
MOST_CALLS = 64


class Instruments:
    """Attach to a model and its optimizers, count, and measure when armed.

    A *window* opens with ``arm`` and is ready once an optimizer step completed or was skipped in it, at the latest
    after ``MOST_CALLS`` calls: under gradient accumulation it spans the micro-batches of one optimizer step.

    Attributes:
        backward: Backward passes so far, counted on one sentinel tensor.
        steps: Completed steps of each given optimizer.
        unheard: No ``losses`` call has come yet; steps are then counted by the first optimizer.
        limits: What of this training is not measured, and why.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        meter: Meter,
        *,
        scaler: Any = None,
        ema: nn.Module | None = None,
        on_inputs: Callable[[str, Values], None],
        on_step: Callable[[Optimizer], None],
    ) -> None:
        self.meter = meter
        self.optimizers = list(optimizers)
        self.tensors = Tensors(model, self.optimizers)
        self.limits = limits_of(self.tensors.sharded, self.optimizers)
        meter.off.update(*(limit.off for limit in self.limits))
        self.scale = LossScale(scaler)
        self.raw = RawGradients(self.tensors, meter)
        self.life = GradientLife(meter, scaler, closures=any(map(calls_closures, self.optimizers)))
        self.applied = AppliedGradients(self.tensors)
        self.state = ParameterState(self.tensors, ema)
        self.replicas = Replicas(self.tensors, model, world())
        self.terms = TermGradients(self.tensors)
        self.activations = Activations(model, meter)
        self.reach = Reach(model, meter)
        self.pace = Pace(meter, next((p.device.type for p in self.tensors.measured.values()), "cpu"))
        self.inputs = Inputs(model, meter, on_inputs, self.pace)
        self.inputs.after_evaluation = self.activations.arm
        self.backward = 0
        self.steps = [0] * len(self.optimizers)
        self.armed = False
        self.unheard = True
        self._on_step = on_step
        self._calls = 0
        self._sampled_step = False
        self._scale_at_arm = self.scale.value
        self._backward_at_arm = 0
        self._fused_amp = self.scale.on and any(g.get("fused") for o in self.optimizers for g in o.param_groups)
        self._sentinel: Any = None
        self._sentinel_on = ("", 0)
        self._watch_backward()
        self._post_hook = Listening(self._after_step)
        self._pre_hooks: list[Any] = []

    def completed(self) -> int:
        """Completed optimizer steps. A fused optimizer's hook also fires for a step that the scaler skipped."""
        return max(0, sum(self.steps) - self.scale.skipped) if self._fused_amp else sum(self.steps)

    @property
    def ready(self) -> bool:
        """Whether the open window has what it waits for."""
        return self.armed and (self._sampled_step or self._calls >= MOST_CALLS or self.scale.value < self._scale_at_arm)

    def arm(self, *, scanned: bool = False) -> None:
        """Open a window: the next backward passes and the next optimizer step are measured.

        ``scanned``: the model was looked at just now, and nobody else ran since.
        """
        if not scanned:
            self.tensors.scan()
        self.meter.run("raw gradients", self.raw.arm)
        self.meter.run("updates", self.applied.arm)
        self.meter.run("gradient life", self.life.arm)
        if not self._pre_hooks:
            self.meter.run("updates", self._put_pre_hooks)
        if self.inputs.eager:  # else the model may be compiled yet, and hooks on its parts would cost a graph
            self.meter.run("activations", self.activations.arm)
            self.meter.run("reach", self.reach.arm)
        self.armed, self._sampled_step, self._calls = True, False, 0
        self._scale_at_arm, self._backward_at_arm = self.scale.value, self.backward

    def called(self) -> None:
        """One more ``losses`` call passed in the open window."""
        self._calls += 1

    def collect(self) -> dict[str, float]:
        """Close the window: everything it measured, on the host by one transfer a device; ``arm`` or ``rest`` next."""
        self.armed = False
        values: Values = {}
        if self.raw.fired or self.backward == self._backward_at_arm:  # else traced backward passes hid the gradients
            values |= self.meter.run("raw gradients", self.raw.read, self._scale_at_arm, default={})
        values |= self.meter.run("updates", self.applied.read, default={})
        values |= self.meter.run("parameters", self.state.read, default={})
        values |= self.meter.run("gradient life", self.life.read, default={})
        host: dict[str, float] = self.meter.run("transfer", to_host, values, default={})
        host = self.meter.run("gradient life", self.life.learn, host, default=host)
        host |= self.meter.run("reach", self.reach.read, default={})
        self.meter.run("reach", self.reach.note, host)
        self._watch_backward(host)
        return host

    def rest(self) -> None:
        """No window opens at once: remove the hooks of the one that was closed."""
        self.raw.disarm()
        self._drop_pre_hooks()

    def parameter_values(self) -> dict[str, float]:
        """Whether the parameters moved since the previous sample, their norm and health; needs no hook."""
        values = self.meter.run("parameters", self.state.read, default={})
        found: dict[str, float] = self.meter.run("transfer", to_host, values, default={})
        return found

    def replica_values(self, step: int) -> dict[str, float]:
        """What the ranks of a process group are compared by; nothing at most steps, and in a process alone."""
        if not self.replicas.due(step):
            return {}
        values = self.meter.run("replicas", self.replicas.read, default={})
        found: dict[str, float] = self.meter.run("transfer", to_host, values, default={})
        return found

    def activation_values(self) -> dict[str, float]:
        """What the activation hooks of the last window saw."""
        values = self.meter.run("activations", self.activations.read, default={})
        found: dict[str, float] = self.meter.run("transfer", to_host, values, default={})
        return found

    def term_values(self, terms: Mapping[str, Any], *, live: bool) -> dict[str, float]:
        """Gradient paths of the terms, and their trunk gradients when the graph is ``live`` (before backward)."""
        values: Values = self.meter.run("gradient paths", self.terms.paths, terms, default={})
        if live:
            values |= self.meter.run(
                "term gradients", self.terms.trunk_norms, terms, self.scale.value or 1.0, default={}
            )
        found: dict[str, float] = self.meter.run("transfer", to_host, values, default={})
        return found

    def detach(self) -> None:
        """Remove every hook."""
        self._post_hook.remove()
        self.rest()
        if self._sentinel is not None:
            self._sentinel.remove()
        self.life.disarm()
        self.reach.disarm()
        self.activations.disarm()
        self.inputs.detach()

    def _put_pre_hooks(self) -> None:
        """On its own optimizers, not on all of the process: another thread may be going through those."""
        hook = Hook("updates", self.meter, self._before_step)
        for optimizer in self.optimizers:
            self._pre_hooks.append(optimizer.register_step_pre_hook(hook))

    def _drop_pre_hooks(self) -> None:
        for hook in self._pre_hooks:
            hook.remove()
        self._pre_hooks.clear()

    def _watch_backward(self, seen: Mapping[str, float] | None = None) -> None:
        """Count backward passes on one tensor: one that received gradients in the last window, once known."""
        if self.tensors.sharded and self._sentinel is None:
            self._count_only()
        counts = {name: (seen or {}).get(f"grad/count/{name}", 0.0) for name in self.tensors.measured}
        if not counts or (seen is not None and self._sentinel is not None and not any(counts.values())):
            return
        held = self.tensors.optimized()
        best = max(reversed(counts), key=lambda name: (counts[name], id(self.tensors.measured[name]) in held))
        if self._sentinel is not None:
            name, tensor_id = self._sentinel_on
            if id(self.tensors.measured.get(name)) == tensor_id and counts[name] >= counts[best]:
                return
            self._sentinel.remove()
        tensor: Any = self.tensors.measured[best]
        self._sentinel_on = (best, id(tensor))
        self.life.follow(tensor)
        self._sentinel = tensor.register_post_accumulate_grad_hook(_Counter(self))

    def _count_only(self) -> None:
        """Passes are counted on the last sharded tensor that some optimizer steps; its values are left alone."""
        held = self.tensors.optimized()
        trained: list[Any] = [p for p in self.tensors.all.values() if p.requires_grad and id(p) in held]
        if trained:
            self._sentinel = trained[-1].register_post_accumulate_grad_hook(_Counter(self))

    def _before_step(self, optimizer: Optimizer, *_: Any) -> None:
        if self.armed:
            self.applied.before_step(optimizer)
            self.life.inside = True

    def _after_step(self, optimizer: Optimizer) -> None:
        """Runs after every optimizer step of the process: no timing around the common case."""
        self.life.stepped(optimizer)
        for k, mine in enumerate(self.optimizers):
            if optimizer is mine:
                self.steps[k] += 1
                if self.armed:
                    self.meter.run("updates", self.applied.after_step, optimizer)
                    self.meter.run("pace", self.pace.stepped)
                    self._sampled_step = True
                if self.unheard:
                    self.meter.run("losses", self._on_step, optimizer)
                return
        self.meter.run("other optimizers", self.tensors.others, optimizer)


class _Counter:
    """Counts backward passes; no timing, it runs at every step."""

    def __init__(self, instruments: Instruments) -> None:
        self.instruments = instruments

    def __call__(self, tensor: Tensor) -> None:
        self.instruments.backward += 1
        try:
            self.instruments.life.passed(tensor)
        except Exception as error:  # nothing of ours may reach the user's loop
            self.instruments.life.follow(None)
            self.instruments.meter.report("gradient life", error)

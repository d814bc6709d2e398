"""One fit of Lightning as one recorded run: when each step's losses are told, what goes in, why it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from tocsin.integrations.forwarding import Forwarding, Sink
from tocsin.integrations.steps import Tapped, Terms, named, numbers, terms_of, terms_of_passes
from tocsin.recorder import Recorder, StopTraining


class Fit:
    """A recorder and what it needs to know of the batch that is being trained on.

    Attributes:
        run: The recorder.
        stopped: Why the training is to stop, once it is.
    """

    def __init__(self, run: Recorder, module: nn.Module, sinks: list[Sink]) -> None:
        self.run = run
        self.stopped: StopTraining | None = None
        self._tap = Tapped(module)
        self._forward = Forwarding(sinks, run.say)
        self._feeds: bool | None = False if compiled(module) else None
        self._batch: Any = None
        self._passes: list[Tensor] = []
        self._before: Mapping[str, Any] = {}

    def begin(self, batch: Any) -> None:
        """A training batch comes in."""
        self._batch, self._passes = batch, []
        self.feed(batch)

    def feed(self, batch: Any) -> None:
        """A batch goes through parts of the module; one that is called itself sees its inputs."""
        if self._feeds:
            self.run.inputs(batch)

    def before_backward(self, loss: Tensor, whole: Tensor | None) -> None:
        """``loss`` goes into backward; ``whole`` is that of the batch, None in manual optimisation."""
        if whole is not None and not self._passes:  # LBFGS goes through a batch several times
            self._record({"total": whole} | terms_of(self._tap.take()))
        self._passes.append(loss)

    def end(self, *, automatic: bool, optimizers: int) -> None:
        """The training batch is done with."""
        if not automatic:
            self._record(terms_of(self._tap.take()) or terms_of_passes(self._passes, optimizers))
        self._batch, self._passes = None, []
        if self._forward.sinks:
            self._forward.findings(self.run.findings)

    def before_evaluation(self, metrics: Mapping[str, Any]) -> None:
        """These numbers were there before."""
        self._before = dict(metrics)

    def evaluated(self, metrics: Mapping[str, Any]) -> None:
        """The numbers of a validation."""
        self.run.metrics(numbers(metrics, "val", self._before))

    def end_epoch(self, metrics: Mapping[str, Any]) -> None:
        """The numbers of a training epoch, and its end."""
        self.run.metrics(numbers(metrics, "train", {}))
        self.run.end_epoch()

    def finish(self, error: BaseException | None) -> None:
        """Close the record and put everything back."""
        self.run.__exit__(type(error) if error else None, error, None)
        self._forward.report(self.run.report)
        self._forward = Forwarding()
        self._tap.remove()

    def _record(self, terms: Terms) -> None:
        """One step: terms with a gradient as they are, others as numbers, since a log may well hold detached copies."""
        if self._feeds is None:
            self._feeds = self.run.forwards == 0  # the module is never called itself, its parts are
            self.feed(self._batch)
        live = {name: term for name, term in terms.items() if isinstance(term, Tensor) and term.requires_grad}
        try:
            self.run.losses(**live)
        except StopTraining as stop:
            self.stopped = stop
        self.run.numbers({named(name): value for name, value in terms.items() if name not in live})


def compiled(module: nn.Module) -> bool:
    """Whether hooks on its parts would cost graphs."""
    parts = any(type(m).__name__ == "OptimizedModule" for m in module.modules())
    return parts or getattr(module, "_compiler_ctx", None) is not None

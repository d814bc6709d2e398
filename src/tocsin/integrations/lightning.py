"""Lightning: ``Trainer(callbacks=[TocsinCallback()])`` records every fit, in automatic and manual optimisation.

Inside ``validation_step`` predictions are given with::

    run_of(self.trainer).evaluate("val", target=y, prediction=logits)

``run_of`` always answers: in sanity checks, tests and predictions its recorder does nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tocsin.findings import Severity
from tocsin.integrations.forwarding import Forwarding
from tocsin.integrations.steps import Tapped, Terms, named, numbers, terms_of, terms_of_passes, unscaled
from tocsin.integrations.trainers import compiled, scaler_of, sinks_of, why_not
from tocsin.recorder import Recorder, StopTraining, watch

_HOMES = [home for home in ("lightning.pytorch", "pytorch_lightning") if find_spec(home.partition(".")[0])]
_HOME = next((home for home in _HOMES if home in sys.modules), _HOMES[0] if _HOMES else None)
_Base: Any = import_module(_HOME).Callback if _HOME else object
_OVERFITTING = ("DAT", "GEN")  # few batches, again and again, is what was asked for


class TocsinCallback(_Base):  # type: ignore[misc]  # Lightning may be missing
    """Records a fit and rings its findings.

    Args:
        run_dir: Folder of the record; default ``tocsin`` in the logger's folder, or in ``default_root_dir``.
        stop_on: End the training after a batch once a finding of at least this severity has rung.
        budget: Share of wall time that tocsin may use.
        every: Sample steps 1, 1 + every, ... instead of by budget.
        ignore: Rule codes, prefixes or names that must not ring.
        say: Where one-line messages go; default standard error.

    Attributes:
        run: The recorder of the present fit, or of the last one; before any, one that does nothing.
    """

    def __init__(
        self,
        run_dir: str | Path | None = None,
        *,
        stop_on: Severity | None = None,
        budget: float = 0.01,
        every: int | None = None,
        ignore: Iterable[str] = (),
        say: Callable[[str], None] | None = None,
    ) -> None:
        if _HOME is None:
            raise ModuleNotFoundError("TocsinCallback needs Lightning: pip install 'tocsin[lightning]'")
        self._run_dir, self._ignore = run_dir, tuple(ignore)
        self._options: dict[str, Any] = {"stop_on": stop_on, "budget": budget, "every": every, "say": say}
        self.run: Recorder = watch(nn.Module(), [], enabled=False, ignore=self._ignore, **self._options)
        self._tap: Tapped | None = None
        self._forward = Forwarding()
        self._resumed: int | None = None
        self._stopped: StopTraining | None = None
        self._batch: Any = None
        self._feeds: bool | None = None
        self._passes: list[Tensor] = []
        self._before: dict[str, Any] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to record: after the sanity check, with everything on its device and any checkpoint restored."""
        home = Path(trainer.log_dir or trainer.default_root_dir)  # on every rank: Lightning sends it round
        if why := why_not(trainer):
            if trainer.is_global_zero:
                self.run.say(f"tocsin: {why}; nothing is recorded")
            return
        self.run = watch(
            pl_module,
            trainer.optimizers,
            run_dir=self._run_dir if self._run_dir is not None else home / "tocsin",
            config=dict(pl_module.hparams),
            scaler=scaler_of(trainer),
            scheduler=[c.scheduler for c in trainer.lr_scheduler_configs] or None,
            start_step=self._steps_done(trainer),
            ignore=(*self._ignore, *(_OVERFITTING if trainer.overfit_batches else ())),
            **self._options,
        )
        self._tap, self._feeds = Tapped(pl_module), False if compiled(pl_module) else None
        self._resumed = self._stopped = None
        self._forward = Forwarding(sinks_of(trainer), self.run.say)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._batch = batch
        self._passes = []
        if self._feeds:
            self.run.inputs(batch)

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Tensor) -> None:
        if self._tap is None:
            return
        loss = unscaled(loss, scaler_of(trainer))
        if pl_module.automatic_optimization and not self._passes:  # LBFGS comes again
            self._record({"total": loss * trainer.accumulate_grad_batches} | terms_of(self._tap.take()))
        self._passes.append(loss)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._tap is not None and not pl_module.automatic_optimization:
            terms = terms_of(self._tap.take()) or terms_of_passes(self._passes, len(trainer.optimizers))
            self._record(terms)
        self._passes, self._batch = [], None
        if self._forward.sinks:
            self._forward.findings(self.run.findings)
        if self._options["stop_on"] is not None:  # all ranks stop together
            stops = trainer.strategy.reduce_boolean_decision(self._stopped is not None, all=False)
            trainer.should_stop = trainer.should_stop or stops

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self._before = dict(trainer.callback_metrics)

    def on_validation_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self._feeds:
            self.run.inputs(batch)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self.run.metrics(numbers(trainer.callback_metrics, "val", self._before))

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.run.metrics(numbers(trainer.callback_metrics, "train", {}))
        self.run.end_epoch()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._finish(exception)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        self._finish(self._stopped)

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.run.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resumed = state_dict["step"]

    def _record(self, terms: Terms) -> None:
        """One step: terms with a gradient as they are, others as numbers, since a log may well hold detached copies."""
        if self._feeds is None:
            self._feeds = self.run.forwards == 0  # the module is never called itself, its parts are
            if self._feeds:
                self.run.inputs(self._batch)
        live = {name: term for name, term in terms.items() if isinstance(term, Tensor) and term.requires_grad}
        try:
            self.run.losses(**live)
        except StopTraining as stop:
            self._stopped = stop
        self.run.numbers({named(n): v for n, v in terms.items() if n not in live})

    def _steps_done(self, trainer: Any) -> int:
        if self._resumed is not None:
            return self._resumed
        return trainer.fit_loop.total_batch_idx + 1 if trainer.ckpt_path else 0

    def _finish(self, error: BaseException | None) -> None:
        self.run.__exit__(type(error) if error else None, error, None)
        self._forward.report(self.run.report)
        self._forward = Forwarding()
        if self._tap is not None:
            self._tap.remove()
        self._tap, self._feeds, self._passes, self._before = None, None, [], {}


class AutoCallback(TocsinCallback):
    """The one of the entry point; its own class, so that its state does not clash with one that the user added."""


def run_of(trainer: Any) -> Recorder:
    """The recorder of this trainer's fit; one that does nothing where there is none."""
    ours = [c.run for c in trainer.callbacks if isinstance(c, TocsinCallback)]
    return ours[0] if ours else watch(nn.Module(), [], enabled=False)

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
from tocsin.integrations.fits import Fit
from tocsin.integrations.steps import unscaled
from tocsin.integrations.trainers import averaging, put_first, scaler_of, sinks_of, steps_done, why_not
from tocsin.recorder import Recorder, watch

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
        self._fit: Fit | None = None
        self._idle: Recorder | None = None
        self._resumed: int | None = None
        _ = self.run  # refuses wrong options here and not in a fit

    def __getstate__(self) -> dict[str, Any]:
        """For strategies that spawn: they send the trainer to its processes before it begins."""
        return {**vars(self), "_fit": None, "_idle": None}

    @property
    def run(self) -> Recorder:
        """The recorder of the present fit, or of the last one; before any, one that does nothing."""
        if self._fit is not None:
            return self._fit.run
        if self._idle is None:
            self._idle = watch(nn.Module(), [], enabled=False, ignore=self._ignore, **self._options)
        return self._idle

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to record: after the sanity check, with everything on its device and any checkpoint restored."""
        home = Path(trainer.log_dir or trainer.default_root_dir)  # on every rank: Lightning sends it round
        self._fit = None
        if why := why_not(trainer):
            if trainer.is_global_zero:
                self.run.say(f"tocsin: {why}; nothing is recorded")
            return
        average = averaging(trainer)
        if average is not None:
            put_first(trainer, self)
        run = watch(
            pl_module,
            trainer.optimizers,
            run_dir=self._run_dir if self._run_dir is not None else home / "tocsin",
            config=dict(pl_module.hparams),
            scaler=scaler_of(trainer),
            ema=getattr(average, "_average_model", None),
            scheduler=[c.scheduler for c in trainer.lr_scheduler_configs] or None,
            start_step=steps_done(trainer) if self._resumed is None else self._resumed,
            ignore=(*self._ignore, *(_OVERFITTING if trainer.overfit_batches else ())),
            **{**self._options, "stop_on": None},
        )
        run.stop_at(self._options["stop_on"])  # all ranks stop together, below
        self._fit, self._resumed = Fit(run, pl_module, sinks_of(trainer)), None

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self._fit:
            self._fit.begin(batch)

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Tensor) -> None:
        if self._fit:
            loss = unscaled(loss, scaler_of(trainer))
            whole = loss * trainer.accumulate_grad_batches if pl_module.automatic_optimization else None
            self._fit.before_backward(loss, whole)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._fit:
            self._fit.end(automatic=pl_module.automatic_optimization, optimizers=len(trainer.optimizers))
        if self._options["stop_on"] is not None:  # all ranks stop together
            wanted = self._fit is not None and self._fit.stopped is not None
            stops = trainer.strategy.reduce_boolean_decision(wanted, all=False)
            trainer.should_stop = trainer.should_stop or stops

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if self._fit:
            self._fit.before_evaluation(trainer.callback_metrics)

    def on_validation_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self._fit:
            self._fit.feed(batch)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if self._fit:
            self._fit.evaluated(trainer.callback_metrics)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self._fit:
            self._fit.end_epoch(trainer.callback_metrics)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if self._fit and averaging(trainer) is not None:  # which puts the averaged weights in place of the live ones
            self._fit.finish(self._fit.stopped)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        if self._fit:
            self._fit.finish(exception)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        if self._fit:
            self._fit.finish(self._fit.stopped)

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.run.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resumed = state_dict["step"]


class AutoCallback(TocsinCallback):
    """The one of the entry point; its own class, so that its state does not clash with one that the user added."""


def run_of(trainer: Any) -> Recorder:
    """The recorder of this trainer's fit; one that does nothing where there is none."""
    ours = [c.run for c in trainer.callbacks if isinstance(c, TocsinCallback)]
    return ours[0] if ours else watch(nn.Module(), [], enabled=False)

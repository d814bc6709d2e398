"""Lightning: ``Trainer(callbacks=[TocsinCallback()])`` records every fit, in automatic and manual optimisation.

Inside ``validation_step`` predictions are given with::

    run_of(self.trainer).evaluate("val", target=y, prediction=logits)

``run_of`` always answers: in sanity checks, tests and predictions its recorder does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tocsin.findings import Severity
from tocsin.integrations import trainers
from tocsin.integrations.fits import Fit
from tocsin.integrations.steps import unscaled
from tocsin.recorder import Recorder, watch

_OVERFITTING = ("DAT", "GEN")  # few batches, again and again, is what was asked for


class TocsinCallback(trainers.Callback):  # type: ignore[misc]  # Lightning may be missing
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
        if trainers.HOME is None:
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
        if why := trainers.why_not(trainer):
            if trainer.is_global_zero:
                self.run.say(f"tocsin: {why}; nothing is recorded")
            return
        if trainers.averaging(trainer) is not None:
            trainers.put_first(trainer, self)
        run = watch(
            pl_module,
            trainer.optimizers,
            run_dir=self._run_dir if self._run_dir is not None else home / "tocsin",
            start_step=trainers.steps_done(trainer) if self._resumed is None else self._resumed,
            ignore=(*self._ignore, *(_OVERFITTING if trainer.overfit_batches else ())),
            **trainers.parts_of(trainer, pl_module),
            **{**self._options, "stop_on": None},
        )
        run.stop_at(self._options["stop_on"])
        self._fit, self._resumed = Fit(run, pl_module, trainers.sinks_of(trainer)), None

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self._fit:
            self._fit.begin(batch)

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Tensor) -> None:
        if self._fit:
            loss = unscaled(loss, trainers.scaler_of(trainer))
            whole = loss * trainer.accumulate_grad_batches if pl_module.automatic_optimization else None
            self._fit.before_backward(loss, whole)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._fit:
            self._fit.end(automatic=pl_module.automatic_optimization, optimizers=len(trainer.optimizers))
        if self._options["stop_on"] is not None:
            trainers.stop_together(trainer, self._fit is not None and self._fit.stopped is not None)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if self._fit:
            self._fit.before_evaluation(trainer.callback_metrics)

    def on_validation_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, *_: Any) -> None:
        if self._fit:
            self._fit.feed(batch)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if self._fit:
            self._fit.evaluated(trainer.callback_metrics)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self._fit:
            self._fit.end_epoch(trainer.callback_metrics)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if (
            self._fit and trainers.averaging(trainer) is not None
        ):  # which puts the averaged weights in place of the live ones
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


def run_of(trainer: Any) -> Recorder:
    """The recorder of this trainer's fit; one that does nothing where there is none."""
    ours = [c.run for c in trainer.callbacks if isinstance(c, TocsinCallback)]
    return ours[0] if ours else watch(nn.Module(), [], enabled=False)

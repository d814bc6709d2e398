"""Hugging Face Trainer: ``Trainer(..., callbacks=[TocsinCallback()])`` records every training, live.

The Trainer logs a NaN loss as 0 (``logging_nan_inf_filter``) and tells a callback nothing but that log. So the callback
hears what ``training_step`` of the calling Trainer returns: the very loss that is trained on, whoever computed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor

from tocsin.findings import Finding, Severity
from tocsin.integrations.forwarding import Forwarding
from tocsin.integrations.hugging_face import calling_trainer, sinks, watched
from tocsin.integrations.overhearing import Overheard
from tocsin.readers.formats.hf_trainer import named
from tocsin.recorder import StopTraining

Callback: Any = import_module("transformers").TrainerCallback if find_spec("transformers") else object
_METHODS = ("training_step", "get_batch_samples", "evaluate", "save_model")
_AT_ITS_SOURCE = ("lr", "grad")  # recorded at every change and sample; the log has them now and then


class TocsinCallback(Callback):  # type: ignore[misc]
    """Record what a ``Trainer`` does and ring its findings; a step is one of ``state.global_step``.

    Args:
        run_dir: Folder of the record; default ``<output_dir>/tocsin``, or ``_tocsin``, which no upload takes along,
            with ``push_to_hub``.
        stop_on: End the training once a finding of at least this severity has rung; in a single process only.
        budget: As ``every``, ``ignore`` and ``say``: see ``tocsin.watch``.
    """

    run: Any = None  # the Recorder
    _trainer: Any = None
    _overheard: Overheard | None = None
    _forwarding: Forwarding | None = None
    _stop: StopTraining | None = None
    _loss: Tensor | None = None
    _heard = False
    _step = 0

    def __init__(
        self,
        *,
        run_dir: str | Path | None = None,
        stop_on: Severity | None = None,
        budget: float = 0.01,
        every: int | None = None,
        ignore: Iterable[str] = (),
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.run_dir, self.stop_on = run_dir, stop_on
        self.options: dict[str, Any] = {"budget": budget, "every": every, "ignore": tuple(ignore), "say": say}

    @property
    def findings(self) -> list[Finding]:
        """All that has rung in the latest training, errors first."""
        return self.run.findings if self.run is not None else []

    def on_init_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Hear of any exception that ends a training; a callback that is added later hears those of ``_METHODS``."""
        if (trainer := calling_trainer()) is not None:
            Overheard(trainer, ["train"], self._returned, self._raised)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Attach. A record is still open where an exception went past us: it ends as failed."""
        if self.run is not None:
            self.run.finish("failed")
            self._close()
        self._stop, self._loss, self._heard = None, None, False
        self._trainer = calling_trainer()
        self.run = watched(args, state, kwargs, self.run_dir, self.stop_on, self.options)
        if self._trainer is not None and self.run.folder is not None:
            self._overheard = Overheard(self._trainer, _METHODS, self._returned, self._raised)
        self._step = self.run.step

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The epoch before is over, with its evaluation; every logger of the user's is set up."""
        self._end_epoch()
        if self._forwarding is None and self._overheard is not None and state.is_world_process_zero:
            self._forwarding = Forwarding(sinks(self._trainer.callback_handler.callbacks), self.run.say)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A step is over: the optimizer has moved, the learning rate not yet."""
        loss, self._loss = self._loss, None
        try:
            self.run.losses(**({} if loss is None else {"total": loss}))
        except StopTraining as stop:
            self._stop, control.should_training_stop = stop, True

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """The user's numbers, evaluations among them. The last line is the end: loggers close, best weights return."""
        self._take(logs or {})
        if self._forwarding is not None:
            self._forwarding.findings(self.findings)
        if "train_loss" in (logs or {}):
            self.on_train_end(args, state, control)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the record."""
        if state.epoch and float(state.epoch).is_integer():
            self._end_epoch()
        self._raised(self._stop)

    def __getstate__(self) -> dict[str, Any]:
        """The options; what is being recorded stays with this process."""
        return {"run_dir": self.run_dir, "stop_on": self.stop_on, "options": self.options}

    def _returned(self, method: str, result: Any) -> None:
        if method == "training_step" and isinstance(result, Tensor):
            self._loss = result.detach() if self._loss is None else self._loss + result.detach()
            self._heard = True

    def _raised(self, error: BaseException | None) -> None:
        if self.run is not None:
            self.run.__exit__(type(error) if error else None, error, None)
            self._close()

    def _take(self, row: Mapping[str, Any]) -> None:
        values = {n: v for n, v in named(row).items() if n.partition("/")[0] not in _AT_ITS_SOURCE}
        if self._heard:
            values.pop("train/loss", None)
        if self.run is not None and values:
            self.run.metrics(values)

    def _end_epoch(self) -> None:
        if self.run is not None and self.run.step > self._step:
            self._step = self.run.step
            self.run.end_epoch()

    def _close(self) -> None:
        if self._forwarding is not None:
            self._forwarding.report(self.run.report)
        if self._overheard is not None:
            self._overheard.release()
        self._forwarding = self._overheard = self._trainer = None

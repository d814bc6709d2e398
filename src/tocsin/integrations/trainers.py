"""Lightning where it is installed, and what its ``Trainer`` has: scaler, loggers, what no recorder understands."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tocsin.integrations.forwarding import MLflow, Sink, TensorBoard, WandB
from tocsin.integrations.unsupported import unsupported

_HOMES = [home for home in ("lightning.pytorch", "pytorch_lightning") if find_spec(home.partition(".")[0])]
HOME = next((home for home in _HOMES if home in sys.modules), _HOMES[0] if _HOMES else None)
Callback: Any = import_module(HOME).Callback if HOME else object


def why_not(trainer: Any) -> str:
    """What forbids to record this fit, in words; "" where nothing does."""
    strategy = type(trainer.strategy).__name__
    if "XLA" in strategy:
        return f"{strategy} is not supported"
    if what := unsupported(trainer.model, trainer.optimizers):
        return f"not supported: {what}"
    return "fast_dev_run leaves no traces" if trainer.fast_dev_run else ""


def scaler_of(trainer: Any) -> Any:
    """The ``GradScaler`` of mixed precision, None without one."""
    return getattr(trainer.precision_plugin, "scaler", None)


def parts_of(trainer: Any, module: Any) -> dict[str, Any]:
    """What a recorder is told of the trainer: configuration, scaler, averaged model, schedulers."""
    return {
        "config": dict(module.hparams),
        "scaler": scaler_of(trainer),
        "ema": getattr(averaging(trainer), "_average_model", None),
        "scheduler": [c.scheduler for c in trainer.lr_scheduler_configs] or None,
    }


def stop_together(trainer: Any, wanted: bool) -> None:
    """End the training on all ranks after this batch if any of them wants to; called on each of them."""
    stops = trainer.strategy.reduce_boolean_decision(wanted, all=False)
    trainer.should_stop = trainer.should_stop or stops


def steps_done(trainer: Any) -> int:
    """Batches that the checkpoint was trained on, where one is resumed that knows nothing of us."""
    return int(trainer.fit_loop.total_batch_idx) + 1 if trainer.ckpt_path else 0


def averaging(trainer: Any) -> Any:
    """The user's ``WeightAveraging`` callback, of which EMA is one; None without one."""
    of_kind = [c for c in trainer.callbacks if any(kind.__name__ == "WeightAveraging" for kind in type(c).__mro__)]
    return of_kind[0] if of_kind else None


def put_first(trainer: Any, callback: Any) -> None:
    """Let ``callback`` hear of the end of a training first: an averaging one then replaces the live weights."""
    trainer.callbacks = [callback, *(c for c in trainer.callbacks if c is not callback)]


def sinks_of(trainer: Any) -> list[Sink]:
    """Where findings go beside our own record: the loggers that the user gave."""
    found: list[Sink] = []
    for logger in trainer.loggers if trainer.is_global_zero else []:
        kinds = {kind.__name__ for kind in type(logger).__mro__}
        if "TensorBoardLogger" in kinds:
            found.append(TensorBoard(logger.experiment))
        elif "WandbLogger" in kinds:
            found.append(WandB(logger.experiment))
        elif "MLFlowLogger" in kinds:
            found.append(MLflow(logger.experiment, logger.run_id))
    return found

"""What surrounds a callback of transformers: the Trainer that calls it, the optimizer inside, the user's loggers."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tocsin.findings import Severity
from tocsin.integrations.forwarding import MLflow, Sink, TensorBoard, WandB
from tocsin.integrations.unsupported import unsupported
from tocsin.recorder import Recorder, watch


def calling_trainer() -> Any:
    """The Trainer in whose loop we are, None where it is none of transformers: callbacks are not told."""
    home: Any = sys.modules.get("transformers.trainer")
    frame = sys._getframe(1)
    while frame is not None and home is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, home.Trainer):
            return owner
        frame = frame.f_back  # type: ignore[assignment]
    return None


def watched(
    args: Any,
    state: Any,
    given: Mapping[str, Any],
    run_dir: str | Path | None,
    stop_on: Severity | None,
    options: Mapping[str, Any],
) -> Recorder:
    """A recorder of this training, inert where the training is not supported; that is said.

    Args:
        args: The ``TrainingArguments``.
        state: The ``TrainerState``.
        given: What else a callback is given.
        run_dir: What the user asked for.
        stop_on: Likewise.
        options: Others of ``tocsin.watch``.
    """
    optimizer = inner = given["optimizer"]
    while hasattr(inner, "optimizer"):  # Accelerate wraps it
        inner = inner.optimizer
    foreign, alone = unsupported(given["model"], [optimizer, inner]), args.world_size <= 1
    run = watch(
        given["model"],
        inner,
        run_dir=folder_of(args, run_dir),
        config=args.to_dict(),
        scaler=getattr(optimizer, "scaler", None),
        scheduler=given.get("lr_scheduler"),
        start_step=state.global_step,
        stop_on=stop_on if alone else None,
        enabled=not foreign,
        **(options if state.is_world_process_zero else {**options, "say": None}),
    )
    if foreign:
        run.say(f"tocsin: {foreign} is not supported: nothing is recorded")
    elif stop_on and not alone:
        run.say("tocsin: stop_on is not supported with several processes: one that stops would leave the others")
    return run


def folder_of(args: Any, run_dir: str | Path | None) -> Path:
    """Where the record goes; an upload to the hub takes the whole ``output_dir``, but for names with ``_``."""
    return Path(run_dir or Path(args.output_dir, "_tocsin" if args.push_to_hub else "tocsin"))


def sinks(callbacks: Iterable[Any]) -> list[Sink]:
    """Where the user's own callbacks report to."""
    kinds = {kind.__name__: callback for callback in callbacks for kind in type(callback).__mro__}
    writer = getattr(kinds.get("TensorBoardCallback"), "tb_writer", None)
    wandb: Any = sys.modules.get("wandb") if "WandbCallback" in kinds else None
    mlflow: Any = sys.modules.get("mlflow") if "MLflowCallback" in kinds else None
    found: list[Sink] = [] if writer is None else [TensorBoard(writer)]
    if getattr(wandb, "run", None) is not None:
        found.append(WandB(wandb.run))
    if mlflow is not None and (active := mlflow.active_run()) is not None:
        found.append(MLflow(mlflow.MlflowClient(), active.info.run_id))
    return found

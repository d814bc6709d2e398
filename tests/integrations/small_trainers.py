"""Small Trainers of transformers: no download, CPU, a few steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from loops import small_model


class Classifier(nn.Module):
    """``small_model`` with the face that a Trainer expects; where ``bad`` is marked in the batch the loss is NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small_model(dropout=0.0)

    def forward(self, x: torch.Tensor, labels: torch.Tensor, bad: torch.Tensor | None = None) -> dict[str, Any]:
        logits = self.net(x)
        loss = nn.functional.cross_entropy(logits, labels)
        if bad is not None and self.training and bool(bad.any()):
            loss = loss * float("nan")
        return {"loss": loss, "logits": logits}


def samples(n: int = 64, bad: tuple[int, ...] = (), seed: int = 3) -> list[dict[str, torch.Tensor]]:
    """Learnable samples; those whose index is in ``bad`` make the loss NaN."""
    x = torch.randn(n, 8, generator=torch.Generator().manual_seed(seed))
    return [{"x": row, "labels": row[:3].argmax(), "bad": torch.tensor(k in bad)} for k, row in enumerate(x)]


class InOrder(transformers.Trainer):
    """Takes the samples as they come, so that a test knows which step sees which."""

    def _get_train_sampler(self, *_: Any) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)


def trainer_of(folder: Path, *callbacks: Any, data: Any = None, model: Any = None, **options: Any) -> InOrder:
    """A Trainer of 8 samples a batch that logs each step and reports to nobody."""
    kind = options.pop("kind", InOrder)
    given = {
        name: options.pop(name) for name in ("compute_metrics", "eval_dataset", "compute_loss_func") if name in options
    }
    arguments = {
        "output_dir": str(folder), "per_device_train_batch_size": 8, "logging_steps": 1, "save_strategy": "no",
        "report_to": [], "disable_tqdm": True, "use_cpu": True, "learning_rate": 1e-2, "max_steps": 8, "seed": 0,
        "remove_unused_columns": False, "dataloader_pin_memory": False,
    }  # fmt: skip
    args = transformers.TrainingArguments(**{**arguments, **options})
    trainer = kind(
        model=model if model is not None else Classifier(),
        args=args,
        train_dataset=samples() if data is None else data,
        callbacks=list(callbacks),
        **given,
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer

"""Transformers' Trainer with a tiny random BERT on made-up sentences: the first token decides the class."""

from __future__ import annotations

from pathlib import Path

import torch
from making import case, main, note_all
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    __version__,
    set_seed,
)  # fmt: skip

NAME = f"transformers{__version__.split('.')[0]}"
CLASSES = 4
NAMES = {"loss": "train/loss", "grad_norm": "grad/norm", "learning_rate": "lr/0"}


class Sentences(Dataset):
    """``n`` sentences of 12 tokens; labels follow the first token, or chance."""

    def __init__(self, n: int, seed: int, meaning: bool = True, flipped: float = 0.1):
        draw = torch.Generator().manual_seed(seed)
        self.tokens = torch.randint(CLASSES, 40, (n, 12), generator=draw)
        self.labels = torch.randint(0, CLASSES, (n,), generator=draw)
        self.tokens[:, 1] = self.labels if meaning else self.tokens[:, 1]
        flip = torch.rand(n, generator=draw) < flipped
        self.labels[flip] = torch.randint(0, CLASSES, (int(flip.sum()),), generator=draw)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.tokens[index], "labels": self.labels[index]}


def _name(key: str) -> str:
    """``eval_loss`` is ``val/loss``; of several sets, ``eval_easy_loss`` is ``val_easy/loss``."""
    words = key.split("_")
    return f"{'_'.join(['val', *words[1:-1]])}/{words[-1]}" if words[0] == "eval" else key


class Noting(TrainerCallback):
    """Notes what the Trainer logs; ``callbacks`` go to the Trainer beside it."""

    callbacks: tuple[TrainerCallback, ...] = ()
    silent_at = 0

    def on_log(self, args, state, control, logs=None, **_):
        if state.global_step == self.silent_at:
            return
        said = {NAMES.get(k, _name(k)): float(v) for k, v in (logs or {}).items()}
        note_all({k: v for k, v in said.items() if k in NAMES.values() or (k.endswith(("loss", "accuracy"))
                  and k.startswith("val"))})  # fmt: skip


class BreaksOnce(Trainer):
    """One batch whose loss is NaN, as an overflow of fp16 or a sentence without a label makes it."""

    def compute_loss(self, model, inputs, return_outputs=False, **options):
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **options)
        if model.training and self.state.global_step == 40:
            loss = loss * float("nan")
        return (loss, outputs) if return_outputs else loss


def accuracy(predicted) -> dict[str, float]:
    return {"accuracy": float((predicted.predictions.argmax(-1) == predicted.label_ids).mean())}


def train(
    fit: Dataset, held_out, kind: type[Trainer] = Trainer, dropout: float = 0.1, resumed: str | None = None, **options
) -> Trainer:
    set_seed(3)
    shape = BertConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=16, num_labels=CLASSES, hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    given = {
        "output_dir": "output", "per_device_train_batch_size": 16, "per_device_eval_batch_size": 64,
        "learning_rate": 2e-3, "logging_steps": 10, "eval_strategy": "epoch", "save_strategy": "no",
        "report_to": [], "use_cpu": True, "num_train_epochs": 5, **options,
    }  # fmt: skip
    trainer = kind(
        BertForSequenceClassification(shape), TrainingArguments(**given), train_dataset=fit, eval_dataset=held_out,
        compute_metrics=accuracy, callbacks=[Noting(), *Noting.callbacks],
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=resumed)
    trainer.save_state()
    return trainer


@case(f"{NAME}/healthy")
def healthy() -> None:
    train(Sentences(480, 1), Sentences(200, 2), save_strategy="epoch", save_total_limit=2, warmup_steps=15)


@case(f"{NAME}/nan_batch")
def nan_batch() -> None:
    train(Sentences(480, 1), Sentences(200, 2), BreaksOnce)


@case(f"{NAME}/overfit", console=False)
def overfit() -> None:
    train(Sentences(32, 1, meaning=False), Sentences(200, 2), dropout=0.0, num_train_epochs=40, logging_steps=2)


@case(f"{NAME}/warm_up_never_ends")
def warm_up_never_ends() -> None:
    train(Sentences(480, 1), Sentences(200, 2), warmup_steps=100_000, disable_tqdm=True)


@case(f"{NAME}/two_sets")
def two_sets() -> None:
    train(Sentences(480, 1), {"easy": Sentences(150, 2), "hard": Sentences(150, 3, flipped=0.4)}, logging_steps=15)


@case(f"{NAME}/loose_labels", console=False)
def loose_labels() -> None:
    train(Sentences(1600, 1, meaning=False), Sentences(400, 2), learning_rate=3e-4, num_train_epochs=4)


@case(f"{NAME}/resumed", console=False)
def resumed() -> None:
    """Stopped in the middle, gone on from its last checkpoint: seven states, each with what is before it."""

    class Stops(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            control.should_training_stop = state.global_step == 75

    plan = {"save_strategy": "steps", "save_steps": 25, "num_train_epochs": 5}
    try:
        Noting.callbacks, Noting.silent_at = (Stops(),), 75
        train(Sentences(480, 1), Sentences(200, 2), **plan)
    finally:
        Noting.callbacks, Noting.silent_at = (), 0
    Path("output/trainer_state.json").unlink()
    train(Sentences(480, 1), Sentences(200, 2), resumed="output/checkpoint-75", **plan)


@case(f"{NAME}/rate_times_1000", console=False)
def rate_times_1000() -> None:
    train(Sentences(480, 1), Sentences(200, 2), learning_rate=2.0, save_strategy="epoch")


@case(f"{NAME}/rate_zero", console=False)
def rate_zero() -> None:
    train(Sentences(480, 1), Sentences(200, 2), learning_rate=0.0)


main("transformers", "torch")

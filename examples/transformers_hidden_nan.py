"""Train a small BERT on 512 texts of which one is empty: the Trainer's log looks perfect, and the model is dead.

The classifier averages what BERT makes of each word, over the words that the text has. The empty text has none: its
average is 0/0, and the gradient of that one batch makes every weight NaN. The Trainer logs a NaN loss as 0, trains on
to the end and exits with 0.

    python examples/transformers_hidden_nan.py [FOLDER]

Offline, on the CPU, in less than a minute. It needs ``pip install 'tocsin[transformers]'``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, Trainer, TrainingArguments

import tocsin
from tocsin.integrations.transformers import TocsinCallback

WORDS, LENGTH, TEXTS, EMPTY = 60, 12, 512, 400


class Classifier(nn.Module):
    """BERT, the mean over the words of a text, and a head."""

    def __init__(self) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=WORDS, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
        )
        self.bert = BertModel(config, add_pooling_layer=False)
        self.head = nn.Linear(32, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Loss and logits, as a Trainer wants them."""
        words = self.bert(input_ids, attention_mask).last_hidden_state
        mask = attention_mask[:, :, None].float()
        logits = self.head((words * mask).sum(1) / mask.sum(1))  # the usual line, without a clamp(min=1)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def texts() -> list[dict[str, Tensor]]:
    """Texts of 1 to ``LENGTH`` random words; the label says whether most are of the first half."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(1, WORDS, (TEXTS, LENGTH), generator=draw)
    lengths = torch.randint(1, LENGTH + 1, (TEXTS,), generator=draw)
    lengths[EMPTY] = 0
    masks = (torch.arange(LENGTH) < lengths[:, None]).long()
    labels = ((2 * (ids < WORDS // 2) - 1) * masks).sum(1) > 0
    rows = zip(ids * masks, masks, labels.long(), strict=True)
    return [{"input_ids": i, "attention_mask": m, "labels": y} for i, m, y in rows]


def main(folder: Path) -> None:
    """Train with the callback, and then ask the log alone."""
    torch.manual_seed(0)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=2,
        per_device_train_batch_size=8,
        learning_rate=1e-3,
        logging_steps=8,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = Trainer(Classifier(), arguments, train_dataset=texts(), callbacks=[TocsinCallback(say=print)])
    trainer.train()
    trainer.save_state()
    weights = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    print(f"\nNaN weights: {int(weights.isnan().sum())} of {weights.numel()}\n")
    print(f"From the log alone: {tocsin.check(folder / 'trainer_state.json').verdict}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else tempfile.mkdtemp()))

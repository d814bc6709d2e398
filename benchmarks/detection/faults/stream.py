"""Training data that is not what was meant."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from detection.training import Batch, Settings, Training
from detection.variants import fault


def main_head(training: Training) -> str:
    """The first head: the one whose labels are spoilt."""
    return next(iter(training.heads))


@fault(
    "unshuffled-stream",
    tasks=("digits-mlp", "digits-cnn", "cancer", "diabetes", "wine"),
    expects="DAT003",
    why="the same order, sorted by target, in every epoch: DAT003 is its definition; swinging losses are its symptom",
)
class Unshuffled(Training):
    """The rows come as they are stored, which is sorted by the target."""

    def order(self, epoch: int) -> Tensor:  # noqa: ARG002 (an override of it)
        return torch.argsort(self.splits["train"][main_head(self)], stable=True)


@fault(
    "uint8-wrap",
    tasks=("digits-mlp", "digits-cnn", "diabetes", "cancer", "wine"),
    expects="DAT004",
    why="training inputs went through 8 bits and wrapped, evaluation inputs did not: DAT004 is its definition",
)
class Uint8Wrap(Training):
    """An augmentation for 8-bit images gets standardised values: negative ones wrap. In training only."""

    def transform(self, batch: Batch) -> Batch:
        wrapped = (batch["x"] * 255).long() % 256
        return {**batch, "x": wrapped / 255}


@fault(
    "label-permutation",
    tasks=("digits-mlp", "cancer", "diabetes", "wine"),
    expects="PRD009 OBJ009",
    why="targets stand in another order than inputs, so nothing can be learned that holds: chance level (PRD009), no "
    "better than a constant (OBJ009). No code names the permutation; overfitting (GEN001) would point elsewhere",
)
class LabelPermutation(Training):
    """The training targets were sorted apart from their inputs."""

    def load(self) -> dict[str, Batch]:
        splits = super().load()
        target = splits["train"][main_head(self)]
        shuffled = target[torch.randperm(len(target), generator=torch.Generator().manual_seed(self.seed))]
        return {**splits, "train": {**splits["train"], main_head(self): shuffled}}


@fault(
    "label-noise",
    tasks=("digits-mlp", "digits-cnn", "wine"),
    expects="GEN001 GEN006",
    why="wrong labels can only be memorised, which is overfitting (GEN001); clean evaluation labels score better than "
    "the noisy training ones (GEN006). No code names the noise itself",
)
class LabelNoise(Training):
    """Two labels of five are drawn at random; trained for twice as long, without decay of the weights."""

    def configure(self, settings: Settings) -> Settings:
        s = super().configure(settings)
        return replace(s, epochs=2 * s.epochs, weight_decay=0.0, dropout=0.0)

    def load(self) -> dict[str, Batch]:
        splits = super().load()
        target = splits["train"][main_head(self)]
        generator = torch.Generator().manual_seed(self.seed)
        drawn = target[torch.randint(len(target), target.shape, generator=generator)]
        wrong = torch.rand(target.shape, generator=generator) < 0.4
        return {**splits, "train": {**splits["train"], main_head(self): torch.where(wrong, drawn, target)}}


@fault(
    "train-eval-overlap",
    tasks=("digits-mlp", "diabetes", "cancer", "autoencoder", "wine"),
    expects="DAT002",
    why="every evaluated row was trained on: DAT002 is its definition",
)
class Overlap(Training):
    """The training set is built before the validation rows are taken out."""

    def load(self) -> dict[str, Batch]:
        splits = super().load()
        both = {name: torch.cat([column, splits["val"][name]]) for name, column in splits["train"].items()}
        return {**splits, "train": both}


@fault(
    "inputs-x1000",
    tasks=("digits-mlp", "diabetes", "autoencoder"),
    expects="OPT005 OPT010",
    why="inputs in another unit make gradients explode (OPT005) at a rate that is too high for them (OPT010); AMP003 "
    "is the end of it",
)
class InputsTimes1000(Training):
    """Nobody scaled the inputs; plain descent."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), optimizer="sgd", lr=0.1)

    def load(self) -> dict[str, Batch]:
        return {split: {**columns, "x": 1000 * columns["x"]} for split, columns in super().load().items()}


@fault(
    "dead-class",
    tasks=("digits-mlp", "digits-cnn", "digits-two", "wine", "constellation"),
    expects="DAT001 PRD012 PRD003",
    why="nearly all rows of one class were lost (DAT001), so its prior rules it out (PRD012) and it is never predicted "
    "(PRD003): training labels are not recorded, so the last is as near as a record can come",
)
class DeadClass(Training):
    """A filter leaves one training row of a class (an 8 among digits, else the last class)."""

    def load(self) -> dict[str, Batch]:
        splits = super().load()
        target = splits["train"][main_head(self)]
        lost = torch.nonzero(target == min(8, int(target.max()))).flatten()
        keep = torch.ones(len(target), dtype=torch.bool).index_fill(0, lost[1:], False)
        return {**splits, "train": {name: column[keep] for name, column in splits["train"].items()}}

"""Unusual objectives, networks and evaluations that are meant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from detection.faults.evaluation import with_norms
from detection.faults.terms import Likelihood
from detection.loop import Observer, Silent, follow
from detection.tasks import CLASSIFIERS, EVERY, SEVERAL_HEADS
from detection.training import Batch, Net, Settings, Training
from detection.variants import healthy


@healthy("label-smoothing", tasks=(*CLASSIFIERS, *SEVERAL_HEADS), why="training loss has a floor, evaluation none")
class LabelSmoothing(Training):
    """Smoothing of .1, in training only."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), label_smoothing=0.1)


@healthy("heavy-regularisation", tasks=EVERY, why="half of the units drop out, in training only")
class HeavyRegularisation(Training):
    """Dropout of .5 and strong weight decay."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), dropout=0.5, weight_decay=0.1)


@healthy("detached-logging", tasks=EVERY, why="loss and size of the weights are shown, without graphs")
class DetachedLogging(Training):
    """Two numbers for the log beside the total."""

    def logged(self, total: Tensor, terms: dict[str, Tensor]) -> dict[str, Any]:
        size = sum(p.detach().square().sum() for p in self.model.parameters())
        copies = {f"{name}_shown": value.detach() for name, value in terms.items()}
        return {**super().logged(total, terms), **copies, "weights": size}


@healthy("weighted-terms", tasks=SEVERAL_HEADS, why="the second term counts a third: declared, and both heads learn")
class WeightedTerms(Training):
    """A fixed weight of a third for the second term."""

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        first, second = terms.values()
        return first + second / 3


class Curriculum(Training):
    """The second head's term joins after a third of the epochs."""

    active = False

    def order(self, epoch: int) -> Tensor:
        self.active = epoch > self.settings.epochs // 3
        return super().order(epoch)

    def terms(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        terms = super().terms(outputs, batch)
        if not self.active and self.model.training:
            del terms[list(self.heads)[-1]]
        return terms

    def logged(self, total: Tensor, terms: dict[str, Tensor]) -> dict[str, Any]:
        return {"total": total, **terms}


healthy("curriculum", tasks=SEVERAL_HEADS, why="a task that is not active yet has no term and no progress: meant")(
    Curriculum
)


@healthy(
    "curriculum-zeros",
    tasks=SEVERAL_HEADS,
    why="as curriculum, and a plain 0 is shown for the inactive term",
)
class CurriculumZeros(Curriculum):
    """The inactive term is shown as the number 0."""

    def logged(self, total: Tensor, terms: dict[str, Tensor]) -> dict[str, Any]:
        return {"total": total, **dict.fromkeys(self.heads, 0.0), **terms}


@healthy(
    "batchnorm-peak-lr",
    tasks=("digits-cnn", "digits-mlp", "digits-two", "diabetes", "autoencoder"),
    why="at the peak rate running statistics lag and evaluation swings; they arrive as the rate comes down",
)
class BatchNormPeakLr(Training):
    """Batch normalisation as it comes, at three times the rate."""

    def configure(self, settings: Settings) -> Settings:
        s = super().configure(settings)
        return replace(s, lr=3 * s.lr)

    def build(self) -> Net:
        return with_norms(super().build(), momentum=0.1)


healthy(
    "learned-variance",
    tasks=("diabetes", "digits-two", "autoencoder"),
    why="a likelihood with a learned deviation may go below 0 and is far from its clamp",
)(Likelihood)


@healthy("fine-tune", tasks=EVERY, why="four epochs from trained weights: little movement, good from the start")
class FineTune(Training):
    """The watched run starts from a trained network, at a tenth of the rate."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        follow(self, Silent())
        self.settings = replace(self.settings, epochs=4, lr=self.settings.lr / 10)
        self.optimizers = self.make_optimizers()
        self.schedulers = self.make_schedulers()
        self.step_count = 0


@healthy("patience", tasks=EVERY, why="an early stop that comes when the loss no longer falls")
class Patience(Training):
    """A run that may be twice as long and stops after eight epochs without a better loss; no decay of the rate."""

    def configure(self, settings: Settings) -> Settings:
        s = super().configure(settings)
        return replace(s, lr=s.lr / 2, decay=False, epochs=2 * s.epochs, patience=8, weight_decay=0.1, dropout=0.2)


@healthy(
    "both-splits-each-epoch",
    tasks=("digits-mlp", "cancer", "diabetes", "autoencoder"),
    why="validation and test set are scored at every epoch, and they are two sets",
)
class BothSplits(Training):
    """The test set's scores are shown beside the validation set's."""

    def evaluate(self, split: str, observer: Observer) -> dict[str, float]:
        metrics = super().evaluate(split, observer)
        return metrics | super().evaluate("test", observer) if split == "val" else metrics


@healthy(
    "seeded-evaluation",
    tasks=("digits-mlp", "digits-two", "cancer", "autoencoder", "constellation"),
    why="the evaluation draws from a seed of its own and gives the generator back as it was",
)
class SeededEvaluation(Training):
    """Evaluation under ``fork_rng``; dropout and order of training go on as if it had not been."""

    def configure(self, settings: Settings) -> Settings:
        return replace(super().configure(settings), dropout=0.2)

    def order(self, epoch: int) -> Tensor:  # noqa: ARG002 (an override of it)
        return torch.randperm(len(self.splits["train"]["x"]))

    def evaluate(self, split: str, observer: Observer) -> dict[str, float]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return super().evaluate(split, observer)

"""Training code as people write it, in pieces: a task fills in the first, a fault or a variant overrides one.

A fault is a subclass that overrides a method; ``catalogue.build`` puts it in front of a task, so that ``super()`` is
the task's own code.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from detection.loop import Observer
from detection.scores import scores

Batch = dict[str, Tensor]
Kind = Literal["classes", "regression"]


@dataclass(frozen=True)
class Settings:
    """What a configuration file would hold.

    Attributes:
        warmup: Steps over which the learning rate rises linearly.
        decay: Whether the rate falls to 0 along a cosine after the warm-up.
        scale: First loss scale of float16 autocast; None trains in float32.
        ema: Decay of the averaged weights that are evaluated; None evaluates the live ones.
        patience: Evaluations without a better loss before the run stops; None never stops early.
    """

    lr: float
    epochs: int
    batch: int
    optimizer: Literal["adam", "sgd"] = "adam"
    weight_decay: float = 0.0
    warmup: int = 20
    decay: bool = True
    clip: float | None = None
    accumulate: int = 1
    scale: float | None = None
    bfloat16: bool = False
    ema: float | None = None
    patience: int | None = None
    dropout: float = 0.0
    label_smoothing: float = 0.0
    eval_batch: int = 100


class Net(nn.Module):
    """An encoder and one head a task; a single head answers with a tensor, several with a dictionary."""

    def __init__(self, encoder: nn.Sequential, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(dict(heads))

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        """Logits or values of each head."""
        hidden = self.encoder(x)
        answers: dict[str, Tensor] = {name: head(hidden) for name, head in self.heads.items()}
        return answers["main"] if list(answers) == ["main"] else answers


class Training:
    """One run's training code: data, network, objective, optimizer and evaluation.

    Attributes:
        defaults: The settings of the task.
        heads: What each head predicts.
        healthy: The validation metric of a run that has learned, and the least value that says so.
        chance: The value of that metric without any skill.
    """

    name: ClassVar[str] = ""
    defaults: ClassVar[Settings]
    heads: ClassVar[dict[str, Kind]] = {"main": "classes"}
    healthy: ClassVar[tuple[str, float]]
    chance: ClassVar[float]

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.settings = self.configure(self.defaults)
        torch.manual_seed(seed)
        self.shuffler = torch.Generator().manual_seed(1000 + seed)
        self.splits: dict[str, Batch] = self.load()
        self.model: Net = self.build()
        self.optimizers = self.make_optimizers()
        self.schedulers = self.make_schedulers()
        scale = self.settings.scale
        self.scaler = torch.amp.GradScaler("cpu", init_scale=scale) if scale is not None else None
        self.ema = copy.deepcopy(self.model).requires_grad_(False) if self.settings.ema else None
        self.step_count = 0
        self.best: tuple[float, int] = (float("inf"), 0)

    # What a task fills in

    def load(self) -> dict[str, Batch]:
        """The splits train, val and test: tensors by name, ``x`` and one for each head, equally long."""
        raise NotImplementedError

    def build(self) -> Net:
        """The network with its first weights."""
        raise NotImplementedError

    # Settings

    def configure(self, settings: Settings) -> Settings:
        """The settings of this run."""
        return settings

    @property
    def config(self) -> dict[str, Any]:
        """What is declared: the settings and the size of the training set."""
        return {
            "task": self.name,
            "seed": self.seed,
            "n_train": len(self.splits["train"]["x"]),
            **asdict(self.settings),
        }

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one epoch, the last one possibly smaller."""
        return -(-len(self.splits["train"]["x"]) // self.settings.batch)

    # Data

    def order(self, epoch: int) -> Tensor:  # noqa: ARG002 (a curriculum looks at it)
        """Rows of the training set in the order of this epoch."""
        return torch.randperm(len(self.splits["train"]["x"]), generator=self.shuffler)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The training batches."""
        train = self.splits["train"]
        for rows in self.order(epoch).split(self.settings.batch):
            yield self.transform({name: column[rows] for name, column in train.items()})

    def transform(self, batch: Batch) -> Batch:
        """What is done to training batches only; mostly nothing."""
        return batch

    def held_out(self, split: str) -> Iterator[Batch]:
        """The batches of an evaluation."""
        columns = self.splits[split]
        for rows in torch.arange(len(columns["x"])).split(self.settings.eval_batch):
            yield {name: column[rows] for name, column in columns.items()}

    # Objective

    def forward(self, batch: Batch, model: nn.Module | None = None) -> dict[str, Tensor]:
        """Each head's output, in float32 whatever the network computed in."""
        half = self.settings.scale is not None
        kind = torch.float16 if half else torch.bfloat16
        with torch.autocast("cpu", dtype=kind, enabled=half or self.settings.bfloat16):
            answer = (self.model if model is None else model)(batch["x"])
        answers = answer if isinstance(answer, dict) else {"main": answer}
        return {name: value.float() for name, value in answers.items()}

    def term(self, head: str, output: Tensor, target: Tensor) -> Tensor:
        """One head's loss, mean over the batch."""
        if self.heads[head] == "regression":
            return functional.mse_loss(output.reshape(target.shape), target)
        smooth = self.settings.label_smoothing if self.model.training else 0.0
        return functional.cross_entropy(output.flatten(0, -2), target.flatten(), label_smoothing=smooth)

    def terms(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """The loss terms by name; one of a single head is the total itself."""
        return {head: self.term(head, outputs[head], batch[head]) for head in self.heads}

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """What is minimised."""
        return torch.stack(list(terms.values())).sum()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Total and terms of a training batch."""
        terms = self.terms(self.forward(batch), batch)
        return self.total(terms), terms

    def logged(self, total: Tensor, terms: dict[str, Tensor]) -> dict[str, Any]:
        """What the training code shows of a step's losses."""
        return {"total": total} | (terms if len(terms) > 1 else {})

    # Steps

    def run_epoch(self, epoch: int, observer: Observer) -> None:
        """All steps of an epoch."""
        self.model.train()
        for batch in self.batches(epoch):
            total, terms = self.loss(batch)
            observer.losses(**self.logged(total, terms))
            self.learn(total)

    def learn(self, total: Tensor) -> None:
        """Backward, and an optimizer step once enough batches were accumulated."""
        self.step_count += 1
        self.backward(total / self.settings.accumulate)
        if self.step_count % self.settings.accumulate == 0:
            self.update()

    def backward(self, total: Tensor) -> None:
        """Gradients of the total, scaled where there is a scaler."""
        (total if self.scaler is None else self.scaler.scale(total)).backward()

    def update(self) -> None:
        """One optimizer step from the gradients that are there."""
        self.unscale()
        self.clip()
        self.step()
        self.clear()
        self.average()
        self.advance()

    def unscale(self) -> None:
        """Gradients without the loss scale."""
        if self.scaler is not None:
            for optimizer in self.optimizers:
                self.scaler.unscale_(optimizer)

    def clip(self) -> None:
        """The clipping of the settings."""
        if self.settings.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)

    def step(self) -> None:
        """The optimizers' steps."""
        for optimizer in self.optimizers:
            optimizer.step() if self.scaler is None else self.scaler.step(optimizer)
        if self.scaler is not None:
            self.scaler.update()

    def clear(self) -> None:
        """The gradients are used."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def average(self) -> None:
        """The averaged weights follow."""
        if self.ema is not None and self.settings.ema is not None:
            with torch.no_grad():
                for mean, live in zip(self.ema.parameters(), self.model.parameters(), strict=True):
                    mean.lerp_(live, 1 - self.settings.ema)
                for mean, live in zip(self.ema.buffers(), self.model.buffers(), strict=True):
                    mean.copy_(live)

    def advance(self) -> None:
        """The schedule's step."""
        for scheduler in self.schedulers:
            scheduler.step()

    # Optimizers

    def trained(self) -> list[nn.Parameter]:
        """The parameters that the optimizer gets."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def make_optimizers(self) -> list[torch.optim.Optimizer]:
        """One optimizer over ``trained``."""
        return [self.make_optimizer(self.trained())]

    def make_optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer of the settings over some parameters."""
        s = self.settings
        if s.optimizer == "sgd":
            return torch.optim.SGD(parameters, lr=s.lr, momentum=0.9, weight_decay=s.weight_decay)
        return torch.optim.AdamW(parameters, lr=s.lr, weight_decay=s.weight_decay)

    def make_schedulers(self) -> list[Any]:
        """Warm-up, then a cosine: one scheduler an optimizer, advanced once an optimizer step."""
        return [torch.optim.lr_scheduler.LambdaLR(o, self.rate) for o in self.optimizers]

    def rate(self, step: int) -> float:
        """Share of the nominal learning rate at an optimizer step, from 0."""
        s = self.settings
        steps = s.epochs * self.steps_per_epoch // s.accumulate
        if step < s.warmup:
            return (step + 1) / s.warmup
        if not s.decay:
            return 1.0
        done = min(1.0, (step - s.warmup) / max(1, steps - s.warmup))
        return 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * done))))

    # Evaluation

    def predict(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The predictions that the user looks at: logits of classes, values in the target's units."""
        return outputs

    def baselines(self, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 (an override of it)
        """Predictions of a baseline by head, where a run records one."""
        return {}

    def evaluate(self, split: str, observer: Observer) -> dict[str, float]:
        """Losses (means over rows) and scores of a split; predictions are handed to the observer by batches."""
        model: nn.Module = self.model if self.ema is None else self.ema
        self.model.eval()
        model.eval()
        sums: dict[str, float] = {}
        rows = 0
        found: dict[str, list[tuple[Tensor, Tensor]]] = {head: [] for head in self.heads}
        with torch.no_grad():
            for batch in self.held_out(split):
                outputs = self.forward(batch, model)
                terms = self.terms(outputs, batch)
                size = len(batch["x"])
                rows += size
                for name, value in {**terms, "": self.total(terms)}.items():
                    sums[name] = sums.get(name, 0.0) + float(value) * size
                predictions = self.predict(outputs)
                for head, kind in self.heads.items():
                    target, prediction = self.as_rows(kind, batch[head], predictions[head])
                    observer.evaluate(split, target=target, prediction=prediction, task=head)
                    found[head].append((target, prediction))
                for head, prediction in self.baselines(batch).items():
                    observer.evaluate(split, target=batch[head], prediction=prediction, task=head, baseline="constant")
        return self.summary(split, {name: total / rows for name, total in sums.items()}, found)

    @staticmethod
    def as_rows(kind: Kind, target: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
        """One row a prediction: [N] with [N, K] for classes, equal shapes for values."""
        if kind == "classes":
            return target.flatten(), prediction.flatten(0, -2)
        return target, prediction.reshape(target.shape)

    def summary(
        self, split: str, losses: dict[str, float], found: dict[str, list[tuple[Tensor, Tensor]]]
    ) -> dict[str, float]:
        """The metrics by full name."""
        single = len(self.heads) == 1
        metrics = {f"{split}/loss": losses.pop("")}
        if not single:
            metrics |= {f"{split}/loss/{name}": value for name, value in losses.items()}
        for head, pairs in found.items():
            stem = split if single else f"{split}/{head}"
            metrics |= {f"{stem}/{name}": value for name, value in self.score(head, pairs).items()}
        return metrics

    def score(self, head: str, pairs: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
        """The scores of one head over all batches together."""
        target, prediction = (torch.cat(column) for column in zip(*pairs, strict=True))
        return scores(self.heads[head], target, prediction)

    # Life

    def stops(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Whether the run ends here, for want of progress."""
        if metrics["val/loss"] < self.best[0]:
            self.best = (metrics["val/loss"], epoch)
        patience = self.settings.patience
        return patience is not None and epoch - self.best[1] >= patience

    def finish(self, observer: Observer) -> dict[str, float]:
        """The test split, once."""
        metrics = self.evaluate("test", observer)
        observer.metrics(metrics)
        return metrics


def layers(*widths: int, dropout: float = 0.0, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers of these widths, each with its activation, and dropout where asked for."""
    parts: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        parts += [nn.Linear(a, b), activation()] + ([nn.Dropout(dropout)] if dropout else [])
    return nn.Sequential(*parts)

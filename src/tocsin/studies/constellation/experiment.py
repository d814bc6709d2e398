"""The study put together for the training loop: data, network, losses, evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tocsin.studies.constellation.baselines import BayesOracle
from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.curriculum import Sampler
from tocsin.studies.constellation.data import SPLITS, Batch, Frames, manifest
from tocsin.studies.constellation.evaluation import Predictions, Table, scores, tables
from tocsin.studies.constellation.image import grey
from tocsin.studies.constellation.model import ConstellationNet
from tocsin.studies.constellation.objective import weighting_of
from tocsin.studies.constellation.snr_losses import expected_snr, of_logits
from tocsin.studies.study import Evaluate

TASKS = ("modulation", "snr")
NLL = "joint_nll"
BY_EXPECTATION = ("expectation-mse", "smooth-l1")  # losses that say nothing of which level is the most likely


class Constellation:
    """Joint recognition of modulation and SNR; see ``tocsin.studies.study.Experiment`` for the methods.

    A fault is a subclass that overrides one of them (``faults.py``).
    """

    main_metric = "val/joint_accuracy"

    def __init__(self, config: Config, seed: int, device: torch.device) -> None:
        self.config = self.adjust(config)
        self.seed = seed
        self.device = device
        self.frames = Frames(config.data, device, config.view)
        self.manifest = manifest(config.data)
        half = self.config.training.precision == "float16-heads"
        self.model: nn.Module = ConstellationNet(self.config, half_heads=half).to(device)
        objective = self.config.objective
        self.weighting = weighting_of(objective, TASKS).to(device)
        self.levels = torch.tensor(config.data.snr_db, dtype=torch.float32, device=device)
        self.snr_loss = of_logits(objective.snr_loss, objective.alpha)
        self.by_expectation = objective.snr_loss in BY_EXPECTATION
        self.selection = "val/joint_error" if self.by_expectation else "val/joint_nll"
        self.labels = {
            "modulation": list(config.data.modulations),
            "snr": [f"{db} dB" for db in config.data.snr_db],
        }
        self.tables: dict[str, Table] = {}

    @classmethod
    def adjust(cls, config: Config) -> Config:
        """The configuration that is really trained; a fault may need another one."""
        return config

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one epoch, the last one possibly smaller."""
        return -(-self.frames.cells * self.config.data.train_per_cell // self.config.training.batch)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Weight decay for matrices and kernels only: not for gains, biases or the tasks' log-variances."""
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        return [
            {"params": [p for p in trainable if p.ndim > 1]},
            {"params": [p for p in trainable if p.ndim <= 1] + list(self.weighting.parameters()), "weight_decay": 0.0},
        ]

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Fresh frames of every class pair, or of those that the curriculum has come to."""
        sampler = self.sampler()
        if sampler is None:
            yield from self.frames.training(epoch, self.config.training.batch, self.seed)
            return
        cell, number = (column.to(self.device) for column in sampler.frames(epoch, self.seed))
        for part in torch.split(torch.arange(len(cell), device=self.device), self.config.training.batch):
            yield self.frames.batch(cell[part], SPLITS["train"] + number[part])

    def sampler(self) -> Sampler | None:
        """What chooses the training frames, None where every class pair has the same share."""
        data, curriculum = self.config.data, self.config.curriculum
        if curriculum is None:
            return None
        sizes = len(data.modulations), data.train_per_cell
        return Sampler(curriculum, self.config.training.epochs, data.snr_db, *sizes)

    def logits(self, batch: Batch) -> dict[str, Tensor]:
        """The network's answer to a batch."""
        answer: dict[str, Tensor] = self.model(grey(batch.counts, self.config.data.samples))
        return answer

    def terms(self, logits: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """The unweighted loss of each task, mean over the batch: cross-entropy [nat], or what the objective names."""
        return {
            "modulation": functional.cross_entropy(logits["modulation"], batch.modulation),
            "snr": self.snr_loss(logits["snr"], batch.snr, self.levels),
        }

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """What is minimised."""
        weighted: Tensor = self.weighting(terms)
        return weighted

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Total and terms of a training batch."""
        terms = self.terms(self.logits(batch), batch)
        return self.total(terms), terms

    def treat_gradients(self) -> None:
        """Nothing."""

    def weights(self) -> dict[str, float]:
        """The task weights at present."""
        return self.weighting.weights()

    def decide(self, logits: dict[str, Tensor]) -> dict[str, Tensor]:
        """The scores whose argmax is the prediction; of an expected SNR, that is the level next to it."""
        if not self.by_expectation:
            return logits
        return {**logits, "snr": -(expected_snr(logits["snr"], self.levels)[:, None] - self.levels).abs()}

    def evaluate(self, split: str, record: Evaluate) -> dict[str, float]:
        """Losses over the split (means over frames) and the scores of its predictions."""
        self.model.eval()
        self.weighting.eval()
        sums: dict[str, float] = {}
        answers: list[Tensor] = []
        oracle = BayesOracle(self.config.data, self.config.view, self.device) if split == "test" else None
        with torch.no_grad():
            for batch in self.frames.held_out(split, self.config.training.batch):
                logits = self.logits(batch)
                for name, value in {**self.terms(logits, batch), NLL: self._nll(logits, batch)}.items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(batch.snr)
                decided = self.decide(logits)
                target = {"modulation": batch.modulation, "snr": batch.snr}
                for task in TASKS:
                    record(split, target=target[task], prediction=decided[task], task=task, labels=self.labels[task])
                columns = [target["modulation"], target["snr"], *(decided[task].argmax(1) for task in TASKS)]
                columns += [oracle.predict(batch.counts[:, 0])] if oracle else []
                answers.append(torch.stack([*columns, batch.overflow]))
        self.model.train()
        self.weighting.train()
        return self._scored(split, sums, torch.cat(answers, 1))

    def _nll(self, logits: dict[str, Tensor], batch: Batch) -> Tensor:
        """Negative log-likelihood of both labels [nat], mean over the batch, whatever is minimised."""
        target = {"modulation": batch.modulation, "snr": batch.snr}
        return torch.stack([functional.cross_entropy(logits[task], target[task]) for task in TASKS]).sum()

    def _scored(self, split: str, sums: dict[str, float], answers: Tensor) -> dict[str, float]:
        modulation, snr, predicted_modulation, predicted_snr, *oracle, overflow = answers.cpu().numpy()
        made = Predictions(modulation, snr, predicted_modulation, predicted_snr)
        terms = {name: torch.tensor(value / modulation.size, device=self.device) for name, value in sums.items()}
        nll = terms.pop(NLL)
        found = {
            "loss": float(self.total(terms).detach()),
            **{f"loss/{name}": float(value) for name, value in terms.items()},
            NLL: float(nll),
            **scores(made, self.config.data.snr_db),
            "overflow_frac": float(overflow.sum() / (overflow.size * self.config.data.samples)),
        }
        if self.by_expectation:
            found["joint_error"] = 1 - found["joint_accuracy"]
        if oracle:
            joint = modulation * len(self.config.data.snr_db) + snr
            found["oracle_joint_accuracy"] = float((oracle[0] == joint).mean())
            found["oracle_gap"] = found["oracle_joint_accuracy"] - found["joint_accuracy"]
        made_tables = tables(made, self.config.data.modulations, self.config.data.snr_db)
        self.tables = {f"{split}_{name}": rows for name, rows in made_tables.items()}
        return {f"{split}/{name}": value for name, value in found.items()}

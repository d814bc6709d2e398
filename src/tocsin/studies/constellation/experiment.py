"""The study put together for the training loop: data, network, losses, evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tocsin.studies import exports
from tocsin.studies.constellation.ceilings import references
from tocsin.studies.constellation.ceilings.attainable import by_snr
from tocsin.studies.constellation.ceilings.oracle import Oracle, has_oracle
from tocsin.studies.constellation.config import Config
from tocsin.studies.constellation.data.curriculum import Sampler
from tocsin.studies.constellation.data.held_out import HeldOut
from tocsin.studies.constellation.data.source import SPLITS
from tocsin.studies.constellation.data.sources import source_of
from tocsin.studies.constellation.evaluation import perturbation
from tocsin.studies.constellation.evaluation.gallery import draw
from tocsin.studies.constellation.evaluation.scores import Predictions, Table, intervals, scores, tables
from tocsin.studies.constellation.model.heads import Raw
from tocsin.studies.constellation.model.network import ConstellationNet
from tocsin.studies.constellation.objective.tasks import TASKS, Tasks
from tocsin.studies.constellation.objective.weighting import weighting_of
from tocsin.studies.constellation.view.features import width
from tocsin.studies.constellation.view.image import grey
from tocsin.studies.constellation.view.representation import Batch
from tocsin.studies.study import Evaluate


class Constellation:
    """Joint recognition of modulation and SNR; see ``tocsin.studies.study.Experiment`` for the methods.

    A fault is a subclass that overrides one of them (``faults``).
    """

    main_metric = "val/joint_accuracy"

    def __init__(self, config: Config, seed: int, device: torch.device) -> None:
        self.config = self.adjust(config)
        self.seed = seed
        self.device = device
        data, view, network = self.config.data, self.config.view, self.config.network
        self.frames = source_of(data, device, view)
        self.manifest = self.frames.manifest()
        self.network = ConstellationNet(
            network,
            layers=len(view.layers),
            bins=view.bins,
            scalars=width(view.scalars),
            modulations=len(data.modulations),
            snr_db=data.snr_db,
            half_heads=self.config.training.precision == "float16-heads",
        ).to(device)
        self.model: nn.Module = self.network
        levels = torch.tensor(data.snr_db, dtype=torch.float32, device=device)
        self.tasks = Tasks(network, self.config.objective, levels)
        self.weighting = weighting_of(self.config.objective, self.tasks.terms_named).to(device)
        self.selection = "val/joint_error" if self.tasks.by_expectation else "val/joint_nll"
        self.labels = {"modulation": list(data.modulations), "snr": [f"{db} dB" for db in data.snr_db]}
        self.tables: dict[str, Table] = {}
        self.recorded: set[str] = set()

    @classmethod
    def adjust(cls, config: Config) -> Config:
        """The configuration that is really trained; a fault may need another one."""
        return config

    def facts(self) -> dict[str, Any]:
        """What is known of the task before training: ceilings of scores, and what model and baselines see."""
        return {"joint_classes": self.frames.cells, **references.facts(self.frames)}

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
        """Frames of every class pair, or of those that the curriculum has come to."""
        sampler = self.sampler()
        if sampler is None:
            yield from self.frames.training(epoch, self.config.training.batch, self.seed)
            return
        cell, number = (column.to(self.device) for column in sampler.frames(epoch, self.seed))
        for part in torch.split(torch.arange(len(cell), device=self.device), self.config.training.batch):
            yield self.frames.batch(cell[part], SPLITS["train"] + number[part])

    def held_out(self, split: str) -> HeldOut:
        """The batches of a split that is not trained on."""
        return HeldOut(self.frames, split, self.config.training.batch)

    def sampler(self) -> Sampler | None:
        """What chooses the training frames, None where every class pair has the same share."""
        data, curriculum = self.config.data, self.config.curriculum
        if curriculum is None:
            return None
        sizes = len(data.modulations), data.train_per_cell
        return Sampler(curriculum, self.config.training.epochs, data.snr_db, *sizes)

    def answer(self, batch: Batch) -> Raw:
        """The network's raw outputs for a batch."""
        picture = batch.iq if batch.iq is not None else self.picture(batch.counts)
        raw: Raw = self.model(picture, batch.scalars)
        return raw

    def picture(self, counts: Tensor) -> Tensor:
        """Grey levels [B, L, H, W] of counts."""
        return grey(counts, self.config.data.samples, self.config.view.grey)

    def terms(self, raw: Raw, batch: Batch) -> dict[str, Tensor]:
        """The unweighted loss of each task, mean over the batch."""
        return self.tasks.terms(raw, batch.modulation, batch.snr)

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """What is minimised."""
        weighted: Tensor = self.weighting(terms)
        return weighted

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Total and terms of a training batch."""
        terms = self.terms(self.answer(batch), batch)
        return self.total(terms), terms

    def predictions(self, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        """Targets and predictions of a batch by task, as the evaluation decides."""
        decided = self.decide(self.network.heads.log_probabilities(self.answer(batch)))
        return {task: (getattr(batch, task), decided[task]) for task in TASKS}

    def treat_gradients(self) -> None:
        """Nothing."""

    def weights(self) -> dict[str, float]:
        """The task weights at present."""
        return self.weighting.weights()

    def decide(self, said: Raw) -> Raw:
        """The scores whose argmax is the answer to each task."""
        return self.tasks.decide(said)

    def evaluate(self, split: str, record: Evaluate) -> dict[str, float]:
        """Losses over the split (means over frames) and the scores of its predictions."""
        self.model.eval()
        self.weighting.eval()
        data, view = self.config.data, self.config.view
        oracle = Oracle(data, view, self.device) if split == "test" and has_oracle(data, view) else None
        sums: dict[str, float] = {}
        columns: list[Tensor] = []
        with torch.no_grad():
            for batch in self.held_out(split):
                raw = self.answer(batch)
                for name, value in self.terms(raw, batch).items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(batch.snr)
                said = self.network.heads.log_probabilities(raw)
                decided = self.decide(said)
                self._record(split, batch, decided, record)
                best = [oracle.predict(batch.counts[:, view.layers.index("samples")])] if oracle else []
                columns.append(_column(batch, said, self.tasks.answers(decided), best))
            masked = self._perturbed(split) if split == "test" and view.input == "image" else []
        self._record_baselines(split, record)
        self.model.train()
        self.weighting.train()
        found = self._scored(split, sums, torch.cat(columns, 1))
        self.tables[f"{split}_perturbation"] = masked
        return found

    def _perturbed(self, split: str) -> Table:
        """What masking pixels does to the joint accuracy of the first frames of a split."""
        first = islice(self.held_out(split), -(-perturbation.FRAMES // self.config.training.batch))
        return perturbation.table(perturbation.impacts(first, self._right))

    def _right(self, batch: Batch) -> Tensor:
        """Whether modulation and SNR of each frame are both right, bool [B]."""
        decided = self.decide(self.network.heads.log_probabilities(self.answer(batch)))
        return self.tasks.answers(decided)[2] == batch.modulation * len(self.config.data.snr_db) + batch.snr

    def _record(self, split: str, batch: Batch, decided: Raw, record: Evaluate) -> None:
        for task in TASKS:
            record(split, target=getattr(batch, task), prediction=decided[task], task=task, labels=self.labels[task])

    def _record_baselines(self, split: str, record: Evaluate) -> None:
        """Once a split: they do not change."""
        if split == "val" and split not in self.recorded:
            self.recorded.add(split)
            for task, name, target, answer in references.baselines(self.frames, split):
                record(split, target=target, prediction=answer, task=task, labels=self.labels[task], baseline=name)

    def _scored(self, split: str, sums: dict[str, float], columns: Tensor) -> dict[str, float]:
        values = columns.cpu().numpy()
        modulation, snr, said_modulation, said_snr, said_pair, *best = (
            row.astype("int64") for row in (*values[:5], *values[8:])
        )
        made = Predictions(
            modulation, snr, said_modulation, said_snr, said_pair, nll=values[5], confidence=values[6],
            levels=len(self.config.data.snr_db), attainable=best[0] if best else None,
        )  # fmt: skip
        n = made.snr.size
        terms = {name: torch.tensor(value / n, device=self.device) for name, value in sums.items()}
        found = {
            "loss": float(self.total(terms).detach()),
            **{f"loss/{name}": float(value) for name, value in terms.items()},
            **scores(made, self.config.data.snr_db),
            **(intervals(made) if split == "test" else {}),
            "overflow_frac": float(values[7].sum() / (n * self.config.data.samples)),
        }
        if self.tasks.by_expectation:
            found["joint_error"] = 1 - found["joint_accuracy"]
        summary: Table = [{**found, **{f"weight_{name}": value for name, value in self.weights().items()}}]
        rows = {"scores": summary, **tables(made, self.config.data.modulations, self.config.data.snr_db)}
        self.tables = {f"{split}_{name}": table for name, table in rows.items()}
        return {f"{split}/{name}": value for name, value in found.items()}

    def draw(self, folder: Path) -> None:
        """Pictures of the finished run from its tables, and what receivers without training reach."""
        epoch = int(exports.read(folder / "tables" / "test_scores.csv")[-1]["epoch"])
        exports.add(folder / "tables", {"test_receivers": by_snr(self.frames)}, epoch)
        draw(folder, self.frames, self.picture)


def _column(batch: Batch, said: Raw, answers: Tensor, best: list[Tensor]) -> Tensor:
    """Of each frame: labels, answers, likelihood, confidence, overflow and the oracle's answer, float64 [8 or 9, B]."""
    joint = batch.modulation * said["snr"].shape[1] + batch.snr
    nll = -said["joint"].gather(1, joint[:, None])[:, 0]
    confidence = said["joint"].gather(1, answers[2][:, None])[:, 0].exp()
    rows = (batch.modulation, batch.snr, *answers, nll, confidence, batch.overflow, *best)
    return torch.stack([row.double() for row in rows])

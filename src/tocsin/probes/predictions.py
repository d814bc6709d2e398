"""Evaluations: batches of targets and predictions into sparse confusions or joint moments, on the device.

``kinds.kind_of`` reads what the user passed; what fits nothing is an error in words, kept in the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from tocsin.probes.batch_means import SMALL_CLASSES, BatchMeans, margins, seen_alone
from tocsin.probes.joint_moments import JointMoments
from tocsin.probes.kinds import UnreadableError, as_tensor, flattened, kind_of, zero_or_one
from tocsin.probes.ranking import ScoreRows
from tocsin.run import Confusion, Evaluation, Kind

DENSE_CLASSES = 1024
MOST_CLASSES = 2**20  # what a record may hold


@dataclass
class Accumulator:
    """One open evaluation of a (split, task)."""

    split: str
    task: str
    kind: Kind
    labels: tuple[str, ...] = ()
    n: Tensor | int = 0
    nonfinite: Tensor | int = 0
    past: Tensor | int = 0
    classes: int = 0
    counts: dict[tuple[int, int], int] = field(default_factory=dict)
    tables: list[Tensor] = field(default_factory=list)
    beyond: Tensor | None = None
    baseline: str = ""
    values: JointMoments = field(default_factory=JointMoments)
    means: BatchMeans = field(default_factory=BatchMeans)
    scores: ScoreRows = field(default_factory=ScoreRows)

    def add(self, target: Tensor, prediction: Tensor) -> None:
        """Take one batch.

        Raises:
            UnreadableError: The shapes do not fit the kind.
        """
        target, prediction = flattened(target.detach(), prediction.detach(), self.kind)
        if self.kind == "regression":
            self._expect(target.shape[1], "outputs")
            self.values.add(target, prediction)
        elif self.kind == "multilabel":
            self._add_labels(target, prediction)
        elif self.kind == "ids":
            self._add_ids(target.long(), prediction.long())
        else:
            self._add_classes(target, prediction)

    def _add_classes(self, target: Tensor, prediction: Tensor) -> None:
        finite = torch.isfinite(prediction.reshape(len(prediction), -1)).all(dim=1)
        if self.kind == "classes":
            size, said = prediction.shape[1], [prediction.argmax(dim=1)]
        else:
            finite &= zero_or_one(target)
            size, said = 2, [s.long() for s in self._both_ways(prediction, finite)]
        self._expect(size, "classes")
        truth = target.long()
        valid = finite & (truth >= 0) & (truth < size)
        self.past = self.past + (truth >= size).sum()
        if size > DENSE_CLASSES:
            self._add_ids(truth[valid], said[0][valid])
        else:  # the whole table stays on the device; what is out of range falls into one more cell
            cells = [torch.where(valid, truth * size + s, size * size) for s in said]
            tables = [torch.bincount(cell, minlength=size * size + 1) for cell in cells]
            self._add_tables(tables)
            if size <= SMALL_CLASSES:
                self.means.add_tables(tables, size)
            else:
                self.means.add(torch.stack([margins(truth, s, valid, size) for s in said]))
            self.scores.add(truth, prediction.reshape(len(truth), -1))
        self.nonfinite = self.nonfinite + (~finite).sum()

    def _expect(self, size: int, what: str) -> None:
        if self.classes not in (0, size):
            raise UnreadableError(f"prediction has {size} {what}, the batches before had {self.classes}")
        self.classes = size

    def _both_ways(self, prediction: Tensor, used: Tensor) -> list[Tensor]:
        """What is said if the predictions are logits, and if they are probabilities: all batches together tell."""
        outside = (((prediction < 0) | (prediction > 1)) & used).any()
        self.beyond = outside if self.beyond is None else self.beyond | outside
        return [prediction > 0.0, prediction > 0.5]

    def _add_tables(self, tables: list[Tensor]) -> None:
        self.tables = [old + new for old, new in zip(self.tables, tables, strict=True)] if self.tables else tables

    def _add_ids(self, target: Tensor, predicted: Tensor) -> None:
        keep = target >= 0  # ignore_index and friends
        both = torch.stack([target[keep], predicted[keep]])
        if both.numel() and (int(both.min()) < 0 or int(both.max()) >= MOST_CLASSES):
            raise UnreadableError(
                f"expected ids from 0 to {MOST_CLASSES - 1}, got {int(both.min())} to {int(both.max())}"
            )
        pairs, count = torch.unique(both, dim=1, return_counts=True)
        self.means.add_alone(seen_alone(pairs[0], pairs[1], count))
        for t, p, c in zip(*pairs.tolist(), count.tolist(), strict=True):
            self.counts[t, p] = self.counts.get((t, p), 0) + c
            self.classes = max(self.classes, t + 1, p + 1)

    def _add_labels(self, target: Tensor, prediction: Tensor) -> None:
        keep = torch.isfinite(prediction).all(dim=1)
        self.nonfinite = self.nonfinite + (~keep).sum()
        self._expect(prediction.shape[1], "labels")
        truth, used = target > 0.5, keep[:, None]
        tables = [_label_counts(truth, said, used) for said in self._both_ways(prediction, used)]
        self._add_tables(tables)
        self.means.add(torch.stack([_margins_of(table) for table in tables]))
        self.scores.add(target, prediction)
        self.n = self.n + keep.sum()

    def close(self, step: int, epoch: float, time: float, metrics: dict[str, float]) -> Evaluation:
        """The finished evaluation."""
        common: dict[str, Any] = {
            "split": self.split, "task": self.task, "step": step, "kind": self.kind, "epoch": epoch,
            "time": time, "metrics": metrics, "baseline": self.baseline,
        }  # fmt: skip
        if self.kind == "regression":
            moments, batchwise = self.values.close()
            n, nonfinite = int(self.values.n), int(self.values.nonfinite)
            return Evaluation(**common, n=n, nonfinite=nonfinite, moments=moments, batchwise=batchwise)
        logits = self.beyond is None or bool(self.beyond)
        common["nonfinite"] = int(self.nonfinite)
        common["batchwise"] = self.means.means(self.kind, 0 if logits else 1)
        common["auc"] = self.scores.areas()
        chosen = self.tables[0 if logits else 1] if self.tables else None
        table = None if chosen is None else chosen.cpu().numpy().astype(np.int64)
        if self.kind == "multilabel":
            return Evaluation(**common, n=int(self.n), labels_confusion=table)
        confusion = self._confusion(table)
        return Evaluation(**common, n=confusion.n, confusion=confusion)

    def _confusion(self, table: Any) -> Confusion:
        if table is not None:
            return Confusion.of(table[:-1].reshape(self.classes, self.classes), self.labels)
        cells = np.array([(t, p, c) for (t, p), c in sorted(self.counts.items())], dtype=np.int64).reshape(-1, 3)
        return Confusion(self.classes, cells[:, 0], cells[:, 1], cells[:, 2], self.labels)


def opened(
    split: str,
    task: str,
    target: Tensor,
    prediction: Tensor,
    kind: Kind | None,
    labels: Sequence[str] | None,
    baseline: str = "",
) -> Accumulator:
    """An accumulator for a first batch.

    Raises:
        UnreadableError: Its kind cannot be told, or is none.
    """
    if kind is not None and kind not in get_args(Kind):
        raise UnreadableError(f"kind is one of {', '.join(get_args(Kind))}; got {kind!r}")
    if kind is None and prediction.dim() == target.dim() + 1 and prediction.dim() > 2:
        kind = "classes" if not target.is_floating_point() else None
    names = () if labels is None else tuple(str(label) for label in labels)
    return Accumulator(split, task, kind or kind_of(target, prediction), names, baseline=baseline)


class OpenEvaluations:
    """The evaluations that no training step has closed yet, and the metrics that join them.

    Attributes:
        troubles: What only showed when evaluations were closed, by their key; the reader empties it.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, str, str], Accumulator] = {}
        self._metrics: dict[str, float] = {}
        self.troubles: list[tuple[str, UnreadableError]] = []

    def __bool__(self) -> bool:
        return bool(self._open or self._metrics)

    def add(
        self,
        split: str,
        task: str,
        target: Any,
        prediction: Any,
        kind: Kind | None,
        labels: Sequence[str] | None,
        baseline: str = "",
    ) -> None:
        """One batch of a (split, task), of the model or of a baseline.

        Raises:
            UnreadableError: It fits no kind, or not the batches before it.
        """
        t, p = as_tensor(target), as_tensor(prediction)
        if not t.numel() and not p.numel():
            return
        key = (split, task, str(baseline))
        accumulator = self._open.get(key) or opened(split, task, t, p, kind, labels, key[2])
        accumulator.add(t.to(p.device), p)
        self._open[key] = accumulator

    def metrics(self, values: dict[str, float]) -> None:
        """Numbers of the user's own; they go to every open evaluation of the model on their split."""
        self._metrics.update(values)

    def close(self, step: int, epoch: float, time: float) -> list[Evaluation]:
        """All of them, finished."""
        closed = []
        waiting, metrics = self._open, self._metrics
        self._open, self._metrics = {}, {}
        for accumulator in waiting.values():
            split = accumulator.split
            mine = {n: v for n, v in metrics.items() if "/" not in n or n.startswith((f"{split}/", f"{split}_"))}
            mine = {} if accumulator.baseline else mine
            closed.append(accumulator.close(step, epoch, time, mine))
            if past := int(accumulator.past):
                k = accumulator.classes
                error = UnreadableError(f"{past} targets are not among the {k} classes of the prediction, 0 to {k - 1}")
                self.troubles.append((closed[-1].key, error))
        return closed


def _label_counts(truth: Tensor, said: Tensor, used: Tensor) -> Tensor:
    """[K, 4]: tp, fp, fn, tn of each label, over the rows in use."""
    cells = [truth & said & used, ~truth & said & used, truth & ~said & used, ~truth & ~said & used]
    return torch.stack([c.sum(dim=0) for c in cells], dim=1)


def _margins_of(table: Tensor) -> Tensor:
    """Targets, predictions and hits of each label, [3, K], of its tp, fp, fn, tn."""
    tp, fp, fn = table[:, 0], table[:, 1], table[:, 2]
    return torch.stack([tp + fn, tp + fp, tp])

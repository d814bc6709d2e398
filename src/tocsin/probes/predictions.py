"""Evaluations: batches of targets and predictions into sparse confusions or joint moments, on the device.

``kind_of`` reads what the user passed by the table of ``Kind``; anything else is an error in words, kept in the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tocsin.run import Confusion, Evaluation, Kind, Moments

DENSE_CLASSES = 1024
SAMPLE_PAIRS = 512
MOST_OUTPUTS = 64


class UnreadableError(ValueError):
    """Target and prediction do not fit any kind; the message says what was expected and what came."""


def kind_of(target: Tensor, prediction: Tensor) -> Kind:
    """The kind of an evaluation batch, from dtypes, shapes and values.

    Raises:
        UnreadableError: Nothing fits.
    """
    t, p = tuple(target.shape), tuple(prediction.shape)
    integer = not target.is_floating_point()
    zero_one = bool(((target == 0) | (target == 1)).all())
    if not prediction.is_floating_point():
        if t == p and integer:
            return "ids"
    elif t == p and len(t) == 2 and t[1] > 1 and zero_one:
        return "multilabel"
    elif integer and len(p) == 2 and len(t) == 1 and p[1] > 1 and p[0] == t[0]:
        return "classes"
    elif integer and zero_one and target.numel() == prediction.numel():
        return "binary"
    elif not integer and (t == p or target.numel() == prediction.numel()):
        if zero_one and len(t) == 1 and p in (t, (*t, 1)):
            return "binary"
        return "regression"
    raise UnreadableError(
        f"expected target [N] of integers with prediction [N, K] or [N], or floats of equal shape; "
        f"got target {_describe(target)} and prediction {_describe(prediction)}; pass kind= if one of "
        f"'classes', 'ids', 'binary', 'multilabel', 'regression' is meant"
    )


@dataclass
class Accumulator:
    """One open evaluation of a (split, task)."""

    split: str
    task: str
    kind: Kind
    labels: tuple[str, ...] = ()
    n: Tensor | int = 0
    nonfinite: Tensor | int = 0
    classes: int = 0
    counts: dict[tuple[int, int], int] = field(default_factory=dict)
    table: Tensor | None = None
    sums: list[Tensor] = field(default_factory=list)
    pairs: Pairs = field(default_factory=lambda: Pairs())

    def add(self, target: Tensor, prediction: Tensor) -> None:
        """Take one batch.

        Raises:
            UnreadableError: The shapes do not fit the kind.
        """
        target, prediction = flattened(target.detach(), prediction.detach(), self.kind)
        if self.kind == "regression":
            self._add_values(target, prediction)
        elif self.kind == "multilabel":
            self._add_labels(target, prediction)
        elif self.kind == "ids":
            self._add_ids(target.long(), prediction.long())
        else:
            self._add_classes(target, prediction)

    def _add_classes(self, target: Tensor, prediction: Tensor) -> None:
        finite = torch.isfinite(prediction.reshape(len(prediction), -1)).all(dim=1)
        if self.kind == "classes":
            size, said = prediction.shape[1], prediction.argmax(dim=1)
        else:
            size, said = 2, (prediction > (0.5 if _is_probability(prediction) else 0.0)).long()
        if self.classes not in (0, size):
            raise UnreadableError(f"prediction has {size} classes, the batches before had {self.classes}")
        self.classes = size
        if size > DENSE_CLASSES:
            self._add_ids(target[finite], said[finite])
        else:  # the whole table stays on the device; what is out of range falls into one more cell
            truth = target.long()
            valid = finite & (truth >= 0) & (truth < size)
            cell = torch.where(valid, truth * size + said, size * size)
            table = torch.bincount(cell, minlength=size * size + 1)
            self.table = table if self.table is None else self.table + table
        self.nonfinite = self.nonfinite + (~finite).sum()

    def _add_ids(self, target: Tensor, predicted: Tensor) -> None:
        keep = target >= 0  # ignore_index and friends
        pairs, count = torch.unique(torch.stack([target[keep], predicted[keep]]), dim=1, return_counts=True)
        for t, p, c in zip(*pairs.tolist(), count.tolist(), strict=True):
            self.counts[t, p] = self.counts.get((t, p), 0) + c
            self.classes = max(self.classes, t + 1, p + 1)

    def _add_labels(self, target: Tensor, prediction: Tensor) -> None:
        keep = torch.isfinite(prediction).all(dim=1)
        self.nonfinite = self.nonfinite + (~keep).sum()
        truth, used = target > 0.5, keep[:, None]
        said = prediction > (0.5 if _is_probability(prediction[keep]) else 0.0)
        cells = [truth & said & used, ~truth & said & used, truth & ~said & used, ~truth & ~said & used]
        table = torch.stack([c.sum(dim=0) for c in cells], dim=1)
        self.table = table if self.table is None else self.table + table
        self.n = self.n + keep.sum()

    def _add_values(self, target: Tensor, prediction: Tensor) -> None:
        wide = torch.float32 if target.device.type == "mps" else torch.float64
        t, p = target[:, :MOST_OUTPUTS].to(wide), prediction[:, :MOST_OUTPUTS].to(wide)
        keep = torch.isfinite(t).all(dim=1) & torch.isfinite(p).all(dim=1)
        self.nonfinite = self.nonfinite + (~keep).sum()
        t, p = t[keep], p[keep]
        if not len(t):
            return
        self.sums.append(_batch_moments(t, p))
        self.pairs.add(t, p)
        self.n = self.n + len(t)

    def close(self, step: int, epoch: float, time: float, metrics: dict[str, float]) -> Evaluation:
        """The finished evaluation."""
        common: dict[str, Any] = {
            "split": self.split, "task": self.task, "step": step, "kind": self.kind, "epoch": epoch,
            "time": time, "nonfinite": int(self.nonfinite), "metrics": metrics,
        }  # fmt: skip
        table = None if self.table is None else self.table.cpu().numpy().astype(np.int64)
        if self.kind == "multilabel":
            return Evaluation(**common, n=int(self.n), labels_confusion=table)
        if self.kind == "regression":
            return Evaluation(**common, n=int(self.n), moments=self._moments())
        if table is not None:
            confusion = Confusion.of(table[:-1].reshape(self.classes, self.classes), self.labels)
        else:
            cells = np.array([(t, p, c) for (t, p), c in sorted(self.counts.items())], dtype=np.int64).reshape(-1, 3)
            confusion = Confusion(self.classes, cells[:, 0], cells[:, 1], cells[:, 2], self.labels)
        return Evaluation(**common, n=confusion.n, confusion=confusion)

    def _moments(self) -> tuple[Moments, ...]:
        if not self.sums:
            return ()
        n, mean, square, low, high = _merged(torch.stack(self.sums).double().cpu().numpy())
        return tuple(
            Moments(
                n=int(n),
                mean_target=float(mean[0, d]),
                mean_prediction=float(mean[1, d]),
                var_target=float(square[0, d] / n),
                var_prediction=float(square[1, d] / n),
                cov=float(square[2, d] / n),
                min_target=float(low[0, d]),
                max_target=float(high[0, d]),
                min_prediction=float(low[1, d]),
                max_prediction=float(high[1, d]),
                sample_target=self.pairs.column(d)[0],
                sample_prediction=self.pairs.column(d)[1],
                stride=self.pairs.stride,
            )
            for d in range(mean.shape[1])
        )


class Pairs:
    """A bounded systematic sample in order: every ``stride``-th pair; the stride doubles when the room is full."""

    def __init__(self) -> None:
        self.stride = 1
        self._kept: list[Tensor] = []
        self._size = 0
        self._seen = 0

    def add(self, target: Tensor, prediction: Tensor) -> None:
        """Take what falls on the stride of a batch that follows the earlier ones."""
        kept = torch.stack([target, prediction])[:, -self._seen % self.stride :: self.stride]
        self._seen += len(target)
        self._kept.append(kept)
        self._size += kept.shape[1]
        while self._size > SAMPLE_PAIRS:
            whole = torch.cat(self._kept, dim=1)[:, ::2]
            self._kept, self._size, self.stride = [whole], whole.shape[1], 2 * self.stride

    def column(self, output: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Sampled targets and predictions of one output, each shape (m,)."""
        whole = torch.cat(self._kept, dim=1)[:, :, output].double().cpu().numpy()
        return whole[0], whole[1]


def flattened(target: Tensor, prediction: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """Targets and predictions as rows: [N] with [N, K], or [N, D] each.

    Raises:
        UnreadableError: The shapes do not fit the kind.
    """
    if kind == "classes" and prediction.dim() > 2:
        prediction = prediction.movedim(1, -1).flatten(0, -2)
    if kind == "regression":
        rows = len(target) if target.dim() else 1
        target, prediction = target.reshape(rows, -1), prediction.reshape(rows, -1)
    elif kind == "multilabel":
        target, prediction = target.flatten(0, -2), prediction.flatten(0, -2)
    else:
        target = target.reshape(-1)
        prediction = prediction if kind == "classes" else prediction.reshape(-1)
    if len(target) != len(prediction) or (kind in ("regression", "multilabel") and target.shape != prediction.shape):
        raise UnreadableError(f"target has {len(target)} rows, prediction {len(prediction)}, for kind {kind!r}")
    return target, prediction


def as_tensor(value: Any) -> Tensor:
    """A tensor of what the user passed: tensors, arrays, lists."""
    return value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))


def opened(
    split: str, task: str, target: Tensor, prediction: Tensor, kind: Kind | None, labels: Sequence[str] | None
) -> Accumulator:
    """An accumulator for a first batch.

    Raises:
        UnreadableError: Its kind cannot be told.
    """
    if kind is None and prediction.dim() == target.dim() + 1 and prediction.dim() > 2:
        kind = "classes" if not target.is_floating_point() else None
    return Accumulator(split, task, kind or kind_of(target, prediction), tuple(str(x) for x in labels or ()))


class OpenEvaluations:
    """The evaluations that no training step has closed yet, and the metrics that join them."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Accumulator] = {}
        self._metrics: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._open or self._metrics)

    def add(
        self, split: str, task: str, target: Any, prediction: Any, kind: Kind | None, labels: Sequence[str] | None
    ) -> None:
        """One batch of a (split, task).

        Raises:
            UnreadableError: It fits no kind, or not the batches before it.
        """
        t, p = as_tensor(target), as_tensor(prediction)
        if (split, task) not in self._open:
            self._open[split, task] = opened(split, task, t, p, kind, labels)
        self._open[split, task].add(t.to(p.device), p)

    def metrics(self, values: dict[str, float]) -> None:
        """Numbers of the user's own; they go to every open evaluation of their split."""
        self._metrics.update(values)

    def close(self, step: int, epoch: float, time: float) -> list[Evaluation]:
        """All of them, finished."""
        closed = []
        for accumulator in self._open.values():
            split = accumulator.split
            mine = {n: v for n, v in self._metrics.items() if "/" not in n or n.startswith((f"{split}/", f"{split}_"))}
            closed.append(accumulator.close(step, epoch, time, mine))
        self._open.clear()
        self._metrics = {}
        return closed


def _batch_moments(t: Tensor, p: Tensor) -> Tensor:
    """[8 rows + count, D]: means, centred sums of squares and product, minima, maxima."""
    mt, mp = t.mean(dim=0), p.mean(dim=0)
    dt, dp = t - mt, p - mp
    n = torch.full_like(mt, len(t))
    rows = [n, mt, mp, (dt * dt).sum(0), (dp * dp).sum(0), (dt * dp).sum(0), t.amin(0), p.amin(0), t.amax(0), p.amax(0)]
    return torch.stack(rows)


def _merged(batches: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    """Batch moments combined (Chan, Golub & LeVeque 1983): n, means [2, D], sums [3, D], minima, maxima [2, D]."""
    n = batches[:, 0, 0].sum()
    weight = batches[:, 0:1, :] / n
    mean = (weight * batches[:, 1:3, :]).sum(axis=0)
    dt, dp = batches[:, 1] - mean[0], batches[:, 2] - mean[1]
    apart = np.stack([dt * dt, dp * dp, dt * dp], axis=1) * batches[:, 0:1, :]
    square = (batches[:, 3:6, :] + apart).sum(axis=0)
    return n, mean, square, batches[:, 6:8].min(axis=0), batches[:, 8:10].max(axis=0)


def _is_probability(prediction: Tensor) -> bool:
    return bool(((prediction >= 0) & (prediction <= 1)).all()) if prediction.numel() else False


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"

"""Evaluations: batches of targets and predictions into sparse confusions or joint moments, on the device.

``kind_of`` reads what the user passed by the table of ``Kind``; anything else is an error in words, kept in the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from tocsin.run import Confusion, Evaluation, Kind, Moments

DENSE_CLASSES = 1024
MOST_CLASSES = 2**20  # what a record may hold
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
        if zero_one and (len(t) == 1 or t[1:] == (1,)) and p in (t, (*t, 1)):
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
    past: Tensor | int = 0
    classes: int = 0
    counts: dict[tuple[int, int], int] = field(default_factory=dict)
    tables: list[Tensor] = field(default_factory=list)
    beyond: Tensor | None = None
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
            size, said = prediction.shape[1], [prediction.argmax(dim=1)]
        else:
            finite &= _zero_or_one(target)
            size, said = 2, [s.long() for s in self._both_ways(prediction, finite)]
        self._expect(size, "classes")
        truth = target.long()
        valid = finite & (truth >= 0) & (truth < size)
        self.past = self.past + (truth >= size).sum()
        if size > DENSE_CLASSES:
            self._add_ids(truth[valid], said[0][valid])
        else:  # the whole table stays on the device; what is out of range falls into one more cell
            cells = [torch.where(valid, truth * size + s, size * size) for s in said]
            self._add_tables([torch.bincount(cell, minlength=size * size + 1) for cell in cells])
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
        for t, p, c in zip(*pairs.tolist(), count.tolist(), strict=True):
            self.counts[t, p] = self.counts.get((t, p), 0) + c
            self.classes = max(self.classes, t + 1, p + 1)

    def _add_labels(self, target: Tensor, prediction: Tensor) -> None:
        keep = torch.isfinite(prediction).all(dim=1)
        self.nonfinite = self.nonfinite + (~keep).sum()
        self._expect(prediction.shape[1], "labels")
        truth, used = target > 0.5, keep[:, None]
        self._add_tables([_label_counts(truth, said, used) for said in self._both_ways(prediction, used)])
        self.n = self.n + keep.sum()

    def _add_values(self, target: Tensor, prediction: Tensor) -> None:
        wide = torch.float32 if target.device.type == "mps" else torch.float64
        self._expect(target.shape[1], "outputs")
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
        logits = self.beyond is None or bool(self.beyond)
        chosen = self.tables[0 if logits else 1] if self.tables else None
        table = None if chosen is None else chosen.cpu().numpy().astype(np.int64)
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
    rows_of_many = kind in ("classes", "multilabel")
    if rows_of_many and (prediction.dim() < 2 or (kind == "multilabel" and target.dim() < 2)):
        raise UnreadableError(f"prediction {_describe(prediction)} is no [N, K], which kind {kind!r} needs")
    if kind == "classes" and prediction.dim() > 2:
        last = prediction.shape[:-1] == target.shape != (prediction.shape[:1] + prediction.shape[2:])
        prediction = (prediction if last else prediction.movedim(1, -1)).flatten(0, -2)
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
    """A tensor of what the user passed: tensors, arrays, lists.

    Raises:
        UnreadableError: It holds no real numbers.
    """
    if isinstance(value, Tensor):
        tensor = value
    else:
        array = np.array(value, order="C")  # a copy: torch takes no read-only, reversed or byte-swapped array
        if array.dtype.kind not in "biufc":
            raise UnreadableError(f"expected numbers or bools, got an array of {array.dtype}")
        tensor = torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
    if tensor.is_complex():
        raise UnreadableError("expected real numbers, got complex ones; pass torch.view_as_real of both")
    return tensor


def opened(
    split: str, task: str, target: Tensor, prediction: Tensor, kind: Kind | None, labels: Sequence[str] | None
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
    return Accumulator(split, task, kind or kind_of(target, prediction), names)


class OpenEvaluations:
    """The evaluations that no training step has closed yet, and the metrics that join them.

    Attributes:
        troubles: What only showed when evaluations were closed, by their key; the reader empties it.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Accumulator] = {}
        self._metrics: dict[str, float] = {}
        self.troubles: list[tuple[str, UnreadableError]] = []

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
        if not t.numel() and not p.numel():
            return
        accumulator = self._open.get((split, task)) or opened(split, task, t, p, kind, labels)
        accumulator.add(t.to(p.device), p)
        self._open[split, task] = accumulator

    def metrics(self, values: dict[str, float]) -> None:
        """Numbers of the user's own; they go to every open evaluation of their split."""
        self._metrics.update(values)

    def close(self, step: int, epoch: float, time: float) -> list[Evaluation]:
        """All of them, finished."""
        closed = []
        waiting, metrics = self._open, self._metrics
        self._open, self._metrics = {}, {}
        for accumulator in waiting.values():
            split = accumulator.split
            mine = {n: v for n, v in metrics.items() if "/" not in n or n.startswith((f"{split}/", f"{split}_"))}
            closed.append(accumulator.close(step, epoch, time, mine))
            if past := int(accumulator.past):
                k = accumulator.classes
                error = UnreadableError(f"{past} targets are not among the {k} classes of the prediction, 0 to {k - 1}")
                self.troubles.append((closed[-1].key, error))
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


def _label_counts(truth: Tensor, said: Tensor, used: Tensor) -> Tensor:
    """[K, 4]: tp, fp, fn, tn of each label, over the rows in use."""
    cells = [truth & said & used, ~truth & said & used, truth & ~said & used, ~truth & ~said & used]
    return torch.stack([c.sum(dim=0) for c in cells], dim=1)


def _zero_or_one(target: Tensor) -> Tensor:
    """Where a binary target is finite.

    Raises:
        UnreadableError: A float one holds other numbers: the first batch alone made it look binary.
    """
    finite = torch.isfinite(target)
    if target.is_floating_point() and not bool(((target == 0) | (target == 1) | ~finite).all()):
        raise UnreadableError("expected targets 0 and 1 of kind 'binary', got others; pass kind='regression'")
    return finite


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"

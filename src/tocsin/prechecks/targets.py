"""Targets that are all the same or NaN, and classes that only the evaluation has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin import stats
from tocsin.findings import Evidence, Finding, Remedy
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.samples import Samples
from tocsin.prechecks.setup import Batch
from tocsin.probes.inputs import tensors_in

MOST_COLUMNS = 64
RARE = 0.01
_SHOWN = 5
IN_WORDS = {"train": "training", "val": "evaluation"}
REMEDIES = (
    Remedy("Look at one batch as the model gets it: minimum, maximum, NaN, the targets' distinct values"),
    Remedy("Check the decoding, the division by a zero sd or range, and the mask that selects the samples"),
)


@dataclass(frozen=True)
class Unknown:
    """Evaluation samples of classes that training lacks.

    Attributes:
        classes: Those classes.
        count: Their evaluation samples.
        n: All evaluation samples.
        disjoint: The splits share no class: meant so, as in retrieval and metric learning.
    """

    classes: tuple[int, ...]
    count: int
    n: int
    disjoint: bool

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share."""
        return stats.wilson(self.count, self.n)


def only_value(target: Tensor) -> float | None:
    """The one value that all targets have, NaN where all are; None where they differ."""
    flat = target.reshape(-1).double()
    if not len(flat):
        return None
    first = flat[0]
    same = torch.isnan(flat).all() if torch.isnan(first) else (flat == first).all()
    return float(first) if bool(same) else None


def constant_columns(target: Tensor) -> list[int]:
    """Columns of a vector target [n, d] that do not vary while others do."""
    if target.dim() != 2 or not 2 <= target.shape[1] <= MOST_COLUMNS:
        return []
    rows = target.double()
    same: NDArray[np.bool_] = (rows == rows[0]).all(dim=0).numpy()
    return [int(k) for k in np.flatnonzero(same)] if not same.all() else []


def unknown_classes(train: Tensor, held: Tensor) -> Unknown | None:
    """``Unknown``; None where the targets are no classes or all are known."""
    if train.is_floating_point() or held.is_floating_point() or train.dim() != 1 or held.dim() != 1:
        return None
    a, b = (target.to(torch.int64).numpy() for target in (train, held))
    new = ~np.isin(b, a)
    if not new.any():
        return None
    return Unknown(tuple(int(c) for c in np.unique(b[new])), int(new.sum()), len(b), bool(new.all()))


def first(bench: Bench, split: str) -> list[Batch]:
    """The first batches of this split."""
    return bench.train if split == "train" else bench.val


def finite_loss(bench: Bench, split: str, batch: Batch) -> bool:
    """Whether the loss of this batch is finite, the model in the mode of the split."""
    bench.model.train(split == "train")
    return math.isfinite(bench.numbers(batch)["total"])


def same_targets(bench: Bench, split: str, samples: Samples, other: Samples | None) -> Iterator[Finding]:
    """Findings on targets that are all one value, constant components, and NaN that reach the loss."""
    for task, target in samples.targets.items():
        value, columns, subject = only_value(target), constant_columns(target), f"{split}/{task}"
        if value is not None:
            beside = other.targets.get(task) if other is not None else None
            varied = split == "train" and beside is not None and only_value(beside) is None
            meant = varied or (split == "val" and not samples.whole)
            message = f"all {len(target)} {IN_WORDS[split]} targets of {task} are {value:.6g}"
            message += "" if samples.whole else ", as far as was looked"
            evidence = (Evidence(f"setup:{split}", value, 0, text="the only target"),)
            yield Finding(message, subject, 0, evidence, REMEDIES, severity="note" if meant else "warning")
        elif columns:
            shown = ", ".join(map(str, columns[:_SHOWN])) + (" ..." if len(columns) > _SHOWN else "")
            message = (
                f"{len(columns)} of {target.shape[1]} components of the {IN_WORDS[split]} targets of {task} are "
                f"constant in {len(target)} samples: {shown}"
            )
            evidence = (Evidence(f"setup:{split}", float(len(columns)), 0, text="constant components"),)
            yield Finding(message, subject, 0, evidence, REMEDIES, severity="note")
        if value is None and target.is_floating_point() and bool(torch.isnan(target).any()):
            yield from _nan_targets(bench, split, task, target)


def _nan_targets(bench: Bench, split: str, task: str, target: Tensor) -> Iterator[Finding]:
    """Some targets are NaN, and the loss does not leave them out."""
    with_nan = [
        b for b in first(bench, split) if any(torch.isnan(t).any() for t in tensors_in(b) if t.is_floating_point())
    ]
    if all(finite_loss(bench, split, batch) for batch in with_nan):
        return
    hit = int(torch.isnan(target).reshape(len(target), -1).any(dim=1).sum())
    share = stats.wilson(hit, len(target))
    message = (
        f"{hit} of {len(target)} {IN_WORDS[split]} targets of {task} ({hit / len(target):.1%}) are NaN, and so is the "
        "loss of the first batches with some"
    )
    evidence = (Evidence(f"setup:{split}", hit / len(target), 0, 0.0, share, "share of targets that are NaN"),)
    yield Finding(message, f"{split}/{task}", 0, evidence, REMEDIES, severity="error")


def new_classes(train: Samples, held: Samples) -> Iterator[Finding]:
    """Findings on classes of the evaluation that no training sample has."""
    for task in train.targets.keys() & held.targets.keys():
        found: Unknown | None = unknown_classes(train.targets[task], held.targets[task])
        if found is None:
            continue
        shown = ", ".join(map(str, found.classes[:_SHOWN])) + (" ..." if len(found.classes) > _SHOWN else "")
        message = (
            f"{found.count} of {found.n} evaluation targets of {task} ({found.count / found.n:.1%}) are of "
            f"{len(found.classes)} classes that none of the {len(train)} training samples has: {shown}"
        )
        message += "; the splits share no class" if found.disjoint else ""
        rare = found.disjoint or found.interval[0] < RARE
        said = Evidence("setup:val", found.count / found.n, 0, RARE, found.interval, "share of unknown classes")
        yield Finding(message, f"classes/{task}", 0, (said,), REMEDIES[:1], severity="note" if rare else "warning")

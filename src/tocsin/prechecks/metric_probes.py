"""Metric functions on answers made from the real targets: perfect, in a wrong order, and always the same."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from tocsin.prechecks.bench import Bench
from tocsin.prechecks.loss_looks import Floats, Rows, kind_by_position, rows_of
from tocsin.probes.kinds import UnreadableError
from tocsin.run import Kind

SURE = 10.0  # logit of an answer that is certain
MOST = 4096
Answer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Probe:
    """One metric and one task: the pooled targets, and the form of predictions that the metric takes.

    Attributes:
        name: The metric.
        task: The task whose targets and predictions it is given.
        target: Of all batches, [n, ...].
        real: What the model predicts, in the form of ``predict``; None where the metric takes another form.
        answer: Makes a prediction that says these targets, in the form that the metric takes.
        sizes: Samples of each batch.
        score: The metric; NaN where it raises or gives no number.
    """

    name: str
    task: str
    target: Tensor
    real: Tensor | None
    answer: Answer
    sizes: tuple[int, ...]
    score: Callable[[Tensor, Tensor], float]

    @property
    def varied(self) -> bool:
        """Whether the targets differ among the samples: otherwise every order is right."""
        return len(self.target) > 1 and bool((self.target != self.target[:1]).any())

    def shuffled(self, seed: int, share: float = 1.0) -> Tensor:
        """Perfect answers of which ``share`` stand at other samples."""
        order = torch.arange(len(self.target))
        generator = torch.Generator().manual_seed(seed)
        moved = torch.randperm(len(order), generator=generator)[: max(2, round(share * len(order)))]
        order[moved] = moved.roll(1)
        return self.answer(self.target)[order]


_KEPT: WeakKeyDictionary[Bench, tuple[list[Probe], list[str]]] = WeakKeyDictionary()


def probes_of(bench: Bench) -> tuple[list[Probe], list[str]]:
    """A probe for each metric that can be called, and why the others cannot."""
    if bench not in _KEPT:
        with bench.restored():
            bench.model.eval()
            _KEPT[bench] = _probes(bench)
    return _KEPT[bench]


def _probes(bench: Bench) -> tuple[list[Probe], list[str]]:
    pairs = [bench.predictions(batch) for batch in bench.val or bench.train]
    always = [task for task in pairs[0] if all(task in pair for pair in pairs)]
    found: list[Probe] = []
    unable: list[str] = []
    for name, metric in bench.setup.metrics.items():
        tasks = [t for t in always if t.lower() in name.lower()] or always
        if len(tasks) > 1:
            unable.append(f"{name} names none of the tasks {', '.join(tasks)}")
            continue
        probe = _probe(name, metric, tasks[0], [p[tasks[0]] for p in pairs]) if tasks else None
        if probe is None:
            unable.append(f"{name} takes none of the forms that were tried: as predict gives them, ids, logits")
        else:
            found.append(probe)
    return found, unable


def _probe(name: str, metric: Any, task: str, pairs: list[tuple[Tensor, Tensor]]) -> Probe | None:
    pairs = [(t.detach().cpu(), p.detach().cpu()) for t, p in pairs]
    if any(not t.dim() or len(t) != len(p) for t, p in pairs if p.dim()) or not all(p.dim() for _, p in pairs):
        return None
    try:
        target, real = torch.cat([t for t, _ in pairs])[:MOST], torch.cat([p for _, p in pairs])[:MOST]
        kind = kind_by_position(target, real)
    except (RuntimeError, UnreadableError):
        return None
    sizes = tuple(len(t) for t, _ in pairs)

    def score(t: Tensor, p: Tensor) -> float:
        return _number(metric, t, p)

    rows = rows_of(pairs)
    for given, answer in _answers(kind, target, real, rows):
        if _takes(metric, target, answer(target)):
            return Probe(name, task, target, real if given else None, answer, sizes, score)
    return None


def _answers(kind: Kind, target: Tensor, real: Tensor, rows: Rows | None) -> Iterator[tuple[bool, Answer]]:
    """Ways to say a target, the form of ``predict`` first (True), then ids, then logits."""
    sure = rows is not None and rows.form == "probabilities"
    if kind == "classes":
        last = real.shape[:-1] == target.shape
        size = real.shape[-1 if last else 1]
        yield True, lambda t: _placed(_one_hot(t, size, real.dtype, sure), last)
        yield False, lambda t: t.clone()
    elif kind in ("binary", "multilabel") and real.is_floating_point():
        yield (
            True,
            lambda t: (t.to(real.dtype) if sure else (2 * t.to(real.dtype) - 1) * SURE).reshape(-1, *real.shape[1:]),
        )
        yield False, lambda t: t.clone()
    else:
        yield True, lambda t: t.to(real.dtype).reshape(-1, *real.shape[1:]).clone()
        if kind == "ids" and not real.is_floating_point():
            yield False, lambda t: _one_hot(t, int(t.max()) + 1, torch.float32, False)


def _one_hot(t: Tensor, classes: int, dtype: torch.dtype, sure: bool) -> Tensor:
    hot = torch.nn.functional.one_hot(t.long().clamp_min(0), max(classes, 2)).to(dtype)
    return hot if sure else SURE * hot


def _placed(hot: Tensor, last: bool) -> Tensor:
    """Classes last, or second as in images."""
    return hot if last else hot.movedim(-1, 1)


def _takes(metric: Any, target: Tensor, prediction: Tensor) -> bool:
    try:
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):
            float(metric(target.clone(), prediction.clone()))
    except Exception:  # the user's function: another form is tried
        return False
    return True


def _number(metric: Any, target: Tensor, prediction: Tensor) -> float:
    try:
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):
            return float(metric(target.clone(), prediction.clone()))
    except Exception:  # undefined here, such as an AUC of one class
        return math.nan


def scores(values: Iterator[float]) -> Floats:
    """Those that are numbers."""
    made = np.array(list(values), np.float64)
    return made[np.isfinite(made)]

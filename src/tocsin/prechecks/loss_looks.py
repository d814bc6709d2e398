"""Loss terms, targets and predictions of the first batches in evaluation mode, and what form the predictions have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.prechecks.bench import Bench
from tocsin.prechecks.setup import SetupError
from tocsin.probes.kinds import UnreadableError, flattened, kind_of
from tocsin.run import Kind

Floats = NDArray[np.float64]
Form = Literal["logits", "probabilities", "log-probabilities", "values"]
_ONE = 1e-4  # by which rows of probabilities may miss a sum of 1
FEWEST = 3


@dataclass(frozen=True)
class Looks:
    """Terms and rows of the first batches, the model in evaluation mode: nothing is random.

    Attributes:
        terms: Value of each term (``total`` too) by batch.
        tasks: Rows by task.
    """

    terms: Mapping[str, Floats]
    tasks: Mapping[str, Rows]


@dataclass(frozen=True)
class Rows:
    """Targets and predictions of a task by batch, in double precision, and what form the predictions have."""

    kind: Kind
    form: Form
    target: list[Tensor]
    prediction: list[Tensor]
    samples: list[int]


_KEPT: WeakKeyDictionary[Bench, Looks | str] = WeakKeyDictionary()


def looks_of(bench: Bench) -> Looks | str:
    """The looks, or why there are none."""
    if bench not in _KEPT:
        with bench.restored():
            bench.model.eval()
            _KEPT[bench] = _looks(bench)
    return _KEPT[bench]


def _looks(bench: Bench) -> Looks | str:
    try:
        found = [{n: float(v.detach()) for n, v in bench.terms(batch).items()} for batch in bench.train]
    except SetupError as error:
        return f"the losses cannot be computed in evaluation mode: {error}"
    pairs = [bench.predictions(batch) for batch in bench.train]
    names = [n for n in found[0] if all(n in one for one in found)]
    tasks = {task: rows_of([pair[task] for pair in pairs]) for task in pairs[0] if all(task in p for p in pairs)}
    return Looks(
        {n: np.array([one[n] for one in found]) for n in names}, {t: r for t, r in tasks.items() if r is not None}
    )


def rows_of(pairs: list[tuple[Tensor, Tensor]]) -> Rows | None:
    """Targets and predictions as rows; None where they fit no kind, are not finite, or are ids."""
    try:
        kind = kind_by_position(*pairs[0])
        flat = [flattened(t.detach().cpu(), p.detach().cpu().double(), kind) for t, p in pairs]
    except UnreadableError:
        return None
    if kind == "ids" or not all(bool(torch.isfinite(p).all()) and p.numel() for _, p in flat):
        return None
    if kind == "classes":
        flat = [(t[t >= 0].long(), p[t >= 0]) for t, p in flat]
        if not all(len(t) and int(t.max()) < p.shape[1] for t, p in flat):
            return None
    else:
        flat = [(t.double(), p) for t, p in flat]
    prediction = [p for _, p in flat]
    samples = [len(t) if t.dim() else 1 for t, _ in pairs]
    return Rows(kind, _form(kind, torch.cat(prediction)), [t for t, _ in flat], prediction, samples)


def kind_by_position(target: Tensor, prediction: Tensor) -> Kind:
    """As ``kind_of``, and classes by position: [N, T] integers with [N, T, K] or [N, K, T]."""
    several = prediction.is_floating_point() and not target.is_floating_point()
    if several and target.dim() > 1 and prediction.dim() == target.dim() + 1:
        return "classes"
    return kind_of(target, prediction)


def _form(kind: Kind, p: Tensor) -> Form:
    if kind == "regression":
        return "values"
    inside = bool(((p >= 0) & (p <= 1)).all())
    if kind != "classes":
        return "probabilities" if inside else "logits"
    if inside and bool(((p.sum(1) - 1).abs() < _ONE).all()):
        return "probabilities"
    below = bool((p <= _ONE).all()) and bool(((p.exp().sum(1) - 1).abs() < _ONE).all())
    return "log-probabilities" if below else "logits"

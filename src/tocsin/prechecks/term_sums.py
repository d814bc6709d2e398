"""Loss terms over batches and sets of weights, and of which of them the total is a sum."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.prechecks.bench import Bench

Floats = NDArray[np.float64]
SETS = 4  # sets of weights: as initialised, and shuffled
SECONDS = 1.0
ROUNDING = 1e-5  # of a sum's size: some hundred float32 roundings
_SPARE = 3  # rows more than unknowns


@dataclass(frozen=True)
class Table:
    """Values of the terms, one row for each batch and set of weights; those of the initial weights come first.

    Attributes:
        names: The terms other than ``total``.
        total: [rows].
        terms: [rows, terms].
        batches: Rows of the initial weights.
        moved: Whether a term changes with the weights on the same batch, [terms].
    """

    names: tuple[str, ...]
    total: Floats
    terms: Floats
    batches: int
    moved: NDArray[np.bool_]

    @property
    def enough(self) -> bool:
        """Whether there are rows to spare: a sum of made-up terms does not fit them."""
        return self.total.size >= len(self.names) + 1 + _SPARE

    def share(self, name: str, weight: float) -> float:
        """Spread of a weighted term over that of the total, on the initial weights."""
        spread = float(self.total[: self.batches].std())
        own = abs(weight) * float(self.terms[: self.batches, self.names.index(name)].std())
        return own / spread if spread > 0 else math.inf if own > 0 else 0.0


@dataclass(frozen=True)
class Sum:
    """``total`` = constant + sum of weight times term, for the terms that it needs; ``miss`` is relative."""

    weights: dict[str, float]
    constant: float
    miss: float
    rows: int


_KEPT: WeakKeyDictionary[Bench, Table | None] = WeakKeyDictionary()


def term_table(bench: Bench) -> Table | None:
    """The table; None where fewer than two terms are named, values are not finite, or names change by batch."""
    if bench not in _KEPT:
        _KEPT[bench] = _table(bench)
    return _KEPT[bench]


def _table(bench: Bench) -> Table | None:
    rows: list[dict[str, float]] = []
    started = time.perf_counter()
    for k in range(SETS):
        if k > 1 and time.perf_counter() - started > SECONDS * k / SETS:
            break
        with bench.restored(), _shuffled(bench, k):
            rows += [_numbers(bench, batch, seed) for seed, batch in enumerate(bench.train)]
        if len(rows[0]) < 2:
            return None
    names = tuple(name for name in rows[0] if name != "total")
    if any(set(row) != set(rows[0]) for row in rows):
        return None
    terms = np.array([[row[name] for name in names] for row in rows])
    total = np.array([row["total"] for row in rows])
    if not (np.isfinite(terms).all() and np.isfinite(total).all()):
        return None
    n = len(bench.train)
    again = terms.reshape(-1, n, len(names))
    return Table(names, total, terms, n, (again != again[:1]).any(axis=(0, 1)))


def _numbers(bench: Bench, batch: Any, seed: int) -> dict[str, float]:
    torch.manual_seed(seed)  # the same dropout for each set of weights
    bench.model.train()
    given = {name: v.detach() if isinstance(v, Tensor) else v for name, v in bench.values(batch).items()}
    return {name: float(v) for name, v in given.items() if is_number(v)}


def is_number(value: Any) -> bool:
    """Whether this is one number, as a tensor or plain."""
    scalar = isinstance(value, Tensor) and value.numel() == 1
    return scalar or (isinstance(value, int | float) and not isinstance(value, bool))


@contextmanager
def _shuffled(bench: Bench, seed: int) -> Iterator[None]:
    """Entries of each trainable matrix in another order, and noise: another network of the same scale.

    Vectors stay as they are: learned weights of the terms are among them.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in matrices(bench).values() if seed else ():
            flat = p.detach().cpu().flatten()
            noise = torch.randn(flat.shape, generator=generator).to(flat.dtype)
            inputs = p[0].numel() if p.dim() else 1
            size = max(float(flat.abs().float().square().mean().sqrt()), 0.1 / math.sqrt(inputs))
            mixed = flat[torch.randperm(flat.numel(), generator=generator)] + 0.3 * size * noise
            p.copy_(mixed.reshape(p.shape))
    yield


def matrices(bench: Bench) -> dict[str, torch.nn.Parameter]:
    """The trainable tensors of two dimensions and more; all, where there are none."""
    found = {name: p for name, p in bench.trainable.items() if p.dim() > 1 and p.numel()}
    return found or {name: p for name, p in bench.trainable.items() if p.numel()}


def as_sum(table: Table, spare: Iterable[str] = ()) -> Sum | None:
    """The total as a sum of its terms, to within rounding; None where it is none, or where rows are too few.

    A term that the sum does without is left out, those in ``spare`` before others.
    """
    first = set(spare)
    wanted = list(table.names)
    found = _fit(table, wanted)
    if found is None:
        return None
    for name in sorted(table.names, key=lambda name: name not in first):
        fewer = _fit(table, [n for n in wanted if n != name])
        if fewer is not None:
            wanted.remove(name)
            found = fewer
    return found


def _fit(table: Table, wanted: Sequence[str]) -> Sum | None:
    rows = table.total.size
    if rows < len(wanted) + 1 + _SPARE:
        return None
    columns = np.column_stack([table.terms[:, [table.names.index(n) for n in wanted]], np.ones(rows)])
    sizes = np.abs(columns).max(axis=0)
    sizes[sizes == 0] = 1.0
    weights = np.linalg.lstsq(columns / sizes, table.total, rcond=1e-10)[0] / sizes
    scale = np.abs(columns) @ np.abs(weights) + np.abs(table.total)
    miss = float((np.abs(table.total - columns @ weights) / np.where(scale > 0, scale, 1.0)).max())
    if not miss <= ROUNDING:
        return None
    return Sum(dict(zip(wanted, weights.tolist(), strict=False)), float(weights[-1]), miss, rows)

"""How hard each loss term pulls at the weights of the first batches: products of the terms' gradients."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.prechecks.bench import Bench
from tocsin.prechecks.entries import entries
from tocsin.prechecks.over_batches import FEWEST
from tocsin.prechecks.setup import Batch
from tocsin.prechecks.term_sums import Table, as_sum, is_number, matrices
from tocsin.probes.measures import dense
from tocsin.probes.terms import hides, reaches

Floats = NDArray[np.float64]
Gradients = list[Tensor | None]
SECONDS = 1.0


@dataclass(frozen=True)
class Pulls:
    """Gradients of the terms at the initial weights, the model in training mode.

    Attributes:
        names: Terms with a path to a trainable tensor.
        cut: Terms without one.
        largest: The largest gradient entry of each of ``names`` over the batches.
        whole: Products of the gradients of total and ``names`` over all matrices, [batches, 1 + k, 1 + k].
        shared: The same of ``names`` over the matrices that the most of them reach, [batches, k, k].
        trunk: Names of those matrices; none where no two terms share one.
        entering: d total / d term for the terms that total is computed from, the mean over the batches.
    """

    names: tuple[str, ...]
    cut: tuple[str, ...]
    largest: dict[str, float]
    whole: Floats
    shared: Floats
    trunk: tuple[str, ...]
    entering: dict[str, float]

    def weights(self, table: Table | None) -> dict[str, float] | None:
        """The weight of each term in the total: by the graph, else by an exact sum; None where neither tells."""
        found = None if table is None else as_sum(table, self.cut)
        known = {**({} if found is None else found.weights), **self.entering}
        return None if found is None and any(n not in known for n in self.names) else known

    @property
    def norms(self) -> Floats:
        """Norm of each term's gradient at the trunk, [batches, k]."""
        size: Floats = np.sqrt(np.maximum(np.diagonal(self.shared, axis1=1, axis2=2), 0.0))
        return size

    def unexplained(self, weights: dict[str, float]) -> float:
        """Share of the total's gradient that the weighted gradients of its terms leave over; the largest of all."""
        c = np.array([1.0, *(-weights.get(name, 0.0) for name in self.names)])
        left = np.einsum("i,bij,j->b", c, self.whole, c)
        total = self.whole[:, 0, 0]
        return float(np.sqrt(np.maximum(left, 0.0) / np.where(total > 0, total, 1.0)).max())


_KEPT: WeakKeyDictionary[Bench, Pulls | str] = WeakKeyDictionary()


def term_pulls(bench: Bench) -> Pulls | str:
    """The pulls over the first batches, or why there are none."""
    if bench not in _KEPT:
        with bench.restored():
            _KEPT[bench] = _pulls(bench)
    return _KEPT[bench]


def shared_pulls(bench: Bench) -> Pulls | str:
    """The same where two terms reach one matrix in ``FEWEST`` batches, or why they do not."""
    pulls = term_pulls(bench)
    if isinstance(pulls, str):
        return pulls
    enough = pulls.trunk and len(pulls.whole) >= FEWEST
    return pulls if enough else f"needs two terms that reach the same matrix, in {FEWEST} batches"


def _pulls(bench: Bench) -> Pulls | str:
    held = [*matrices(bench).values()]
    held += [p for p in bench.trainable.values() if all(p is not q for q in held)]
    looks: list[_Look] = []
    started = time.perf_counter()
    for batch in bench.train:
        if len(looks) >= FEWEST and time.perf_counter() - started > SECONDS:
            break
        found = _gradients(bench, batch, held)
        if isinstance(found, str):
            return found
        looks.append(found)
    if len({frozenset(look.gradients) for look in looks}) > 1:
        return "the terms with a gradient path change from batch to batch"
    return _joined(looks, list(matrices(bench)))


@dataclass(frozen=True)
class _Look:
    """One batch: gradients of total and of each term that has a path, names of those without, weights in the total."""

    gradients: dict[str, Gradients]
    cut: tuple[str, ...]
    entering: dict[str, float]


def _gradients(bench: Bench, batch: Batch, held: Sequence[torch.nn.Parameter]) -> _Look | str:
    bench.model.train()
    given = bench.values(batch)
    terms = {name: term for name, term in given.items() if isinstance(term, Tensor) and term.numel() == 1}
    total = terms.pop("total")
    if not terms:
        return "needs named terms beside the total"
    if not total.requires_grad:
        return "the total has no gradient"
    if any(hides(term) for term in (total, *terms.values())):
        return "part of the graph is out of sight: a re-entrant checkpoint"
    mine = {id(p) for p in held}
    live = {name: term for name, term in terms.items() if term.requires_grad and reaches(term, mine)}
    cut = tuple(name for name, value in given.items() if name not in live and name != "total" and is_number(value))
    found: dict[str, Gradients] = {}
    for name, term in {"total": total, **live}.items():
        each = torch.autograd.grad(term.sum(), held, retain_graph=True, allow_unused=True)
        found[name] = [None if g is None else g.detach() for g in each]
    return _Look(found, cut, _entering(total, live))


def _entering(total: Tensor, live: dict[str, Tensor]) -> dict[str, float]:
    if not live:
        return {}
    given = torch.autograd.grad(total.sum(), list(live.values()), retain_graph=True, allow_unused=True)
    return {name: float(g.sum()) for name, g in zip(live, given, strict=True) if g is not None}


def _joined(found: list[_Look], kept: list[str]) -> Pulls:
    looks = [look.gradients for look in found]
    names = tuple(name for name in looks[0] if name != "total")
    counted = [sum(looks[0][n][i] is not None for n in names) for i in range(len(kept))]
    most = max(counted, default=0)
    at = [i for i, n in enumerate(counted) if n == most] if most >= 2 else []
    return Pulls(
        names=names,
        cut=found[0].cut,
        largest={n: max(_largest(look[n]) for look in looks) for n in names},
        whole=np.stack([_products([look["total"], *(look[n] for n in names)], range(len(kept))) for look in looks]),
        shared=np.stack([_products([look[n] for n in names], at) for look in looks]),
        trunk=tuple(kept[i] for i in at),
        entering={
            n: float(np.mean([look.entering[n] for look in found]))
            for n in names
            if all(n in look.entering for look in found)
        },
    )


def _largest(gradients: Gradients) -> float:
    return max((float(dense(g).abs().max()) for g in gradients if g is not None and dense(g).numel()), default=0.0)


def _products(gradients: Sequence[Gradients], at: Sequence[int]) -> Floats:
    """Inner products of several gradients over some tensors; in double precision, since they are subtracted."""
    made = np.zeros((len(gradients), len(gradients)))
    for i in at:
        rows = [None if one is None else entries(one).numpy() for one in (g[i] for g in gradients)]
        size = max((len(r) for r in rows if r is not None), default=0)
        table = np.stack([np.zeros(size) if r is None else r for r in rows])
        made += table @ table.T
    return made

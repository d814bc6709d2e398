"""Loss terms: whether each has a gradient path to a parameter, and how hard each pulls at the trunk."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from tocsin.probes import measures
from tocsin.probes.tensors import Tensors

Values = dict[str, Tensor | float]
MOST_NODES = 200_000
MOST_PAIRED, COSINE_ENTRIES = 8, 65536
LITTLE, TRUNK_SHARE, COSINE_SHARE = 2**22, 0.004, 0.002


class TermGradients:
    """Walks the autograd graph of each term, and on demand differentiates it at the trunk.

    The trunk is the last weight matrix, in the order of ``named_parameters``, that the most terms reach. In a model of
    more than ``LITTLE`` parameters it is one that holds at most ``TRUNK_SHARE`` of them, so that its gradient is small
    beside the model. Where there is none, it is the last such vector: if anything normalises, only a ``weight``, since
    a bias that a normalisation takes away again has no gradient. At the worst it is the last matrix, however large.
    Nothing of a graph is kept past the call.
    """

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self.trunk: str | None = None
        self.off: str | None = None

    def paths(self, terms: Mapping[str, Any]) -> Values:
        """1 or 0 for each term that is a tensor; floats say nothing, nor do graphs that hide a part of themselves."""
        mine = {id(p) for p in self.tensors.all.values() if p.requires_grad} | self.tensors.optimized()
        tensors = {name: term for name, term in terms.items() if isinstance(term, Tensor)}
        found = {name: reaches(term, mine) for name, term in tensors.items()}
        return {f"loss/path/{name}": float(yes) for name, yes in found.items() if yes or not hides(tensors[name])}

    def trunk_norms(self, terms: Mapping[str, Any], scale: float) -> Values:
        """L2 norm of each connected term's gradient at the trunk, and the cosine of each pair.

        Needs at least two such terms and a live graph; at most the first ``MOST_PAIRED`` terms are paired.
        ``scale`` is the loss scale: differentiating the scaled term keeps half-precision gradients from underflow.
        """
        live = {n: t for n, t in terms.items() if n != "total" and isinstance(t, Tensor) and t.grad_fn is not None}
        if self.off is not None or len(live) < 2:
            return {}
        if any(is_foreign(t) for t in live.values()):
            self.off = (
                "per-term gradients are not taken: a second pass would run custom autograd functions, checkpoints or "
                "compiled code once more, and they may change or free what the first pass needs"
            )
            return {}
        if any(m._backward_hooks or m._backward_pre_hooks for m in self.tensors.model.modules()):
            self.off = "per-term gradients are not taken: the model has backward hooks, which they would set off"
            return {}
        trunk = self._find_trunk(list(live.values()))
        if trunk is None:
            return {}
        values: Values = {}
        kept: dict[str, Tensor] = {}
        entries = self._entries(len(live))
        for name, term in live.items():
            seed = torch.full_like(term, scale)
            (grad,) = torch.autograd.grad(term, trunk, seed, retain_graph=True, allow_unused=True)
            size = 0.0 if grad is None else measures.norm(grad)
            values[f"loss/trunk_norm/{name}"] = size / scale
            if isinstance(size, Tensor) and len(kept) < MOST_PAIRED:
                # Each by its own size: products of half-precision or tiny gradients would vanish.
                kept[name] = measures.strided(grad, entries).float() / size
            del grad  # else two gradients of the trunk are held at once
        return values | _cosines(kept)

    def _find_trunk(self, terms: list[Tensor]) -> nn.Parameter | None:
        known = self.tensors.all.get(self.trunk or "")
        if known is not None and known.requires_grad and not known._backward_hooks:
            return known
        reached = [reachable(term) for term in terms]
        shared = {name: sum(id(p) in r for r in reached) for name, p in self.tensors.all.items() if p.requires_grad}
        most = max((n for name, n in shared.items() if _is_trunk(self.tensors.all[name])), default=0)
        if most < 2:
            return None
        found = [
            (name, p) for name, p in self.tensors.all.items() if shared.get(name) == most and not p._backward_hooks
        ]
        self.trunk = choose(found, self._size(), normalised=any(map(normalises, terms)))
        return self.tensors.all[self.trunk]

    def _size(self) -> int:
        return sum(p.numel() for p in self.tensors.all.values())

    def _entries(self, terms: int) -> int:
        """How many entries of each term's gradient are held for the cosines."""
        size = self._size()
        few = max(256, int(size * COSINE_SHARE) // min(terms, MOST_PAIRED))
        return COSINE_ENTRIES if size <= LITTLE else min(COSINE_ENTRIES, few)


def choose(shared: list[tuple[str, nn.Parameter]], size: int, *, normalised: bool) -> str:
    """Name of the trunk among the tensors that the most terms reach, in a model of ``size`` parameters.

    Args:
        shared: In order, with at least one matrix.
        size: Parameters of the model.
        normalised: Something in the graph normalises.
    """
    matrices = [(name, p) for name, p in shared if p.dim() > 1]
    small = [(name, p) for name, p in shared if p.numel() <= size * TRUNK_SHARE]
    vectors = [(name, p) for name, p in small if p.dim() == 1 and (not normalised or name.endswith("weight"))]
    few = [(name, p) for name, p in small if p.dim() > 1] or vectors
    return (matrices if size <= LITTLE else few or matrices)[-1][0]


def _cosines(kept: Mapping[str, Tensor]) -> Values:
    """Cosine of each pair of gradients; NaN where one is 0."""
    found: Values = {}
    for a, b in itertools.combinations(kept, 2):
        x, y = kept[a], kept[b]
        sizes = torch.linalg.vector_norm(x) * torch.linalg.vector_norm(y)
        found[f"loss/trunk_cos/{a}|{b}"] = torch.dot(x, y) / sizes
    return found


def reaches(term: Tensor, wanted: set[int]) -> bool:
    """Whether a gradient of ``term`` can arrive at one of the tensors of these identities."""
    return any(id(v) in wanted for v in _leaves(term))


def reachable(term: Tensor) -> set[int]:
    """Identities of the leaf tensors in the graph of ``term``."""
    return {id(v) for v in _leaves(term)}


def hides(term: Tensor) -> bool:
    """Whether parameters may be out of sight: inside a re-entrant checkpoint, or beyond ``MOST_NODES``."""
    nodes = list(_nodes(term))
    return len(nodes) >= MOST_NODES or any("CheckpointFunction" in type(node).__name__ for node in nodes)


def normalises(term: Tensor) -> bool:
    """Whether the graph of ``term`` has a normalisation, by the names of its nodes."""
    return any("Norm" in type(node).__name__ for node in _nodes(term))


def is_foreign(term: Tensor) -> bool:
    """Whether a backward pass from ``term`` runs code that is not torch's own.

    That is custom or compiled functions, and hooks on saved tensors, by which a checkpoint runs its forward again (and
    moves batch statistics again). Hooks on intermediate tensors cannot be seen.
    """
    return any(isinstance(n, torch.autograd.function.BackwardCFunction) or _unpacks(n) for n in _nodes(term))


def _unpacks(node: Any) -> bool:
    kind: Any = type(node)
    for name in _saved_names(kind):
        saved = getattr(node, name)
        # a torch that does not tell which hooks it has is taken to have some
        if any(getattr(s, "unpack_hook", s) is not None for s in (saved if isinstance(saved, tuple) else (saved,))):
            return True
    return False


@cache
def _saved_names(kind: Hashable) -> tuple[str, ...]:
    return tuple(name for name in dir(kind) if name.startswith("_raw_saved_"))


def _is_trunk(p: nn.Parameter) -> bool:
    """A trainable matrix without hooks of the user's own, which a second pass would set off."""
    return p.requires_grad and p.dim() >= 2 and not p._backward_hooks


def _nodes(term: Tensor) -> Any:
    waiting: list[Any] = [term.grad_fn]
    seen: set[Any] = set()
    while waiting and len(seen) < MOST_NODES:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting += [next_node for next_node, _ in node.next_functions]


def _leaves(term: Tensor) -> Any:
    if term.is_leaf:
        yield from [term] if term.requires_grad else []
        return
    for node in _nodes(term):
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            yield leaf

"""The table of a model's parameter tensors: names, roles, and which optimizer steps them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from tocsin.probes.sharding import sharded
from tocsin.probes.walking import parameters
from tocsin.run import Parameter

MOST_TENSORS = 512
_EXPERT = re.compile(r"(^|\.)(experts?|moe)(\.|_|\d|$)", re.IGNORECASE)
_ROUTER = re.compile(r"(^|\.)moe\w*\.(gate|router|wg)(\.|$)", re.IGNORECASE)


class Tensors:
    """Parameters by name, re-scanned at each sampled step: freezing, unfreezing and new adapters are seen.

    At most ``MOST_TENSORS`` trainable tensors are measured one by one, evenly spread over the model; totals are over
    those. ``all`` always holds every one. Of a model whose parameters are ``sharded`` none is measured.
    """

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        self.model = model
        self.optimizers = optimizers
        self.sharded = sharded(model)
        self.stepped_elsewhere: set[int] = set()
        self._ids: set[int] = set()
        self._embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)}
        self._routed = {id(p) for experts in _routed(model) for p in experts.parameters()}
        self.all: dict[str, nn.Parameter] = {}
        self.measured: dict[str, nn.Parameter] = {}
        self._signature: tuple[object, ...] = ()
        self.version = 0
        self.scan()

    def scan(self) -> bool:
        """Look at the model again; whether anything changed since the last scan."""
        named = [(name, p) for name, p in parameters(self.model) if not is_lazy(p)]
        known = self.optimized()
        signature = tuple((name, id(p), p.requires_grad, id(p) in known, p.dtype, p.shape) for name, p in named)
        if signature == self._signature:
            return False
        self._signature = signature
        self.version += 1
        self.all = dict(named)
        self._ids = {id(p) for p in self.all.values()}
        self.stepped_elsewhere &= self._ids
        trainable = [(name, p) for name, p in named if p.requires_grad and _has_entries(p) and not self.sharded]
        stride = max(1, -(-len(trainable) // MOST_TENSORS))
        self.measured = dict(trainable[::stride])
        return True

    def optimized(self) -> set[int]:
        """Identities of the tensors that some optimizer steps."""
        mine = {id(p) for o in self.optimizers for group in o.param_groups for p in group["params"]}
        return mine | self.stepped_elsewhere

    def others(self, optimizer: Optimizer) -> None:
        """Note the model's tensors of an optimizer that was not given to ``watch``; others may be gone any time."""
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        self.stepped_elsewhere |= held & self._ids

    def table(self) -> list[Parameter]:
        """One row a tensor, for the record."""
        known = self.optimized()
        return [
            Parameter(
                name=name,
                size=p.numel(),
                requires_grad=p.requires_grad,
                in_optimizer=id(p) in known,
                module=name.rpartition(".")[0],
                dtype=str(p.dtype).removeprefix("torch."),
                role=self._role(name, p),
            )
            for name, p in self.all.items()
        ]

    def _role(self, name: str, p: Tensor) -> str:
        if id(p) in self._embeddings:
            return "embedding"
        named = _EXPERT.search(name) and not _ROUTER.search(name)
        return "expert" if named or id(p) in self._routed else ""


def _routed(model: nn.Module) -> Iterator[nn.Module]:
    """Lists of n >= 2 modules of the same make beside a linear layer of n outputs, which can choose among them."""
    for parent in model.modules():
        outputs = {m.out_features for m in parent.children() if isinstance(m, nn.Linear)}
        for listed in parent.children():
            if isinstance(listed, nn.ModuleList | nn.ModuleDict) and len(listed) > 1 and len(listed) in outputs:
                makes = {_make(part) for part in listed.children()}
                if len(makes) == 1 and len(list(listed.children())) == len(listed):
                    yield listed


def _make(module: nn.Module) -> tuple[object, ...]:
    """What two modules of the same make share: their class, and the names and shapes of their parameters."""
    named = module.named_parameters()
    return (type(module), *((name, None if is_lazy(p) else tuple(p.shape)) for name, p in named))


def _has_entries(p: Tensor) -> bool:
    """Whether there is anything to measure: real or complex numbers, at least one, on a device that holds them."""
    return (p.is_floating_point() or p.is_complex()) and p.numel() > 0 and p.device.type != "meta"


def by_device(names: Iterable[str], tensors: Iterable[Tensor]) -> list[tuple[list[str], list[Tensor]]]:
    """Names and tensors grouped by device, in order of first appearance."""
    groups: dict[object, tuple[list[str], list[Tensor]]] = {}
    for name, tensor in zip(names, tensors, strict=True):
        kept = groups.setdefault(tensor.device, ([], []))
        kept[0].append(name)
        kept[1].append(tensor)
    return list(groups.values())

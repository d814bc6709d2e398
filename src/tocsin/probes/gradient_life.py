"""What becomes of a gradient between backward and step: used, cleared unused, or carried over a step and used again.

One sentinel tensor is followed at every backward pass. Whether its gradient was there before the pass is guessed from
its identity and version counter, which cost nothing; on sampled steps a look at the values confirms or corrects the
guess. Only kinds of passes that a look has confirmed are counted, and a kind that looks both ways ends the counting.
"""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor
from torch.autograd.graph import get_gradient_edge
from torch.optim import Optimizer

from tocsin.probes import measures
from tocsin.probes.hook import Hook, Meter

Values = dict[str, Tensor | float]
Kind = tuple[str, bool]
ENTRIES, LEAST_LOOKS, MOST_LOOKS = 64, 4, 64
_GONE_BY_DEFAULT = {"new": True, "touched": True, "same": False}


class GradientLife:
    """Counts on one tensor what happened to the gradient of each backward pass.

    A pass is *cleared* when its gradient went before any optimizer completed a step, a GradScaler was asked for one,
    or the tensor was changed in another way, and no optimizer that does not hold the tensor stepped until the next
    such clearing (a discriminator's gradients from the generator's loss are dropped on purpose). It is *carried* when
    it added to a gradient that a completed step of the tensor's own optimizer had used, and the next step used both.

    Attributes:
        inside: An optimizer is within its step, as far as known (on sampled steps).
        blind: The counts cannot be told: ``counts`` gives none.
    """

    _version: int
    _moved: int
    _attempts: int
    _passes: int
    _added: int
    _stepped: bool
    _used: bool
    _others: bool
    _grad: weakref.ref[Tensor] | None
    _waiting: tuple[Kind, int] | None
    _kept: tuple[Tensor, Tensor | float] | None
    _before: tuple[Tensor | float, Tensor | float, Tensor | float] | None

    def __init__(self, meter: Meter, scaler: Any = None, *, closures: bool = False) -> None:
        self.meter = meter
        self.scaler = scaler if scaler is not None and scaler.is_enabled() else None
        self.inside = self.blind = False
        self._no_clears = closures or (self.scaler is not None and not hasattr(self.scaler, "_scale"))
        self._cleared: dict[Kind, int] = {}
        self._carried = 0
        self._gone: dict[Kind, bool] = {}
        self._holds: dict[int, bool] = {}
        self._tensor: Tensor | None = None
        self._handle: Any = None
        self._node: Any = None
        self._open = False
        self._left = 0
        self._looks: list[tuple[Kind, Tensor | float, Tensor | float, Tensor | float]] = []
        self._asked = self._looks
        self._forget()

    def follow(self, tensor: Tensor | None) -> None:
        """The sentinel is this tensor from now on."""
        self.disarm()
        self._tensor = tensor
        self._holds.clear()
        self._forget()

    def counts(self) -> dict[str, int]:
        """Passes ``cleared`` and ``carried`` so far; without what nothing has confirmed yet or can tell."""
        if self.blind or not self._gone:
            return {}
        found = {} if self._no_clears else {"cleared": sum(n for k, n in self._cleared.items() if k in self._gone)}
        kept = any(stepped and not gone for (_, stepped), gone in self._gone.items())
        return found | {"carried": self._carried if kept else 0}

    def passed(self, tensor: Tensor) -> None:
        """A backward pass has added to the gradient of the sentinel; runs at every step."""
        grad = tensor.grad
        if grad is None or tensor is not self._tensor:
            self._forget()
            return
        version, kind = grad._version, None
        held = self._grad
        if held is None or held() is not grad:
            guess = "new"
            self._grad = weakref.ref(grad)
        else:
            guess = "same" if version == self._version + 1 else "touched"
        if held is not None:
            kind = (guess, self._stepped)
            self._count(kind, tensor)
        else:
            self._passes = 1
        self._version, self._moved = version, tensor._version
        if self.scaler is not None:
            self._attempts = self._attempted()
        self._stepped = self._others = False
        if self.inside:  # a closure: the steps in between cannot be seen
            self._no_clears = True
        if self._handle is not None:
            self.meter.run("gradient life", self._looked, kind)

    def stepped(self, optimizer: Optimizer) -> None:
        """An optimizer, anybody's, has completed a step."""
        self.inside = False
        tensor = self._tensor
        if tensor is None:
            return
        holds = self._holds.get(id(optimizer))
        if holds is None:
            holds = self._holds[id(optimizer)] = any(
                p is tensor for group in optimizer.param_groups for p in group["params"]
            )
        if not holds:
            self._others, self._waiting = True, None
            return
        self._carried += self._added
        self._added = self._passes = 0
        self._stepped = self._used = True
        grad, held = tensor.grad, self._grad
        if grad is not None and held is not None:  # unscaling, clipping, a sanitiser: what they left was used
            self._version = grad._version
            if held() is not grad:
                self._grad = weakref.ref(grad)

    # Every pass

    def _forget(self) -> None:
        self._grad = None
        self._version = self._moved = self._attempts = 0
        self._passes = self._added = 0
        self._stepped = self._used = self._others = False
        self._waiting = self._kept = self._before = None

    def _count(self, kind: Kind, tensor: Tensor) -> None:
        gone = self._gone.get(kind)
        if gone is None:
            gone = _GONE_BY_DEFAULT[kind[0]]
        if not gone:
            self._added += self._used
        else:
            unused = self._passes and not self._others and tensor._version == self._moved
            if unused and not self._no_clears and self._attempts == self._attempted():
                self._clear(kind)
            self._passes = self._added = 0
            self._used = False
        self._passes += 1

    def _clear(self, kind: Kind) -> None:
        """These passes went unused, unless another optimizer steps before that happens again."""
        if self._waiting is not None:
            of, passes = self._waiting
            self._cleared[of] = self._cleared.get(of, 0) + passes
        self._waiting = (kind, self._passes)

    def _attempted(self) -> int:
        """Changes so far of the loss scale, which each update makes, skipped step or not; needs no transfer."""
        changes: int = getattr(getattr(self.scaler, "_scale", None), "_version", 0)
        return changes

    # Sampled steps

    def arm(self) -> None:
        """Look at the values before each pass, until ``read`` and for at least ``LEAST_LOOKS`` passes."""
        self._holds.clear()
        self._open, self._left = True, LEAST_LOOKS
        tensor = self._tensor
        if tensor is None or self.blind or self._handle is not None or not (tensor.requires_grad and tensor.is_leaf):
            return
        self._node = get_gradient_edge(tensor).node  # a hook on the tensor itself would also see autograd.grad
        self._handle = self._node.register_prehook(Hook("gradient life", self.meter, self._see))
        self._remember(tensor)

    def disarm(self) -> None:
        """Remove the hook."""
        if self._handle is not None:
            self._handle.remove()
        self._handle = self._node = self._kept = self._before = None

    def read(self) -> Values:
        """What the looks have seen, as scalars for one transfer; for ``learn``."""
        self._open = False
        self._asked, self._looks = self._looks, []
        return {f"life/{k}/{part}": v for k, look in enumerate(self._asked) for part, v in enumerate(look[1:])}

    def learn(self, host: dict[str, float]) -> dict[str, float]:
        """Confirm or correct the guesses by what came back; gives the other values."""
        for k, (kind, *_) in enumerate(self._asked):
            had, gone, moved = (host.pop(f"life/{k}/{part}", 0.0) for part in range(3))
            if moved and not kind[1]:
                self._no_clears = True  # something moves the parameters past every optimizer
            if had:
                self._learn(kind, bool(gone))
        self._asked = []
        return host

    def _learn(self, kind: Kind, gone: bool) -> None:
        known = self._gone.get(kind)
        if known is None and gone != _GONE_BY_DEFAULT[kind[0]]:
            self._cleared.pop(kind, None)
            self._carried, self._waiting = 0, None
        self.blind |= known is not None and known != gone
        self._gone[kind] = gone

    def _see(self, *_: Any) -> None:
        """Just before a pass: is the last gradient still there, and did the tensor move since?"""
        self._before = None
        if self._kept is None or self._tensor is None or len(self._looks) >= MOST_LOOKS:
            return
        old, had = self._kept
        grad = self._tensor.grad
        moved: Tensor | float = 0.0
        if self._tensor._version == self._moved:
            moved = (measures.strided(self._tensor, ENTRIES) != old).any()
        if grad is None:
            self._before = (1.0, 1.0, moved)
        else:
            self._before = (had, (measures.strided(grad, ENTRIES) == 0).all(), moved)

    def _looked(self, kind: Kind | None) -> None:
        """After a pass: what was seen before it belongs to this kind."""
        if kind is not None and self._before is not None:
            self._looks.append((kind, *self._before))
            self._left -= 1
        if self._left <= 0 and not self._open:
            self.disarm()
        elif self._tensor is not None:
            self._remember(self._tensor)

    def _remember(self, tensor: Tensor) -> None:
        """A few entries of the tensor, and whether its gradient has anything but zeros."""
        grad = tensor.grad
        had = 0.0 if grad is None else measures.strided(grad, ENTRIES).any()
        self._kept, self._before = (measures.strided(tensor, ENTRIES).clone(), had), None

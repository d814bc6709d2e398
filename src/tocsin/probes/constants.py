"""The best constant prediction under any loss: optimised, for losses that no closed form covers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

Target = Literal["classes", "binary", "multilabel", "regression", "gaussian"]
Loss = Callable[[Any, Tensor], Any]
STARTS, ROUNDS = 5, 60
MOST_POLISHED = 8
GOLDEN = (math.sqrt(5) - 1) / 2
MOST_SAMPLES = 65_536


@dataclass(frozen=True)
class BestConstant:
    """The least loss that one answer for every sample can have.

    Attributes:
        value: That loss.
        constant: The answer: K logits for classes, one logit a label, D values for a regression; for ``gaussian`` the
            D means, then the D logarithms of sigma.
        zero: The loss of predicting zero everywhere; NaN where the loss has no finite value there.
    """

    value: float
    constant: tuple[float, ...]
    zero: float


def best_constant(
    loss: Loss,
    target: Any,
    *,
    kind: Target | None = None,
    classes: int | None = None,
    seed: int = 0,
    seconds: float = 10.0,
) -> BestConstant:
    """Minimise ``loss(prediction, target)`` over predictions that are the same for every sample.

    For a loss of your own; log what it gives, and tocsin shows and judges your losses beside it::

        run.metrics({"reference/val/loss/signal": tocsin.best_constant(my_loss, signals).value})

    Args:
        loss: Takes (prediction, target) and gives a scalar tensor; called some hundred times. Its own gradient is used.
        target: The targets, a tensor or array: [N] integers for classes; [N] or [N, D] floats.
        kind: What the loss expects as prediction. ``classes``: logits [N, K]; ``binary`` and ``multilabel``: logits in
            the target's shape; ``regression``: values in the target's shape; ``gaussian``: a tuple (mean, log sigma),
            each in the target's shape. By default ``classes`` for integers, else ``regression``.
        classes: K; by default the largest target + 1.
        seed: Of the starting points; the global random state is neither read nor moved.
        seconds: Bound on the time: the best value found until then counts.

    Returns:
        The least value found from 5 starts by L-BFGS with a line search, and where it lies. More than 65,536 samples
        are thinned evenly. Predictions and targets are float64, or float32 where the loss refuses those.

    Raises:
        TypeError: The loss gives no scalar tensor, or the kind is unknown.
        ValueError: No targets, non-finite ones, classes out of range, or a loss that is finite nowhere.
    """
    truth = _targets(target, kind)
    chosen = kind or ("regression" if truth.is_floating_point() else "classes")
    shape = _shape(truth, chosen, classes)
    with torch.enable_grad(), _own_random_state(truth.device):
        search = _Search(loss, truth, chosen, shape, seed, time.monotonic() + seconds)
        try:
            return search.best()
        except RuntimeError:  # weights of the loss in single precision do not go with double
            return replace(search, dtype=torch.float32).best()


@contextmanager
def _own_random_state(device: torch.device) -> Iterator[None]:
    """A loss that samples must not move the user's random numbers."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _seed(device: torch.device, seed: int) -> None:
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


@dataclass(frozen=True)
class _Search:
    """One search for the least loss over constants of a shape."""

    loss: Loss
    truth: Tensor
    kind: str
    shape: tuple[int, ...]
    seed: int
    deadline: float
    dtype: torch.dtype = torch.float64

    def cost(self, free: Tensor) -> Tensor:
        """The loss of a constant; a loss that samples draws the same numbers at each call."""
        _seed(self.truth.device, self.seed)
        truth = self.truth.to(self.dtype) if self.truth.is_floating_point() else self.truth
        return _scalar(self.loss(_broadcast(free, truth, self.kind), truth))

    def best(self) -> BestConstant:
        zero = _finite(self.cost(torch.zeros(self.shape, dtype=self.dtype, device=self.truth.device)))
        starts = [start.to(self.dtype) for start in _starts(self.truth, self.kind, self.shape, self.seed)]
        value, constant = min((self.down_from(start) for start in starts), key=lambda pair: pair[0])
        if not math.isfinite(value):
            raise ValueError(
                "the loss is finite for no constant that was tried; it is given logits for classes and labels, else "
                "values in the units of the target"
            )
        value, constant = self.polished(value, constant)
        return BestConstant(value, tuple(constant.flatten().tolist()), math.nan if zero is None else zero)

    def down_from(self, start: Tensor) -> tuple[float, Tensor]:
        """The least finite value seen on the way down from one start, and where."""
        free = start.clone().requires_grad_()
        optimizer = torch.optim.LBFGS([free], max_iter=20, line_search_fn="strong_wolfe", tolerance_change=1e-14)
        best: tuple[float, Tensor] = (math.inf, start)

        def closure() -> Tensor:
            nonlocal best
            optimizer.zero_grad()
            value = self.cost(free)
            if not value.requires_grad:
                raise TypeError(
                    "the loss has no gradient with respect to its prediction: is it detached, or an argmax?"
                )
            number = _finite(value)
            if number is not None and number < best[0]:
                best = (number, free.detach().clone())
            value.backward()  # type: ignore[no-untyped-call]
            return value

        for _ in range(ROUNDS):
            before = best[0]
            optimizer.step(closure)  # type: ignore[no-untyped-call]
            still = not before - best[0] > 1e-10 * abs(best[0])
            if still or not bool(torch.isfinite(free).all()) or time.monotonic() > self.deadline:
                break
        return best

    def polished(self, value: float, constant: Tensor) -> tuple[float, Tensor]:
        """Golden sections along each coordinate of a few: what a loss with corners leaves to a gradient method."""
        if constant.numel() > MOST_POLISHED:
            return value, constant
        for width in (1.0, 0.05):
            for k in range(constant.numel()):
                reach = width * max(1e-3, float(constant.flatten()[k].abs()))
                value, constant = self._along(k, reach, value, constant)
        return value, constant

    def _along(self, k: int, reach: float, value: float, constant: Tensor) -> tuple[float, Tensor]:
        centre = float(constant.flatten()[k])
        low, high = centre - reach, centre + reach
        for _ in range(40):
            if time.monotonic() > self.deadline:
                break
            inner = [high - GOLDEN * (high - low), low + GOLDEN * (high - low)]
            costs = []
            for at in inner:
                moved = constant.clone()
                moved.view(-1)[k] = at
                number = _finite(self.cost(moved))
                costs.append(math.inf if number is None else number)
                if costs[-1] < value:
                    value, centre = costs[-1], at
            low, high = (low, inner[1]) if costs[0] < costs[1] else (inner[0], high)
        moved = constant.clone()
        moved.view(-1)[k] = centre
        return value, moved


def _targets(target: Any, kind: str | None) -> Tensor:
    if kind is not None and kind not in get_args(Target):
        raise TypeError(f"kind must be one of {', '.join(get_args(Target))}; got {kind!r}")
    truth = torch.as_tensor(target).detach()
    if kind in ("binary", "multilabel", "regression", "gaussian") or truth.is_floating_point():
        truth = truth.to(torch.float64)
    if truth.numel() == 0 or truth.dim() == 0:
        raise ValueError("expected at least one target, a tensor [N] or [N, D]")
    if kind == "classes" and truth.is_floating_point() and bool((truth == truth.round()).all()):
        truth = truth.long()
    if truth.is_floating_point() and not bool(torch.isfinite(truth).all()):
        raise ValueError("the targets hold NaN or inf; leave those samples out")
    if truth.dtype is torch.bool:
        truth = truth.long()
    step = math.ceil(len(truth) / MOST_SAMPLES)
    return truth[::step]


def _shape(truth: Tensor, kind: str, classes: int | None) -> tuple[int, ...]:
    """Shape of what is free."""
    if kind == "classes":
        largest = int(truth.max()) + 1 if not truth.is_floating_point() else 0
        size = largest if classes is None else classes
        if truth.is_floating_point() or truth.dim() != 1 or int(truth.min()) < 0 or largest > size or size < 2:
            raise ValueError(
                f"classes need integer targets [N] from 0 to K - 1 with K >= 2; got {str(truth.dtype)[6:]} "
                f"{tuple(truth.shape)} and K = {size}"
            )
        return (size,)
    inner = tuple(truth.shape[1:]) or (1,)
    return (2, *inner) if kind == "gaussian" else inner


def _broadcast(free: Tensor, truth: Tensor, kind: str) -> Any:
    """The constant as a prediction for every sample."""
    if kind == "classes":
        return free.expand(len(truth), -1)
    if kind == "gaussian":
        return tuple(part.expand(len(truth), *part.shape).reshape(truth.shape) for part in free)
    return free.expand(len(truth), *free.shape).reshape(truth.shape)


def _scalar(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.numel() != 1:
        came = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"expected a loss that gives one number as a tensor, got {came}; average it over the batch")
    return value.reshape(())


def _finite(value: Tensor) -> float | None:
    number = float(value.detach())
    return number if math.isfinite(number) else None


def _starts(truth: Tensor, kind: str, shape: tuple[int, ...], seed: int) -> Sequence[Tensor]:
    """Zero, what the common losses end at, and points about it by a generator of our own."""
    zero = torch.zeros(shape, dtype=torch.float64, device=truth.device)
    if kind == "classes":
        guess = torch.log(torch.bincount(truth, minlength=shape[0]).to(torch.float64) + 0.5)
        guess, spread = guess - guess.mean(), torch.ones_like(zero)
    elif kind in ("binary", "multilabel"):
        guess, spread = torch.logit(truth.mean(dim=0).clamp(0.01, 0.99)).reshape(shape), torch.ones_like(zero)
    else:
        mean, sd = truth.mean(dim=0), truth.std(dim=0, correction=0).clamp_min(1e-12)
        guess = torch.stack([mean, sd.log()]) if kind == "gaussian" else mean
        spread = torch.stack([sd, torch.ones_like(sd)]) if kind == "gaussian" else sd
        guess, spread = guess.reshape(shape), spread.reshape(shape)
    generator = torch.Generator().manual_seed(seed)
    about = [torch.randn(shape, generator=generator, dtype=torch.float64).to(truth.device) for _ in range(STARTS - 2)]
    return [guess, zero, *(guess + spread * noise for noise in about)]

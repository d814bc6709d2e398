"""Small training loops and the clock that compares two of them, for ``overhead.py`` and for peers; needs torch alone.

An *arm* is a function that attaches something to a ``Loop`` as a context manager: it may put hooks on ``loop.model``
and ``loop.optimizer``, and may set ``loop.run`` to an object whose ``losses(total=..., **terms)`` is called each step,
after the forward and before the backward pass.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

WARM_UP = 0.2
CUDA_BLOCK = 20
Losses = Callable[[], tuple[Tensor, dict[str, Tensor]]]
Made = tuple[nn.Module, list[nn.Parameter], Losses]
Make = Callable[[torch.device], Made]


def mlp(device: torch.device) -> Made:
    """An MLP whose step takes 1 to 2 ms on a CPU core."""
    model = nn.Sequential(*_dense(64, 256), *_dense(256, 256), nn.Linear(256, 10))
    return _classifier(model.to(device), torch.randn(512, 64, device=device))


def cnn(device: torch.device) -> Made:
    """Four 3x3 convolutions 16-16-32-32 and a linear layer, batch 64 of 3x32x32."""
    width = [3, 16, 16, 32, 32]
    layers: list[nn.Module] = []
    for k, (a, b) in enumerate(itertools.pairwise(width)):
        layers += [nn.Conv2d(a, b, 3, padding=1, stride=2 if k == 2 else 1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 16 * 16, 10))
    return _classifier(model.to(device), torch.randn(64, 3, 32, 32, device=device))


def transformer(device: torch.device, sequences: int = 16) -> Made:
    """Four encoder layers of width 128 on 16 sequences of 64."""
    layer = nn.TransformerEncoderLayer(128, 4, 256, batch_first=True, dropout=0.0)
    model = nn.Sequential(nn.TransformerEncoder(layer, 4), nn.Flatten(), nn.Linear(64 * 128, 10))
    return _classifier(model.to(device), torch.randn(sequences, 64, 128, device=device))


def short_transformer(device: torch.device) -> Made:
    """The same on 5 sequences: a step takes about 20 ms on a CPU core."""
    return transformer(device, 5)


def constellation(device: torch.device) -> Made:
    """The network of the reference study on one of its batches: two tasks, weighted by learned uncertainties.

    Raises:
        ImportError: tocsin's studies are not installed here.
    """
    from tocsin import studies

    study = studies.load("constellation")
    experiment = study.build(study.configure("quick", None, {}), None, 0, device)
    batch = next(iter(experiment.batches(1)))
    parameters = [p for group in experiment.parameter_groups() for p in group["params"]]
    return experiment.model, parameters, lambda: experiment.loss(batch)


def _dense(a: int, b: int) -> list[nn.Module]:
    return [nn.Linear(a, b), nn.ReLU()]


def _classifier(model: nn.Module, x: Tensor) -> Made:
    y = torch.randint(0, 10, (len(x),), device=x.device)
    return model, list(model.parameters()), lambda: (nn.functional.cross_entropy(model(x), y), {})


MODELS: dict[str, tuple[Make, int]] = {
    "mlp": (mlp, 4000),
    "cnn": (cnn, 600),
    "transformer": (transformer, 600),
    "constellation": (constellation, 300),
}


class Loop:
    """One model in training; ``run`` is what the arm wants called with the losses, if anything."""

    def __init__(self, make: Make, device: torch.device) -> None:
        torch.manual_seed(0)
        self.model, parameters, self.losses = make(device)
        self.optimizer = torch.optim.AdamW(parameters, 1e-4)
        self.run: Any = None

    def step(self) -> None:
        self.optimizer.zero_grad()
        total, terms = self.losses()
        if self.run is not None:
            self.run.losses(total=total, **terms)
        total.backward()
        self.optimizer.step()


Attach = Callable[[Loop], AbstractContextManager[Any]]


@contextmanager
def bare(loop: Loop) -> Iterator[None]:  # noqa: ARG001 (an arm takes its loop)
    yield


@contextmanager
def empty_hooks(loop: Loop) -> Iterator[None]:
    """The least that any recorder of this kind attaches: one gradient hook, one step hook, one forward hook."""

    def nothing(*_: Any) -> None: ...

    tensor: Any = list(loop.model.parameters())[-1]
    handles = [
        tensor.register_post_accumulate_grad_hook(nothing),
        loop.optimizer.register_step_post_hook(nothing),
        loop.model.register_forward_pre_hook(nothing, with_kwargs=True),
    ]
    yield
    for handle in handles:
        handle.remove()


def seconds(step: Callable[[], None], device: torch.device) -> float:
    """What one step costs: CPU time of all threads, or on an accelerator wall time of a block, synchronised."""
    if device.type == "cpu":
        start = time.process_time()
        step()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(CUDA_BLOCK):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / CUDA_BLOCK


def pairs(
    make: Make, steps: int, attach: Attach, device: torch.device, *, early: int = 0
) -> tuple[list[float], list[float], Loop]:
    """Seconds of each step bare and with an arm, the order swapped from pair to pair, without the ``early`` first."""
    reference, other = Loop(make, device), Loop(make, device)
    times: tuple[list[float], list[float]] = ([], [])
    with attach(other):
        for k in range(early + steps):
            pair = [(reference.step, times[0]), (other.step, times[1])]
            for step, kept in pair if k % 2 else reversed(pair):
                kept.append(seconds(step, device))
    return times[0][early:], times[1][early:], other


def measure(make: Make, steps: int, attach: Attach, device: torch.device | None = None) -> dict[str, float]:
    """Ratios and added microseconds of one arm against the bare loop beside it.

    ``mean_ratio_se`` is a standard error from blocks of pairs. ``mean_ratio_with_start`` counts the first steps, too.
    """
    where = torch.device("cpu") if device is None else device
    if where.type != "cpu":
        steps = max(20, steps // CUDA_BLOCK)
    whole = pairs(make, steps, attach, where)
    a, b = (kept[int(WARM_UP * steps) :] for kept in whole[:2])
    return {
        "bare_ms": 1e3 * statistics.median(a),
        "median_ratio": statistics.median(b) / statistics.median(a),
        "mean_ratio": sum(b) / sum(a),
        "mean_ratio_se": block_error(a, b),
        "mean_ratio_with_start": sum(whole[1]) / sum(whole[0]),
        "added_us_mean": 1e6 * (sum(b) - sum(a)) / len(a),
    }


def block_error(a: list[float], b: list[float], blocks: int = 10) -> float:
    """Standard error of sum(b) / sum(a), from the ratios of consecutive blocks."""
    size = max(1, len(a) // blocks)
    ratios = [sum(b[k : k + size]) / sum(a[k : k + size]) for k in range(0, size * (len(a) // size), size)]
    return statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else float("nan")

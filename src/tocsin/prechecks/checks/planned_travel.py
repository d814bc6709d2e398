"""OPT009 before the run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.planned import MOST_STEPS, planned_rates
from tocsin.run import Floats

_LEAST_STEPS = 20
_REMEDIES = (
    Remedy("Compare the learning rate that is planned with the one that was meant: a unit, a schedule's factor"),
    Remedy("Raise the learning rate by 10 until the loss moves, then find the largest that is stable"),
)


@dataclass(frozen=True)
class Reach:
    """The tensor that can go farthest for its size."""

    share: float
    name: str
    size: float
    bound: float
    far: float


@rule("OPT009", needs=(), severity="warning", scope="setup")
def insufficient_travel(bench: Bench, *, share: float = 0.03) -> Iterator[Finding | NotChecked]:
    """The learning rates of all planned steps together cannot move the parameters far enough to learn.

    ## What it does
    With `r_i` the learning rate that the scheduler gives at the planned optimizer step i in a tensor's group, `w` its
    decoupled weight decay and `theta` the tensor, it bounds how far an entry can go: `T = c sum r_i + w RMS(theta) sum
    r_i`, with c = max(1, (1 - b1) / sqrt(1 - b2)) for Adam and AdamW (3.2 with their defaults) and c = 1 for Adamax and
    AdaGrad. It fires when `T < share * RMS(theta)` for every trainable tensor of two dimensions or more: none can move.
    A tensor that begins at 0 can. An error where the rate is 0 in all groups and all steps, whatever the optimizer.

    ## Known limits
    Needs the planned steps, at least 20, and at most 200 000. Biases and normalisation weights do not count. No bound
    for SGD, whose steps hang on the gradients; nor for others. A trained model may need as little: then it is meant.
    `share` = 0.03 is that of the rule: in the limit of lazy training the weights of a layer of n units move by
    1 / sqrt(n) of their size (Chizat et al. 2019), n = 1000, and the bound is a worst case (Kingma & Ba 2015, 2.1).
    """
    rates = planned_rates(bench)
    if rates is None or len(rates) < _LEAST_STEPS:
        yield NotChecked(f"needs steps, or epochs and a loader with a length: {_LEAST_STEPS} to {MOST_STEPS} steps")
    elif (rates == 0).all():
        yield _never_above_zero(len(rates))
    elif (reach := _farthest(bench, rates.sum(axis=0))) is None:
        yield NotChecked("no bound on the steps of these optimizers, or no weights of two dimensions")
    elif reach.share < share:
        yield _finding(reach, rates, share)


def _farthest(bench: Bench, paths: Floats) -> Reach | None:
    """Of all weights that are trained; None where one of them has no bound."""
    names, found = {id(p): name for name, p in bench.trainable.items()}, []
    groups = [(o, group) for o in bench.setup.optimizers for group in o.param_groups]
    for (optimizer, group), path in zip(groups, paths, strict=True):
        bound = _per_step(type(optimizer).__name__.lower(), group)
        for p in group["params"]:
            if p.requires_grad and p.dim() >= 2 and p.numel():
                size = float(p.detach().double().square().mean().sqrt())
                if bound is None or not size > 0:
                    return None if bound is None else Reach(math.inf, "", 0.0, bound, path)
                decay = float(group.get("weight_decay") or 0) * size
                found.append(Reach(path * (bound + decay) / size, names.get(id(p), "?"), size, bound, path * bound))
    return max(found, key=lambda reach: reach.share, default=None)


def _per_step(kind: str, group: Mapping[str, Any]) -> float | None:
    """The most that an entry moves in a step, in learning rates."""
    if "adamax" in kind or "adagrad" in kind:
        return 1.0
    betas = group.get("betas")
    if kind not in ("adam", "adamw") or not isinstance(betas, tuple | list) or not float(betas[1]) < 1:
        return None
    return max(1.0, (1 - float(betas[0])) / math.sqrt(1 - float(betas[1])))


def _never_above_zero(steps: int) -> Finding:
    return Finding(
        f"the learning rate is 0 in all {steps} planned optimizer steps: nothing can be learned",
        severity="error",
        evidence=(Evidence("lr/0", 0.0, 1, text="planned learning rate"),),
        remedies=_REMEDIES,
    )


def _finding(reach: Reach, rates: Floats, limit: float) -> Finding:
    peak, group = (int(k) for k in np.unravel_index(int(rates.argmax()), rates.shape))
    return Finding(
        f"{len(rates)} planned optimizer steps at a learning rate of at most {rates.max():.3g} can move no weight by "
        f"more than {reach.share:.2g} of its size (at most {reach.bound:.3g} learning rates a step; "
        f"{reach.name} is the "
        f"nearest, of RMS {reach.size:.2g})",
        evidence=(
            Evidence(f"lr/{group}", float(rates.max()), peak + 1, text="the largest planned learning rate"),
            Evidence(f"parameter:{reach.name}", reach.size, 0, reach.far / limit, text="RMS of the tensor"),
        ),
        remedies=_REMEDIES,
    )

"""The best constant answer under the user's own loss, and what one answer costs in each batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tocsin.prechecks.bench import Bench
from tocsin.prechecks.loss_looks import Rows
from tocsin.prechecks.loss_matches import Match
from tocsin.probes.constants import best_constant

Floats = NDArray[np.float64]
MOST_FREE = 64
ROWS_EACH = 10  # for each free number: fewer would be fitted, not described
SECONDS = 0.5
UNIT = math.sqrt(2)  # sd of the outputs of a He initialisation on inputs of unit scale (He et al. 2015)


@dataclass(frozen=True)
class Constant:
    """What the best constant costs, and what an untrained network may cost, by batch.

    Attributes:
        cost: Of the best constant, [batches].
        usual: Of what a standard initialisation may give, the least that is to be exceeded to be far above.
        of: The loss, in words.
        classes: K, 0 for values.
    """

    cost: Floats
    usual: float
    of: str
    classes: int = 0


def known_constant(match: Match, rows: Rows, times: float) -> Constant | None:
    """In closed form, for a term that is a recomputed loss (times its factor); None for faulty losses."""
    factor = match.factor
    if match.loss == "cross-entropy":
        k = rows.prediction[0].shape[1]
        counts = torch.bincount(torch.cat(rows.target), minlength=k).double()
        logs = (counts / counts.sum()).clamp_min(1e-300).log()
        cost = np.array([-float(logs[t].mean()) for t in rows.target])
        return Constant(factor * cost, float(factor.mean()) * far_above_classes(math.log(k)), match.loss, k)
    if match.loss == "binary cross-entropy":
        share = torch.cat(rows.target).mean(dim=0).clamp(1e-12, 1 - 1e-12)
        cost = np.array([-float((t * share.log() + (1 - t) * (-share).log1p()).mean()) for t in rows.target])
        return Constant(factor * cost, float(factor.mean()) * far_above_classes(math.log(2)), match.loss, 2)
    if match.loss in ("MSE", "MAE"):
        return _of_values(match, rows, times)
    return None


def far_above_classes(uniform: float) -> float:
    """Twice the cost of equal odds, and 2 nats above it: logits of variance 2 (He 2015) add 1 nat at most."""
    return max(2 * uniform, uniform + 2)


def _of_values(match: Match, rows: Rows, times: float) -> Constant:
    target = torch.cat(rows.target)
    squared = match.loss == "MSE"
    middle = target.mean(dim=0) if squared else target.median(dim=0).values
    left = [(t - middle).square() if squared else (t - middle).abs() for t in rows.target]
    cost = np.array([float(v.mean()) for v in left])
    # outputs of a standard initialisation are of order 1 whatever the targets: small targets are no fault
    often, unit = (times, UNIT**2) if squared else (math.sqrt(times), UNIT * math.sqrt(2 / math.pi))
    return Constant(match.factor * cost, float(match.factor.mean()) * often * (float(cost.mean()) + unit), match.loss)


def searched_constant(bench: Bench, times: float) -> Constant | str:
    """Under the total as it is, by a search over what the model returns; or why it cannot be told."""
    shapes = _outputs(bench)
    if isinstance(shapes, str):
        return shapes
    rows, free = sum(s[0] for s in shapes), math.prod(shapes[0][1:])
    if free > min(MOST_FREE, rows / ROWS_EACH):
        return f"{free} numbers an answer are too many for the best constant of {rows} samples"
    truth, kind, classes = _truth(bench, shapes)
    if truth is None:
        return "the targets of predict are not those of the model's output"

    def loss(prediction: Tensor, _: Tensor) -> Tensor:
        return torch.stack(_costs(bench, torch.split(prediction, [s[0] for s in shapes]))).mean()

    try:
        best = best_constant(loss, truth, kind=kind, classes=classes, seconds=SECONDS)
        cost = _costs(bench, [_answer(best.constant, s) for s in shapes])
        around = [_costs(bench, [torch.full(s, v) for s in shapes]) for v in (UNIT, -UNIT)]
    except Exception as error:  # a loss of the user's own, asked for answers that it never saw
        return f"the best constant under the total is not found: {error}"
    mean = float(torch.stack(cost).detach().mean())
    if kind == "classes":
        usual = best.zero * far_above_classes(math.log(classes or 2)) / math.log(classes or 2)
    else:
        usual = times * max(mean, *(float(torch.stack(c).detach().mean()) for c in around))
    return Constant(np.array([float(c.detach()) for c in cost]), usual, "loss", classes or 0)


def _answer(constant: tuple[float, ...], shape: tuple[int, ...]) -> Tensor:
    return torch.tensor(constant).reshape(1, *shape[1:]).expand(shape)


def _costs(bench: Bench, outputs: Any) -> list[Tensor]:
    """The total of each batch where the model answers with these."""
    found = []
    for batch, output in zip(bench.train, outputs, strict=True):
        with _answering(bench.model, output.float()):
            found.append(bench.terms(batch)["total"].reshape(()))
    return found


@contextmanager
def _answering(model: torch.nn.Module, output: Any) -> Iterator[None]:
    """The model returns this, whatever it is asked; what does not call it has no gradient, and says so."""
    held = model.__dict__.get("forward")
    model.__dict__["forward"] = lambda *_, **__: output
    try:
        yield
    finally:
        del model.__dict__["forward"]
        if held is not None:
            model.__dict__["forward"] = held


def _outputs(bench: Bench) -> list[tuple[int, ...]] | str:
    """Shape of what the model returns for each batch, [N, ...]."""
    seen: list[list[Any]] = []
    handle = bench.model.register_forward_hook(lambda _, __, out: seen[-1].append(out))
    try:
        for batch in bench.train:
            seen.append([])
            bench.terms(batch)
    finally:
        handle.remove()
    if any(len(outs) != 1 or not isinstance(outs[0], Tensor) or outs[0].dim() < 2 for outs in seen):
        return "the loss does not call the model once for one tensor of rows"
    shapes = [tuple(outs[0].shape) for outs in seen]
    return shapes if len({s[1:] for s in shapes}) == 1 else "the model's outputs differ in shape from batch to batch"


def _truth(
    bench: Bench, shapes: list[tuple[int, ...]]
) -> tuple[Tensor | None, Literal["classes", "regression"], int | None]:
    """Targets in the order of the outputs, and what the loss expects."""
    pairs = [bench.predictions(batch) for batch in bench.train]
    for task in pairs[0]:
        targets = [pair[task][0].detach().cpu() for pair in pairs if task in pair]
        if len(targets) < len(pairs) or not all(t.dim() for t in targets):
            continue
        target = torch.cat(targets)
        if not target.is_floating_point() and target.dim() == 1 and len(shapes[0]) == 2 and int(target.min()) >= 0:
            if int(target.max()) < shapes[0][1] > 1:
                return target, "classes", shapes[0][1]
        elif target.numel() == sum(math.prod(s) for s in shapes):
            return target.double().reshape(-1, *shapes[0][1:]), "regression", None
    return None, "regression", None

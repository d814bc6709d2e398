"""Published thresholds of SageMaker Debugger's built-in rules, re-stated by us on a tocsin record.

The originals run in closed containers on saved tensors; these are not them. Where a statistic is not in our record
the nearest one stands in, and the row says so. Thresholds: Amazon SageMaker developer guide, "List of Debugger
built-in rules" (2023). Numbers that the guide leaves to the user are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tocsin.run import Run, Series

Said = tuple[int | None, str]


def findings(run: Run) -> list[dict[str, Any]]:
    """What the re-stated rules say of a run: rule, first step."""
    return [
        {"severity": "warning", "text": f"{rule.__name__}: {text}", "step": step}
        for rule in RULES
        for step, text in _first(rule(run))
    ]


def _first(said: Iterator[Said]) -> list[Said]:
    one = next(said, None)
    return [] if one is None else [one]


def _crossings(series: dict[str, Series], wrong: Callable[[np.ndarray], np.ndarray], text: str) -> Iterator[Said]:
    for name, s in series.items():
        at = np.flatnonzero(wrong(s.value))
        if at.size:
            yield int(s.step[at[0]]), f"{text} ({name})"


def vanishing_gradient(run: Run) -> Iterator[Said]:
    """Mean absolute gradient < 1e-7; ours is the root mean square, never smaller than that mean."""
    sizes = {p.name: p.size for p in run.parameters}
    for name, s in run.family("grad/norm").items():
        at = np.flatnonzero(s.value / np.sqrt(sizes.get(name, 1)) < 1e-7)
        if at.size:
            yield int(s.step[at[0]]), f"gradient below 1e-7 ({name})"


def exploding_tensor(run: Run) -> Iterator[Said]:
    """Any NaN or inf."""
    names = ("grad/nonfinite", "param/nonfinite")
    yield from _crossings({n: s for n in names if (s := run.get(n))}, lambda v: v > 0, "NaN or inf")
    losses = {n: s for n in ("train/loss", "val/loss") if (s := run.get(n))}
    yield from _crossings(losses, lambda v: ~np.isfinite(v), "NaN or inf")


def weight_update_ratio(run: Run) -> Iterator[Said]:
    """Update over weight > 10 or < 1e-8."""
    yield from _crossings(run.family("update/ratio"), lambda v: (v > 10) | (v < 1e-8), "outside [1e-8, 10]")


def unchanged_tensor(run: Run) -> Iterator[Said]:
    """Equal to the last 3 saved tensors (rtol 1e-5); ours compares bytes."""
    for name, s in run.family("param/changed").items():
        still = np.convolve(s.value == 0, np.ones(3), "valid") == 3
        if still.any():
            yield int(s.step[np.flatnonzero(still)[0] + 2]), f"unchanged ({name})"


def dead_relu(run: Run) -> Iterator[Said]:
    """More than half of a layer's units never active."""
    yield from _crossings(run.family("act/dead_frac"), lambda v: v > 0.5, "more than half of the units dead")


def saturated_activation(run: Run) -> Iterator[Said]:
    """More than half of the outputs beyond the limits; ours: within 1 % of a bound."""
    yield from _crossings(run.family("act/saturated_frac"), lambda v: v > 0.5, "more than half saturated")


def loss_not_decreasing(run: Run) -> Iterator[Said]:
    """Loss not 0.1 % below the one of 10 steps earlier."""
    loss = run.get("train/loss")
    if loss is not None and len(loss) > 10:
        at = np.flatnonzero(loss.value[10:] > 0.999 * loss.value[:-10])
        if at.size:
            yield int(loss.step[at[0] + 10]), "not 0.1 % below the loss of 10 steps before"


def overfit(run: Run) -> Iterator[Said]:
    """(validation - training) / training > 0.1, patience 1."""
    train, val = run.get("train/loss"), run.get("val/loss")
    if train is None or val is None:
        return
    for step, value in zip(val.step, val.value, strict=True):
        seen = train.until(int(step)).value
        if seen.size and seen[-1] > 0 and (value - seen[-1]) / seen[-1] > 0.1:
            yield int(step), "validation loss more than 10 % above the training loss"


def overtraining(run: Run) -> Iterator[Said]:
    """No improvement of 0.01 in 5 training or 10 validation steps."""
    for name, patience in (("train/loss", 5), ("val/loss", 10)):
        series = run.get(name)
        best, since = np.inf, 0
        for step, value in zip(series.step, series.value, strict=True) if series else ():
            better = value < best - 0.01
            best, since = (value, 0) if better else (best, since + 1)
            if since >= patience:
                yield int(step), f"{name} did not improve by 0.01 in {patience} steps"
                break


def class_imbalance(run: Run) -> Iterator[Said]:
    """Most against least frequent class > 10 from 500 samples on, or a class with more than 0.7 errors."""
    for evaluation in run.evaluations:
        confusion = evaluation.confusion
        if confusion is None or confusion.n < 500:
            continue
        support = confusion.support[confusion.support > 0]
        wrong = 1 - confusion.correct / np.maximum(1, confusion.support)
        if support.max() > 10 * support.min() or (wrong[confusion.support > 0] > 0.7).any():
            yield evaluation.step, "imbalance over 10, or a class with more than 70 % errors"


def confusion(run: Run) -> Iterator[Said]:
    """A diagonal share < 0.9 or another > 0.1, at the last evaluation (the guide compares at each)."""
    last = next((e for e in reversed(run.evaluations) if e.confusion is not None), None)
    if last is None or last.confusion is None:
        return
    dense = last.confusion.dense()
    rates = dense / np.maximum(1, dense.sum(axis=1, keepdims=True))
    off = rates - np.diag(np.diag(rates))
    if (np.diag(rates)[last.confusion.support > 0] < 0.9).any() or (off > 0.1).any():
        yield last.step, "a diagonal cell below 0.9 or another above 0.1"


RULES = (
    vanishing_gradient, exploding_tensor, weight_update_ratio, unchanged_tensor, dead_relu, saturated_activation,
    loss_not_decreasing, overfit, overtraining, class_imbalance, confusion,
)  # fmt: skip

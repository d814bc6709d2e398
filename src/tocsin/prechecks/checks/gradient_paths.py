"""OPT002 before the run."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.probes.measures import dense
from tocsin.probes.terms import hides

_SHOWN = 5
_FAULTS = (
    ("cut off", "get no gradient", "Use them in the forward pass, or leave them out of the optimizer"),
    ("zero", "get a gradient of exactly 0", "Look for a product with 0, a saturated or dead unit before them"),
    ("left out", "get gradients, but no optimizer holds them", "Build the optimizer after the model is whole"),
)


@rule("OPT002", needs=(), severity="error", scope="setup")
def no_gradient_path(bench: Bench, *, share: float = 0.1) -> Iterator[Finding | NotChecked]:
    """Each trainable tensor is in an optimizer and gets a gradient from one of the first batches.

    ## What it does
    One backward pass of the total over each of the first batches, the model in training mode. A tensor is *cut off*
    where its gradient is None after all of them, *zero* where it is exactly 0 in each, *left out* where it has a
    gradient and no optimizer holds it. An error where these are more than `share` of the trainable entries, else a
    warning.

    ## Known limits
    A part that is used in some batches only (mixture of experts, curriculum) may not be in the first eight.
    """
    used: dict[str, float] = {}
    hidden = False
    for batch in bench.train:
        bench.model.train()
        total = bench.terms(batch)["total"]
        if not total.requires_grad:
            yield _no_gradient(total)
            return
        hidden = hidden or hides(total)
        _pull(bench, total, used)
    if hidden:
        yield NotChecked("part of the graph is out of sight: a re-entrant checkpoint")
    else:
        yield from _judged(bench, used, share)


def _pull(bench: Bench, total: Tensor, used: dict[str, float]) -> None:
    """One backward pass; ``used`` gets the largest entry of each gradient so far, inf for one that is no number."""
    torch.autograd.backward(total)
    for name, p in bench.trainable.items():
        if p.grad is not None:
            entries = dense(p.grad).abs()
            size = float(entries.max()) if entries.numel() else 0.0
            used[name] = max(used.get(name, 0.0), size if size == size else math.inf)
            p.grad = None


def _judged(bench: Bench, used: dict[str, float], share: float) -> Iterator[Finding]:
    tensors = {name: p for name, p in bench.trainable.items() if p.numel()}
    cut = [name for name in tensors if name not in used]
    zero = [name for name in tensors if used.get(name) == 0.0]
    out = [name for name, p in tensors.items() if used.get(name) and id(p) not in bench.optimized]
    entries = sum(p.numel() for p in tensors.values())
    for names, (subject, said, cure) in zip((cut, zero, out), _FAULTS, strict=True):
        if names:
            held = sum(tensors[name].numel() for name in names)
            shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
            yield Finding(
                f"{len(names)} of {len(tensors)} trainable tensors ({held / entries:.1%} of the entries) "
                f"{said} in {len(bench.train)} batches: {shown}",
                subject=subject,
                severity="error" if held > share * entries else "warning",
                evidence=tuple(
                    Evidence(f"parameter:{name}", used.get(name), 0, text="largest gradient entry")
                    for name in names[:_SHOWN]
                ),
                remedies=(Remedy(cure),),
            )


def _no_gradient(total: Tensor) -> Finding:
    return Finding(
        "the total loss has no gradient at all: nothing of it hangs on a trainable tensor",
        evidence=(Evidence("train/loss", float(total.detach()), 0, text="first batch"),),
        remedies=(Remedy("Compute the loss from the model's outputs, without detach(), item() or no_grad()"),),
    )

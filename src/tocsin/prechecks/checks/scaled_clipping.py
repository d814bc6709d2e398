"""OPT007 before the run."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.planted import Plant, Stepped, stepped, usable

_UNSCALE = Remedy("Call scaler.unscale_(optimizer) before clipping: the threshold is meant for true gradients")


@rule("OPT007", needs=("step", "scaler"), scope="setup")
def always_clipped(bench: Bench, *, large: float = 1e4, same: float = 0.01) -> Iterator[Finding | NotChecked]:
    """The user's own step clips true gradients, not those that are multiplied by the loss scale.

    ## What it does
    `step` runs twice with planted gradients whose true norm is R = `large` times the norm of the first batch's gradient
    (the norm of backward's gradient is R S), at the loss scales S and S/4. With a and b the norms that the optimizer
    used: clipped to a threshold M after unscaling, a = b = M; not clipped, a = b = R; clipped before unscaling,
    a = M/S and b = 4 a. Rings where b/a lies within `same` of 4 and a < R/2: exact, whatever M is.

    ## Known limits
    Needs a step that is a function of what it is given. A step that is skipped for too large a gradient is not checked.
    Rates that are always clipped after unscaling are seen in the record, by the rule of the same code.
    """
    reason = usable(bench)
    plain = stepped(bench) if reason is None else reason
    if isinstance(plain, str):
        yield NotChecked(plain)
        return
    if not plain.applied or not 0 < plain.raw < float("inf"):
        yield NotChecked("step makes no optimizer step with a finite gradient on the first batch")
        return
    scale = plain.scale[0]
    seen = [stepped(bench, _grown(large), s) for s in (scale, scale / 4)]
    one, two = (s if isinstance(s, Stepped) and s.applied and s.finite else None for s in seen)
    if one is None or two is None:
        yield NotChecked(f"step makes no optimizer step with a gradient {large:g} times as large")
        return
    a, b = one.applied[0], two.applied[0]
    if a < one.raw / scale / 2 and abs(b / max(a, 1e-300) - 4) < 4 * same:
        yield _finding(plain, a, scale)


def _grown(factor: float) -> Plant:
    def plant(p: Tensor) -> None:
        with torch.no_grad():
            p.grad.mul_(factor)  # type: ignore[union-attr]

    return plant


def _finding(plain: Stepped, applied: float, scale: float) -> Finding:
    limit, true, kept = applied * scale, plain.raw / scale, plain.applied[0]
    message = (
        f"gradients are clipped to a norm of {limit:.3g} before the loss scale of {scale:.6g} is divided out, so the "
        f"optimizer gets at most {applied:.3g}: on the first batch {kept:.3g} of a true gradient of norm {true:.3g} "
        f"({kept / true:.2g} of it), and other amounts whenever the scale changes"
    )
    evidence = (
        Evidence("setup:step", applied, 0, limit, text="largest norm that reaches the optimizer; the threshold"),
        Evidence("setup:scaler", scale, 0, text="loss scale, 4 times as much at a quarter of it"),
    )
    return Finding(message, subject="scaled", evidence=evidence, remedies=(_UNSCALE,))

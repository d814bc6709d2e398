"""AMP002 before the run."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.planted import Stepped, stepped, usable

_SANITISER = (
    Remedy("Remove nan_to_num or clamp on gradients: GradScaler skips the step and halves its scale by itself"),
    Remedy("If it must stay, run it after scaler.unscale_(optimizer), which looks for overflow first"),
)
_BYPASS = (Remedy("Step by scaler.step(optimizer), never by optimizer.step(), and call scaler.update() after it"),)
_UPDATE = (Remedy("Call scaler.update() once after each step, skipped ones too"),)


@rule("AMP002", needs=("step", "scaler"), severity="error", scope="setup")
def overflow_masked(bench: Bench) -> Iterator[Finding | NotChecked]:
    """An infinite gradient makes the user's own step skip the optimizer, and lowers the loss scale.

    ## What it does
    `step` runs once as it is, which must make an optimizer step, and once with inf (then once with NaN) written into
    one entry of every gradient right after backward has left it. Then, exactly:

    - *masked*: an optimizer stepped, on finite gradients: something replaced the overflow before the scaler looked.
    - *bypassed*: an optimizer stepped on the inf itself.
    - *kept*: all were skipped, but the loss scale is what it was: a warning, since the next step overflows as well.

    Silent where all were skipped and the scale fell. No threshold: the order of the calls decides it.

    ## Known limits
    A sanitiser in a tensor hook runs before what is planted and is not seen. A `step` that keeps its own references to
    the model, the optimizer or the scaler steps those. One that raises on an overflow is not checked. With several
    optimizers of which one owns no gradient, that one steps rightly, and nothing is said.
    """
    reason = usable(bench)
    plain = stepped(bench) if reason is None else reason
    if isinstance(plain, str):
        yield NotChecked(plain)
        return
    if not plain.applied or not plain.finite or not plain.raw:
        yield NotChecked("step makes no optimizer step with finite gradients on the first batch")
        return
    for value in (math.inf, math.nan):
        found = stepped(bench, lambda p, value=value: _write(p, value))  # type: ignore[misc]
        if isinstance(found, str):
            yield NotChecked(f"step raised on a gradient of {value}: {found}")
            return
        if (finding := _judged(plain, found, value)) is not None:
            yield finding
            return


def _write(p: Tensor, value: float) -> None:
    with torch.no_grad():
        p.grad.view(-1)[0] = value  # type: ignore[union-attr]


def _judged(plain: Stepped, found: Stepped, value: float) -> Finding | None:
    before, after = found.scale
    remedies: tuple[Remedy, ...]
    scale = f"its scale went from {before:.6g} to {after:.6g}" if after != before else f"its scale stays {before:.6g}"
    planted = f"{value} was planted in every gradient after backward"
    if len(found.applied) < len(plain.applied) or not found.applied:
        if after < before:
            return None
        said = f"{planted}: the step was skipped, but the GradScaler was not told: {scale}"
        subject, remedies = "kept", _UPDATE
    elif found.finite:
        said = (
            f"{planted}, yet the optimizer stepped, on finite numbers of norm {found.applied[0]:.3g}: something "
            f"replaces them before the GradScaler looks ({scale})"
        )
        subject, remedies = "masked", _SANITISER
    else:
        said = f"{planted}, and the optimizer stepped on it: no GradScaler stands between ({scale})"
        subject, remedies = "bypassed", _BYPASS
    evidence = (
        Evidence("setup:step", float(len(found.applied)), 0, 0.0, text="optimizer steps on a planted overflow"),
        Evidence("setup:scaler", after, 0, before, text="loss scale after it; before it"),
    )
    severity: Severity = "warning" if subject == "kept" else "error"
    return Finding(said, subject=subject, severity=severity, evidence=evidence, remedies=remedies)

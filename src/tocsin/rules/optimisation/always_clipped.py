"""OPT007 always-clipped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin import learning, movement, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.run import Floats, Ints, Run

_SAMPLES = 12
_NEAR_EPS = 1e-7
_LASTING = 0.9
_MOVED = 0.1  # fall of the training loss that shows that it learns at this rate, as in OPT008
_SAME = 0.01  # spread of a norm that was clipped to one value
_KEYS = frozenset(
    {
        "max_grad_norm", "clip_grad_norm", "gradient_clip_val", "grad_clip", "clip_norm", "gradient_clipping",
        "clipnorm", "global_clipnorm", "grad_clip_norm", "clip_grad", "max_norm",
    }
)  # fmt: skip
_UNSCALE = Remedy("Call scaler.unscale_(optimizer) before clip_grad_norm_: the threshold is meant for true gradients")
_RAISE = (
    Remedy("Set the threshold near the typical norm (its upper quartile), so that only outliers are clipped"),
    Remedy("If clipping every step is wanted, say so: it is normalised gradient descent at the threshold's length"),
)


@dataclass(frozen=True)
class Clipped:
    """The samples of a run: how much of the gradient clipping left, and the norm to which it was cut.

    Attributes:
        step, kept, raw: Each shape (n,); ``kept`` is applied over raw norm.
        at: Where each sample was cut to, shape (n,).
        applied: Whether the applied norm was measured rather than declared.
        scaled: Clipped before unscaling: what is constant is the applied norm times the loss scale.
        limit: The threshold.
        begin: The first clipped sample of the run.
    """

    step: Ints
    kept: Floats
    raw: Floats
    at: Floats
    applied: bool
    scaled: bool
    limit: float
    begin: int


@rule(
    "OPT007",
    needs=("grad/norm",),
    severity="warning",
    when="end",
    explains=(
        "EVL002", "GEN002", "GEN004", "OBJ009", "OPT004", "OPT009", "PRD001", "PRD002", "PRD003", "PRD004", "PRD009",
        "PRD010", "PRD012", "RUN004",
    ),
)  # fmt: skip
def always_clipped(run: Run, *, share: float = 0.75, kept: float = 0.1) -> Iterator[Finding | NotChecked]:
    """Nearly every gradient is clipped to a small part of itself: the learning rate you set is not the one you get.

    ## What it does
    With `g` the raw and `a` the applied norm of a sample, `c = a / g` is the share of the gradient that clipping left.
    A sample is clipped where c < 0.99 and `a` lies within 1 % of one value M (the median of all such samples), as a
    threshold makes it. It fires when

    - the lower end of the 95 % Wilson interval of the share of clipped samples is above `share`, and 9 of 10 of the
      later half are clipped, and
    - the upper end of the 95 % interval of the geometric mean of c is below `kept`.

    Where a log gives `grad/norm` alone, M is the threshold that the configuration declares and c = min(1, M / g).

    Under a GradScaler with scale S, clipping *before* `unscale_` cuts the scaled gradient, and the optimizer gets
    M / S: told by `a * S` being one value while S changes, or by `a * S` being the declared threshold (or a round
    number) and `a` not.

    Severity: clipping before unscaling is a warning. Else it depends on what it costs: an error where the loss stands
    still (no fall of 5 % in the 95 % interval, none of 2 % by estimate, no evaluation improved), a warning then where
    the optimizer is not known; a warning, too, where plain descent lowered the training loss by less than a tenth from
    its first to its last tenth (as OPT008 asks of a rate that never arrives; a note of a fine-tuned model); else a
    note. A scale-free optimizer loses nothing until the entries come near its `eps`:
    a note, and a warning where the loss stands still and `a / sqrt(n) < 1e-7`, ten times the usual `eps`.

    ## Why is this bad?
    The step is then `lr * M * g / |g|`: a threshold of 1e-3 on gradients of norm 1 divides the learning rate by 1000,
    and all steps have one length, so that training cannot slow down near a minimum. Adam and its kin divide by the
    size of the gradient again, so that little is lost until the entries come near `eps`.

    ## Example
    ```python
    step = np.arange(1, 401)
    raw = Series.of("", 1 + 0.3 * np.sin(step[::8]), step=step[::8])
    cut = Series.of("", np.full(50, 1e-3), step=step[::8])
    run = Run.of(
        series={"grad/norm": raw, "grad/applied_norm": cut, "train/loss": 2.3 + 0.05 * np.sin(step)},
        environment={"optimizers": ["SGD"]}, exit="finished",
    )
    ```
    Use instead:
    ```python
    step = np.arange(1, 401)
    raw = Series.of("", 1 + 0.3 * np.sin(step[::8]), step=step[::8])
    cut = Series.of("", np.minimum(raw.value, 1.2), step=step[::8])
    run = Run.of(
        series={"grad/norm": raw, "grad/applied_norm": cut, "train/loss": 0.3 + 2 * np.exp(-step / 90)},
        environment={"optimizers": ["SGD"]}, exit="finished",
    )
    ```

    ## Fix
    - **unsafe** Call `scaler.unscale_(optimizer)` before clipping.
    - **unsafe** Set the threshold near the upper quartile of the norms, so that outliers alone are clipped.

    ## Options
    - `share` = 0.75: of the samples; the bound of 12 clipped ones of 12. Clipping is meant for outliers, and half of
      the steps is still in use.
    - `kept` = 0.1: a learning rate that is wrong by 10 and more; smaller factors are absorbed by tuning it.

    ## Known limits
    Needs 12 samples. Sees clipping by norm; clipping by value shows in OPT003. Under data parallelism
    the raw norm is that of one rank, larger than that of the mean, and the applied one does not vary less: it stays
    silent. A clip that is always on while the loss falls is a note: recurrent networks are trained so on purpose.

    ## References
    Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks. Micikevicius et al. 2018,
    Mixed precision training. Wilson 1927.
    """
    found = _measured(run) if run.get("grad/applied_norm") is not None else _declared(run)
    if isinstance(found, str):
        yield NotChecked(found)
        return
    clipped = np.abs(found.at - found.limit) <= _SAME * found.limit
    clipped &= found.kept < 0.99
    low, high = stats.wilson(int(clipped.sum()), clipped.size)
    lasting = clipped[clipped.size // 2 :].mean() >= _LASTING
    logs = np.log(np.clip(found.kept, 1e-300, None))
    centre, upper = math.exp(logs.mean()), _upper(logs)
    if lasting and low > share and upper < kept:
        yield _finding(run, found, (low, high), float(clipped.mean()), centre, upper, kept)


def _upper(logs: Floats) -> float:
    """Upper end of the interval of a geometric mean."""
    return math.exp(stats.mean_interval(logs)[1]) if np.ptp(logs) else math.exp(float(logs[0]))


def _measured(run: Run) -> Clipped | str:
    raw, applied = run.series["grad/norm"], run.series["grad/applied_norm"]
    step, i, j = np.intersect1d(raw.step, applied.step, return_indices=True)
    g, a = raw.value[i], applied.value[j]
    good = np.isfinite(g) & np.isfinite(a) & (g > 0) & (a > 0)
    step, g, a = step[good], g[good], a[good]
    if step.size < _SAMPLES:
        return f"needs {_SAMPLES} samples of the raw and the applied gradient, it has {step.size}"
    cut = a / g < 0.99
    begin = int(step[cut][0]) if cut.any() else 0
    scale = run.get("amp/scale")
    scales = movement.held(scale, step) if scale is not None else np.ones(step.size)
    scaled = bool((scales > 1).all()) and _before_unscaling(run, a, scales)
    at = a * scales if scaled else a
    return Clipped(step, a / g, g, at, True, scaled, float(np.median(at)), begin)


def _before_unscaling(run: Run, applied: Floats, scales: Floats) -> bool:
    """Whether the applied norm times the loss scale is a threshold, and the applied norm itself is none."""
    product = applied * scales
    limit, plain = float(np.median(product)), float(np.median(applied))
    if not np.mean(np.abs(product - limit) <= _SAME * limit) > 0.9:
        return False
    if scales.max() >= 2 * scales.min() and np.mean(scales != np.median(scales)) > 0.1:
        return True
    told = _threshold(run)
    if told is not None:
        return abs(limit - told[1]) <= _SAME * told[1]
    return _is_round(limit) and not _is_round(plain)


def _is_round(x: float) -> bool:
    """Whether a number has at most 2 significant digits, to 1 part in 1000."""
    near = float(f"{x:.1e}")
    return near > 0 and abs(x - near) <= 1e-3 * near


def _declared(run: Run) -> Clipped | str:
    told, norm = _threshold(run), run.series["grad/norm"].finite
    if told is None:
        return "needs grad/applied_norm (record it with tocsin.watch), or a threshold in the configuration"
    if len(norm) < _SAMPLES:
        return f"needs {_SAMPLES} values of grad/norm, it has {len(norm)}"
    limit, g = told[1], norm.value
    if (g <= 1.001 * limit).all() and np.mean(g >= 0.99 * limit) > 0.5:
        return "grad/norm was logged after clipping"
    cut = norm.step[g > limit]
    kept = np.minimum(1.0, limit / np.maximum(g, 1e-300))
    at = np.minimum(g, limit)
    return Clipped(norm.step, kept, g, at, False, False, limit, int(cut[0]) if cut.size else 0)


def _threshold(run: Run) -> tuple[str, float] | None:
    """Key and value of the largest threshold that the configuration declares."""
    found = [(key, float(v)) for key, v in _leaves(run.config) if isinstance(v, int | float) and 0 < v < math.inf]
    return max(found, key=lambda one: one[1], default=None)


def _leaves(config: Any, head: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for key, value in config.items() if isinstance(config, Mapping) and depth < 6 else ():
        name = f"{head}.{key}" if head else str(key)
        if str(key).lower() in _KEYS and not isinstance(value, bool):
            yield name, value
        yield from _leaves(value, name, depth + 1)


def _finding(
    run: Run, found: Clipped, interval: tuple[float, float], share: float, centre: float, upper: float, limit: float
) -> Finding:
    severity, cost = _cost(run, found, 1 / centre)
    where = f"the clip at {found.limit:.3g}"
    if found.scaled:
        where += " comes before unscaling, so it cuts the scaled gradient, and it"
    message = (
        f"{where} leaves {centre:.2g} (at most {upper:.2g}) of the gradient, in {share:.0%} "
        f"[{interval[0]:.0%}, {interval[1]:.0%}] of the samples (raw norm {np.median(found.raw):.3g}){cost}"
    )
    name = "grad/applied_norm" if found.applied else "grad/norm"
    series = run.series[name]
    last = int(np.flatnonzero(series.step == found.step[-1])[-1])
    evidence = [
        Evidence(name, float(series.value[last]), int(series.step[last]), limit, interval, "share of clipped samples"),
        Evidence("grad/norm", *_point(run, int(found.step[-1])), text="raw norm"),
    ]
    told = _threshold(run)
    if told is not None:
        evidence.append(Evidence(f"config:{told[0]}", told[1], text="declared threshold"))
    remedies = (_UNSCALE, *_RAISE) if found.scaled else _RAISE
    return Finding(message, "", found.begin, tuple(evidence), remedies, severity)


def _point(run: Run, step: int) -> tuple[float, int]:
    raw = run.series["grad/norm"]
    return float(raw.value[np.flatnonzero(raw.step == step)[-1]]), step


def _cost(run: Run, found: Clipped, factor: float) -> tuple[Severity, str]:
    """How grave it is, and what it costs in words."""
    stands, free = movement.standing(run), movement.scale_free(run)
    still = stands is not None and stands.still
    kind = " and ".join(movement.optimizers(run)) or "the optimizer"
    lost = f": {kind} runs as if its learning rate were divided by {factor:,.3g}"
    if free:
        lost = f": {kind} divides by the gradient's size again, so little is lost unless its entries come near eps"
    elif free is None:
        lost = f": unless the optimizer is scale-free (Adam), its learning rate is as if divided by {factor:,.3g}"
    lost += f"; {stands.words}" if stands is not None else ""
    if still and (free is not True or _near_eps(run, found)):
        return ("error" if free is False else "warning"), lost
    barely = free is False and stands is not None and stands.fell < _MOVED and not learning.fine_tuned(run)
    return ("warning" if found.scaled or barely else "note"), lost


def _near_eps(run: Run, found: Clipped) -> bool:
    n = sum(p.size for p in run.parameters if p.requires_grad)
    return n > 0 and float(np.median(found.raw * found.kept)) / math.sqrt(n) < _NEAR_EPS

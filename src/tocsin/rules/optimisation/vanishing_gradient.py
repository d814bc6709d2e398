"""OPT006 vanishing-gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import informed, learning, movement, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.run import Evaluation, Floats, Run, Series

_FIRST, _FELL = 0.2, 0.5
_ORDERED = 0.05
_CONSTANT = 1e-3  # of the target's sd: as in PRD002
_SMALL = 0.3  # as in PRD005
_ROUNDED = 1e-12  # no sum of float32 numbers changes by less
_SAMPLES, _DEPTH, _ENTRIES, _LEAST_STEPS = 5, 4, 16, 20
_REMEDIES = (
    Remedy("Use an activation that does not saturate (ReLU, GELU) with its own initialisation (He)"),
    Remedy("Add residual connections or normalisation between the layers"),
)


@dataclass(frozen=True)
class Layer:
    """One weight tensor in order of depth: log of its gradient's RMS, and its update ratios, a point a sample."""

    name: str
    norm: Series
    logs: Series
    ratio: Series


@dataclass(frozen=True)
class Gap:
    """A factor between the back and the front of a network: its median over the samples and 90 % of them."""

    value: float
    low: float
    high: float


@rule(
    "OPT006",
    needs=("grad/norm/*", "update/ratio/*", "train/loss", "parameters", "count/optimizer"),
    severity="warning",
    when="end",
    explains=(
        "GEN002",
        "GEN004",
        "OBJ009",
        "OPT001",
        "OPT004",
        "OPT009",
        "PRD001",
        "PRD002",
        "PRD003",
        "PRD009",
        "PRD010",
        "PRD012",
    ),
    live=True,
)
def vanishing_gradient(
    run: Run, *, gap: float = 1000.0, slower: float = 100.0, moved: float = 0.01
) -> Iterator[Finding | NotChecked]:
    """The gradient fades on its way to the front layers, which stand still while the back ones move.

    ## What it does
    The layers are the trainable weights of at least 16 entries in the order of `named_parameters()` (embeddings and
    routed experts left out), at least 4. With `G` the RMS of a layer's raw gradient at a sample, `F` the geometric mean
    of G over the front third and `B` over the back third, and likewise `u_F`, `u_B` for the update ratios, it looks
    when

    - `B / F > gap` in 95 % of the samples, and
    - G rises with depth over all layers, not between two of them (Kendall's test of their order, p < .05).

    It then fires where that does harm: after its first fifth, in which any network learns the priors of the classes or
    the mean of the targets, the training loss stands still (no fall of 5 % in its 95 % interval, none of 2 % by
    estimate, no evaluation improved), or the last predictions of every task are constant or say nothing of their
    targets (chance not excluded at 5 %, a correlation or kappa of .3 is). The loss must not have fallen by half in all,
    and, unless the optimizer is scale-free, `u_B / u_F > slower` in 95 % of the samples. A note where the loss falls
    but the front stands: `u_B / u_F > slower` and the sum of u_F over all optimizer steps is below `moved`.

    ## Why is this bad?
    Each sigmoid multiplies the gradient by at most 1/4, so after eight layers at most 1.5e-5 is left. The front layers
    keep their random weights, and what they drop from the input the back layers cannot bring back.

    ## Example
    ```python
    at, names = np.arange(1, 401, 8), [f"{k}.weight" for k in range(8)]
    series = {"train/loss": 2.3 + 0.05 * np.sin(np.arange(400)), "count/optimizer": np.arange(1, 401)}
    for k, name in enumerate(names):
        series[f"grad/norm/{name}"] = Series.of("", np.full(50, 10.0 ** (k - 8)), step=at)
        series[f"update/ratio/{name}"] = Series.of("", np.full(50, 10.0 ** (k - 10)), step=at)
    table = tuple(Parameter(name, 1024, True, True) for name in names)
    run = Run.of(series=series, parameters=table, environment={"optimizers": ["SGD"]}, exit="finished")
    ```
    Use instead:
    ```python
    at, names = np.arange(1, 401, 8), [f"{k}.weight" for k in range(8)]
    series = {"train/loss": 0.3 + 2 * np.exp(-np.arange(400) / 90), "count/optimizer": np.arange(1, 401)}
    for k, name in enumerate(names):
        series[f"grad/norm/{name}"] = Series.of("", np.full(50, 0.01 + 0.002 * k), step=at)
        series[f"update/ratio/{name}"] = Series.of("", np.full(50, 1e-3), step=at)
    table = tuple(Parameter(name, 1024, True, True) for name in names)
    run = Run.of(series=series, parameters=table, environment={"optimizers": ["SGD"]}, exit="finished")
    ```

    ## Fix
    - **unsafe** Use an activation that does not saturate, with the initialisation that belongs to it.
    - **unsafe** Add residual connections or normalisation.

    ## Options
    - `gap` = 1000: between the thirds of a network. Those that learned had medians of 2 to 160 (MLPs of 3 to 10 ReLU,
      tanh or sigmoid layers on digits), those that did not 1e5 and more. A fixed size such as 1e-7 says nothing, since
      gradients have the unit of the loss.
    - `slower` = 100: front layers that are tuned with a lower learning rate on purpose have a tenth to a hundredth.
    - `moved` = 0.01: as in OPT004.

    ## Known limits
    Needs 5 samples, 16 losses, 20 completed steps. The order of the parameters is taken for the order of depth: a model
    that declares its layers in another order is not seen. With Adam the front moves whatever its gradient is, so a
    fall of the loss is what shows that the gradient sufficed. Skips and branches are one order for this rule.

    ## References
    Hochreiter 1991; Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
    Mann 1945.
    """
    layers, stands = _layers(run), movement.standing(run, _FIRST)
    if len(layers) < _DEPTH or stands is None or movement.completed(run) < _LEAST_STEPS:
        yield NotChecked(
            f"needs {_DEPTH} weights with {_SAMPLES} samples, {_LEAST_STEPS} completed steps and {movement.FEWEST} "
            "values of a loss that is to fall"
        )
        return
    third = max(1, len(layers) // 3)
    front, back = layers[:third], layers[-third:]
    grads = _gap([x.logs for x in front], [x.logs for x in back])
    if grads is None or not grads.low > gap or not _rises(layers):
        return
    updates = _gap(*([_log(x.ratio, _ROUNDED) for x in part] for part in (front, back)))
    lagging = updates is not None and updates.low > slower
    far = max(movement.path(run, x.ratio) for x in front)
    fallen = learning.fallen(run.series["train/loss"].finite)
    blind = not stands.still and _blind(run)
    harm = (stands.still or blind) and fallen < _FELL and (lagging or movement.scale_free(run) is True)
    if harm or (lagging and far < moved):
        words = f"{stands.words}, and the predictions say nothing of the targets" if blind else stands.words
        yield _finding(layers, third, grads, updates, far, (stands, words), None if harm else "note", gap)


def _blind(run: Run) -> bool:
    """Whether the last predictions of every task are constant or say nothing of their targets."""
    last = [evaluations[-1] for evaluations in run.of_kind().values() if evaluations[-1].step > 0]
    return bool(last) and all(_says_nothing(e) for e in last)


def _says_nothing(e: Evaluation) -> bool:
    shown = informed.skill(e)
    constant = bool(e.moments) and all(0 <= m.s <= _CONSTANT for m in e.moments)
    return constant or (shown is not None and shown.within(_SMALL, 0.05))


def _layers(run: Run) -> list[Layer]:
    found = []
    for p in run.parameters:
        norm, ratio = run.get(f"grad/norm/{p.name}"), run.get(f"update/ratio/{p.name}")
        weight = p.name.endswith("weight") or p.name.rpartition(".")[2].startswith("weight")
        if norm is None or ratio is None or p.role or not (p.requires_grad and weight and p.size >= _ENTRIES):
            continue
        logs = _log(norm)
        if len(logs) >= _SAMPLES and len(ratio.finite) >= _SAMPLES:
            shift = 0.5 * math.log(p.size)
            logs = Series.of(norm.name, logs.value - shift, step=logs.step)
            found.append(Layer(p.name, norm.finite, logs, ratio.finite))
    return found


def _log(series: Series, floor: float = 1e-45) -> Series:
    """Logarithms of the finite values, those of the smallest from ``floor`` on."""
    known = series.finite
    return Series.of(series.name, np.log(np.maximum(known.value, floor)), step=known.step)


def _gap(front: list[Series], back: list[Series]) -> Gap | None:
    """Factor between two groups of layers over the samples that all of them have."""
    steps = set(front[0].step.tolist()).intersection(*(s.step.tolist() for s in [*front, *back]))
    if len(steps) < _SAMPLES:
        return None
    at = np.array(sorted(steps))

    def level(group: list[Series]) -> Floats:
        levels: Floats = np.mean([s.value[np.searchsorted(s.step, at)] for s in group], axis=0, dtype=np.float64)
        return levels

    apart = level(back) - level(front)
    middle, low, high = np.quantile(apart, (0.5, 0.05, 0.95), method="nearest")
    return Gap(*(math.exp(min(max(float(x), -700.0), 700.0)) for x in (middle, low, high)))


def _rises(layers: list[Layer]) -> bool:
    """Whether the gradient grows with depth over all layers, against all orders of them."""
    return stats.order_p([float(np.median(x.logs.value)) for x in layers]) < _ORDERED


def _finding(
    layers: list[Layer],
    third: int,
    grads: Gap,
    updates: Gap | None,
    far: float,
    standing: tuple[movement.Standing, str],
    severity: Severity | None,
    limit: float,
) -> Finding:
    stands, words = standing
    slow = f", and its updates {updates.value:.1g} times" if updates is not None else ""
    message = (
        f"the gradient of the first {third} of {len(layers)} weights ({layers[0].name} ...) is {grads.value:.2g} "
        f"[{grads.low:.2g}, {grads.high:.2g}] times smaller than that of the last {third} ({layers[-1].name}){slow}: "
        f"all optimizer steps moved the front by at most {far:.2g} of its size; {words}"
    )
    first = layers[0]
    evidence = (
        Evidence(
            f"grad/norm/{first.name}",
            float(first.norm.value[-1]),
            int(first.norm.step[-1]),
            limit,
            (grads.low, grads.high),
            "norm; interval: how many times smaller than at the back",
        ),
        Evidence(f"update/ratio/{first.name}", float(first.ratio.value[-1]), int(first.ratio.step[-1])),
        Evidence("train/loss", stands.value, stands.step, 0.0, (stands.low, stands.high), "relative change"),
    )
    return Finding(message, "", int(first.logs.step[0]), evidence, _REMEDIES, severity)

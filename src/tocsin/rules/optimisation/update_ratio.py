"""OPT004 update-ratio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tocsin import learning, movement, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Severity, rule
from tocsin.run import Floats, Ints, Run, Series

_SAMPLES, _LEAST_STEPS = 5, 20
_GREW = 0.1
_SMALL = (
    Remedy("Look for what shrinks the step: the learning rate's unit, the schedule, the clip, the loss divided twice"),
    Remedy("Raise the learning rate by 10 until the loss moves"),
)
_LARGE = (Remedy("Lower the learning rate by 3 to 10, or lengthen the warm-up"),)


@dataclass(frozen=True)
class Tensor:
    """The finite update ratios of one tensor, and its number of entries."""

    ratio: Series
    size: int


@rule(
    "OPT004",
    needs=("update/ratio/*", "train/loss", "count/optimizer", "parameters"),
    severity="warning",
    when="end",
    explains=(
        "EVL002", "GEN002", "GEN004", "GEN005", "OBJ009", "PRD001", "PRD002", "PRD003", "PRD004", "PRD009", "PRD010",
        "PRD012",
    ),
    live=True,
)  # fmt: skip
def update_ratio(
    run: Run, *, least: float = 0.01, most: float = 0.1, entries: float = 0.5
) -> Iterator[Finding | NotChecked]:
    """The updates are too small to have moved the parameters, or so large that they undo each other.

    ## What it does
    With `u` the sampled update ratios of a tensor (RMS of one optimizer step's update over RMS of the tensor) and `N`
    the number of completed optimizer steps, rings when

    1. **too small**: for 9 of 10 trainable entries the longest path that the updates can have made, the sum over all N
       steps of the larger `u` of the two samples around each, is below `least`, and the training loss stands still: the
       95 % interval of its change excludes a fall of 5 %, the estimate one of 2 %, and no evaluation improved (one that
       stays at a guess is none);
    2. **too large**: in the later half of the run, a majority of the samples (lower end of the 95 % Wilson interval
       above 1/2) move at least the share `entries` of the trainable entries by `u > most`, and the loss rises over that
       half (Theil-Sen interval above 0) by a tenth.

    Small ratios alone are silent: every decayed learning rate leaves them. Tensors that are all 0 have no ratio and do
    not count.

    ## Why is this bad?
    Weights that have gone less than a hundredth of their own size compute what they computed before training; weights
    that are replaced by a tenth at every step forget what the step before found.

    ## Example
    ```python
    step = np.arange(1, 401)
    at = step[::8]
    run = Run.of(
        series={"train/loss": 2.3 + 0.05 * np.sin(step), "count/optimizer": step,
                "update/ratio/weight": Series.of("", np.full(50, 2e-6), step=at)},
        parameters=(Parameter("weight", 10_000, True, True),), exit="finished",
    )
    ```
    Use instead:
    ```python
    step = np.arange(1, 401)
    at = step[::8]
    run = Run.of(
        series={"train/loss": 0.3 + 2 * np.exp(-step / 90), "count/optimizer": step,
                "update/ratio/weight": Series.of("", np.full(50, 2e-3), step=at)},
        parameters=(Parameter("weight", 10_000, True, True),), exit="finished",
    )
    ```

    ## Fix
    - **safe** Look for what shrinks the step: the unit of the learning rate, the schedule, the clip, the loss scale.
    - **unsafe** Raise (or lower) the learning rate by 3 to 10.

    ## Options
    - `least` = 0.01: in the limit of lazy training the weights of a layer of n units move by 1 / sqrt(n) of their size
      (Chizat et al. 2019), n = 10,000; the path is longer than the way.
    - `most` = 0.1: a hundred times the customary 1e-3 (Karpathy 2019); needs a loss that rises beside it.
    - `entries` = 0.5: small tensors, biases above all, move by more on purpose.

    ## Known limits
    Needs 5 samples, 16 values of the loss, 20 completed steps. Silent in adversarial and reinforcement learning, whose
    losses need not fall, and where the loss is too noisy to exclude a fall. A run that starts from a trained model
    and has nothing left to learn is a note.

    ## References
    Chizat, Oyallon & Bach 2019, On lazy training in differentiable programming. Karpathy 2019, A recipe for training
    neural networks. Sen 1968; Wilson 1927.
    """
    tensors, stands = _tensors(run), movement.standing(run)
    if not tensors or stands is None or movement.completed(run) < _LEAST_STEPS:
        yield NotChecked(
            f"needs {_SAMPLES} samples, {_LEAST_STEPS} completed steps and {movement.FEWEST} values of a loss that is "
            "to fall"
        )
        return
    found = _too_small(run, tensors, stands, least) or _too_large(run, tensors, most, entries)
    if found is not None:
        yield found


def _tensors(run: Run) -> dict[str, Tensor]:
    sizes = {p.name: p.size for p in run.parameters if p.requires_grad}
    known = {name: s.finite for name, s in run.family("update/ratio").items() if name in sizes}
    return {name: Tensor(s, sizes[name]) for name, s in known.items() if len(s) >= _SAMPLES}


def _too_small(run: Run, tensors: dict[str, Tensor], stands: movement.Standing, least: float) -> Finding | None:
    done = movement.completed(run)
    upper = {name: movement.path(run, _larger(t.ratio)) for name, t in tensors.items()}
    order = sorted(upper, key=lambda name: upper[name])
    counted = np.cumsum([tensors[name].size for name in order])
    at = order[int(np.searchsorted(counted, 0.9 * counted[-1]))]
    if not (upper[at] < least and stands.still):
        return None
    ratio, middle = tensors[at].ratio, _middle(tensors[at].ratio)
    message = (
        f"{done} optimizer steps moved 9 of 10 entries by at most {upper[at]:.2g} of their size, by updates of "
        f"{middle.value[0]:.2g} ({at}); {stands.words}"
    )
    evidence = (
        Evidence(
            f"update/ratio/{at}", float(middle.value[0]), int(middle.step[0]), least / done, text="the median update"
        ),
        Evidence("train/loss", stands.value, stands.step, 0.0, (stands.low, stands.high), "relative change"),
    )
    severity: Severity = "note" if learning.fine_tuned(run) else "warning"
    begin = min(int(t.ratio.step[0]) for t in tensors.values())
    return Finding(message, "too small", begin if len(ratio) else 0, evidence, _SMALL, severity)


def _larger(ratio: Series) -> Series:
    """At each sample the larger of it and the next: schedules bend updates slowly, so no step between exceeds both."""
    return replace(ratio, value=np.maximum(ratio.value, np.append(ratio.value[1:], ratio.value[-1])))


def _middle(series: Series) -> Series:
    """The point at the median (the lower of two)."""
    return series[np.argsort(series.value)[(len(series) - 1) // 2 :][:1]]


def _too_large(run: Run, tensors: dict[str, Tensor], most: float, entries: float) -> Finding | None:
    loss = run.series["train/loss"].finite
    loss = loss[len(loss) // 2 :]
    slope = stats.trend(loss.step, loss.value)
    rose = slope.slope * float(loss.step[-1] - loss.step[0])
    if not (slope.rising and rose > _GREW * abs(float(np.median(loss.value[: max(1, len(loss) // 10)])))):
        return None
    steps, share = _moved(tensors, most)
    large = share > entries
    late = steps >= loss.step[0]
    low, high = stats.wilson(int(large[late].sum()), int(late.sum()))
    if not low > 0.5:
        return None
    quiet = np.flatnonzero(~large & ~late)
    begin = int(steps[np.flatnonzero(large)[np.flatnonzero(large) > (quiet[-1] if quiet.size else -1)][0]])
    name = max(tensors, key=lambda n: tensors[n].size * bool((tensors[n].ratio.value[-3:] > most).all()))
    ratio = tensors[name].ratio
    message = (
        f"since step {begin} single updates are larger than {most:.0%} of the tensors that hold {entries:.0%} of the "
        f"entries, in {large[late].mean():.0%} [{low:.0%}, {high:.0%}] of the later samples ({name}: "
        f"{ratio.value[-1]:.2g}); the loss rises by {rose:.3g} meanwhile"
    )
    evidence = (
        Evidence(
            f"update/ratio/{name}", float(ratio.value[-1]), int(ratio.step[-1]), most, (low, high), "share of samples"
        ),
        Evidence("train/loss", float(loss.value[-1]), int(loss.step[-1]), text=f"rose by {rose:.3g}"),
    )
    return Finding(message, "too large", begin, evidence, _LARGE)


def _moved(tensors: dict[str, Tensor], most: float) -> tuple[Ints, Floats]:
    """Per sampled step, the share of the entries whose tensor moved by more than ``most``."""
    steps = np.unique(np.concatenate([t.ratio.step for t in tensors.values()]))
    moved = np.zeros(steps.size)
    for t in tensors.values():
        moved[np.searchsorted(steps, t.ratio.step)] += t.size * (t.ratio.value > most)
    return steps, moved / sum(t.size for t in tensors.values())

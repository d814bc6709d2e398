"""GEN006 eval-better-than-train."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import declared, learning, names, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Floats, Ints, Run, Series

_EXPLAINS = {
    "dropout": ("dropout",),
    "stochastic depth": ("droppath", "stochasticdepth"),
    "label smoothing": ("labelsmoothing", "smoothing"),
    "augmentation": (
        "augment",
        "augmentation",
        "augmentations",
        "randaugment",
        "autoaugment",
        "mixup",
        "cutmix",
        "aug",
    ),
    "noise": ("noise", "noisestd"),
}
_OFF = frozenset(("", "none", "false", "null", "no", "0", "0.0", "off", "[]", "{}"))


@dataclass(frozen=True)
class Gap:
    """Evaluation loss over the training loss of the end of the same epoch, at late evaluations.

    Attributes:
        name: The evaluation loss.
        step: (E,).
        held: (E,) evaluation losses.
        train: (E,) levels of the training loss.
        ratio: Geometric mean of held / train, ``low`` and ``high`` its 99 % interval.
    """

    name: str
    step: Ints
    held: Floats
    train: Floats
    ratio: float
    low: float
    high: float


@rule("GEN006", needs=("train/loss",), severity="note", when="end")
def eval_better_than_train(run: Run, *, evaluations: int = 5, ratio: float = 0.95) -> Iterator[Finding | NotChecked]:
    """The evaluation loss stays below the training loss.

    ## What it does
    Judged at the end, on the later half of the evaluations, at least `evaluations` of them. Each evaluation loss is set
    beside the median training loss of the last tenth of the steps since the evaluation before (at least 3 points), so
    that the average over an epoch in which the model still improved does not count. Rings, as a note, when each of them
    is lower, and the 99 % interval of the mean log ratio (Student, effective size) lies below log `ratio`.

    It says whether the configuration names what makes training harder than evaluation: dropout, stochastic depth, label
    smoothing, augmentation or noise, switched on. If nothing does, look at the evaluation.

    ## Why is this bad?
    It need not be. But where nothing makes training harder, the evaluation set is easier, holds training samples, or
    the two losses are not the same quantity.

    ## Example
    ```python
    rng = np.random.default_rng(0)
    train = (0.5 + np.exp(-np.arange(600) / 100)) * np.exp(0.05 * rng.standard_normal(600))
    held = Series.of("val/loss", 0.7 * train.reshape(12, 50)[:, -5:].mean(axis=1), step=50 * np.arange(1, 13))
    run = Run.of(series={"train/loss": train, "val/loss": held}, exit="finished")
    ```
    Use instead:
    ```python
    rng = np.random.default_rng(0)
    train = (0.5 + np.exp(-np.arange(600) / 100)) * np.exp(0.05 * rng.standard_normal(600))
    held = Series.of("val/loss", 1.1 * train.reshape(12, 50)[:, -5:].mean(axis=1), step=50 * np.arange(1, 13))
    run = Run.of(series={"train/loss": train, "val/loss": held}, exit="finished")
    ```

    ## Fix
    - **safe** Score a part of the training set in evaluation mode, by the same function: the gap must close.
    - **safe** Look for training samples in the evaluation set, and for terms or reductions that only one loss has.

    ## Options
    - `evaluations` (5): fewer give no interval.
    - `ratio` (.95): smaller gaps are what the choice of the split gives.

    ## Known limits
    From logs with one training loss an epoch, that is the epoch's mean and is left alone. A constant factor from the
    first evaluation on is OBJ006's.

    ## References
    Student 1908: interval of the mean log ratio, with the AR(1) effective size.
    """
    gap = None if learning.unlike_progress(run) else _gap(run, evaluations)
    if gap is None:
        yield NotChecked(f"needs {2 * evaluations} evaluation losses with at least 3 training losses before each")
    elif np.all(gap.held < gap.train) and gap.high < math.log(ratio):
        yield _finding(run, gap, _reason(run))


def _gap(run: Run, evaluations: int) -> Gap | None:
    train = run.series["train/loss"].finite
    for name in names.eval_losses(run.series):
        held = run.series[name].finite
        late = held[len(held) // 2 :]
        if len(held) < 2 * evaluations or not len(train):
            continue
        levels = np.array([_level(train, held, int(step)) for step in late.step])
        if np.all(np.isfinite(levels)) and np.all(levels > 0) and np.all(late.value > 0):
            logs = np.log(late.value / levels)
            low, high = stats.mean_interval(logs, 0.99)
            return Gap(name, late.step, late.value, levels, math.exp(float(logs.mean())), low, high)
    return None


def _level(train: Series, held: Series, step: int) -> float:
    """Median training loss of the last tenth of what lies between the evaluation before and this one."""
    before = held.step[held.step < step]
    part = train.until(step)
    part = part[int(np.searchsorted(part.step, before[-1] if before.size else 0, side="right")) :]
    if len(part) < 5:  # one value an epoch is its mean, not its end
        return math.nan
    return float(np.median(part.value[-max(3, len(part) // 10) :]))


def _reason(run: Run) -> tuple[str, declared.Setting] | None:
    """What the configuration or the command switches on that makes training harder, and the setting."""
    for setting in declared.settings(run):
        value = str(setting.value).strip().lower()
        number = setting.number
        if value in _OFF or (number is not None and not number > 0):
            continue
        joined = "".join(setting.words)
        for what, stems in _EXPLAINS.items():
            if any(word in stems for word in setting.words) or any(s in joined for s in stems if len(s) > 5):
                return what, setting
    return None


def _finding(run: Run, gap: Gap, reason: tuple[str, declared.Setting] | None) -> Finding:
    evidence = [
        Evidence(
            gap.name,
            float(gap.held[-1]),
            int(gap.step[-1]),
            limit=float(gap.train[-1]),
            interval=(math.exp(gap.low), math.exp(gap.high)),
            text="against the training loss at the end of the epoch; ratio [interval]",
        )
    ]
    if reason is not None:
        evidence.append(declared.cited(run, reason[1], reason[0]))
        why = f"{reason[0]} makes training harder ({reason[1].said})"
    else:
        why = "nothing in the configuration makes training harder" if run.config else "no configuration was recorded"
    return Finding(
        f"{gap.name} is {gap.ratio:.2g} times the training loss at the end of the same epoch "
        f"({math.exp(gap.low):.2g} to {math.exp(gap.high):.2g}) in each of the last {gap.step.size} evaluations; {why}",
        subject=gap.name,
        step=int(gap.step[0]),
        evidence=tuple(evidence),
        remedies=(
            Remedy("Score a part of the training set in evaluation mode, by the same function", True),
            Remedy("Look for training samples in the evaluation set, and for terms that only one loss has", True),
        ),
        severity="note",
    )

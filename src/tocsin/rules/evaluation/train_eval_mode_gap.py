"""EVL007 train-eval-mode-gap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.learning import curves
from tocsin.run import Run, Series

STEADY = 0.8  # of its largest value in the stretch: a lag that falls faster is being made up
REMEDIES = (
    Remedy(
        "Recompute the running statistics over training batches before evaluating (torch.optim.swa_utils.update_bn)"
    ),
    Remedy("Raise the momentum of BatchNorm to the default 0.1 (in PyTorch, small values average over more batches)"),
    Remedy("Lower the learning rate at the end of training, or use GroupNorm or LayerNorm"),
)


@dataclass(frozen=True)
class Gap:
    """The worst module of one evaluation: what it was fed by, and what its eval mode made of the loss.

    Attributes:
        step, module: Which evaluation and which module.
        held: Lag on the evaluation's first batch.
        trained: Lag on the training batch next to it, at ``trained_at``.
        ratio: Evaluation loss over training loss, NaN where one is unknown.
    """

    step: int
    module: str
    held: float
    trained: float
    trained_at: int
    ratio: float

    @property
    def lag(self) -> float:
        """What both modes agree on."""
        return min(self.held, self.trained)


@rule(
    "EVL007",
    needs=("norm/lag/*", "norm/eval_lag/*"),
    explains=(
        "EVL002", "EVL003", "GEN001", "GEN002", "GEN004", "GEN005", "OBJ006", "OBJ009", "PRD001", "PRD002", "PRD003",
        "PRD004", "PRD007", "PRD009", "PRD010", "PRD012", "RUN004",
    ),
    live=True,
)  # fmt: skip
def train_eval_mode_gap(
    run: Run, *, lag: float = 0.5, evaluations: int = 3, factor: float = 2.0
) -> Iterator[Finding | NotChecked]:
    """The running statistics of batch normalisation are not those of the batches: eval mode is another network.

    ## What it does
    For a BatchNorm layer with batch mean m and sd s and running ones M and S, its output by running statistics is off
    by g = sqrt(mean over channels of (s/S - 1)^2 + ((m - M)/S)^2), in units of the output's sd. g is measured on the
    first batch of each evaluation and on the first training batch after it, with the same weights; the smaller of the
    two counts, so that an evaluation of other data does not. Rings when the largest g of any layer is at least `lag`
    in each of the last `evaluations` evaluations and the evaluation loss is at least `factor` times the training loss
    in each of them. While the run goes on it takes one evaluation more, and a g that does not fall (the last at least
    0.8 of the largest): behind a learning rate that still moves the weights fast the statistics lag, too, and they
    catch up. A note where g is as large at the end of a run whose evaluation loss is not that bad or not recorded.

    ## Why is this bad?
    Training normalises by the batch, evaluation by the running statistics. When those lag, every score is that of a
    network that was never trained: accuracies near chance, all inputs drawn to one class, although the training loss
    falls. The weights are fine.

    ## Example
    ```python
    epochs, step = np.arange(1, 11), np.arange(1, 401)
    lag = Series.of("norm/lag/1", np.full(10, 0.8), step=40 * epochs - 39)
    held = Series.of("norm/eval_lag/1", np.full(10, 0.9), step=40 * epochs)
    val = Series.of("val/loss", np.full(10, 5.0), step=40 * epochs)
    run = Run.of(series={"train/loss": 2 / step**0.5, "val/loss": val, "norm/lag/1": lag, "norm/eval_lag/1": held})
    ```
    Use instead:
    ```python
    epochs, step = np.arange(1, 11), np.arange(1, 401)
    lag = Series.of("norm/lag/1", 0.3 / epochs, step=40 * epochs - 39)
    held = Series.of("norm/eval_lag/1", 0.3 / epochs, step=40 * epochs)
    val = Series.of("val/loss", 2.2 / (40 * epochs) ** 0.5, step=40 * epochs)
    run = Run.of(series={"train/loss": 2 / step**0.5, "val/loss": val, "norm/lag/1": lag, "norm/eval_lag/1": held})
    ```

    ## Fix
    - **unsafe** Recompute the running statistics before evaluating: `torch.optim.swa_utils.update_bn(loader, model)`.
    - **unsafe** Raise `momentum` to the default of 0.1.
    - **unsafe** Anneal the learning rate, or normalise without running statistics.

    ## Options
    - `lag` (0.5): in sd of the output. Batch noise alone gives about sqrt(1.5 / n) for n values a channel: 0.3 at 16.
      Small convolutional networks on digits gave at most 0.2 after the second epoch, at learning rates from 0.003 to 2
      and batches of 8 and 32; with a momentum of 0.001 they gave 0.7 and accuracies near chance.
    - `evaluations` (3): in a row, to the last one.
    - `factor` (2.0): of the losses. Overfitting gives as much, but it leaves g small.

    ## Known limits
    Needs the module's own forward: blind under `torch.compile`. Dropout and other layers with two modes are not
    measured. Silent where the loss of the evaluation is not recorded (a note at the end). Batches of fewer than 8
    values a channel are off by as much from noise alone; that is a gap between the modes, too.

    ## References
    Ioffe and Szegedy 2015, "Batch Normalization", algorithm 2. Wu and Johnson 2021, "Rethinking Batch in BatchNorm",
    section 3 (running against population statistics).
    """
    gaps = _gaps(run)
    if len(gaps) < 2:
        yield NotChecked(f"{len(gaps)} evaluations with a training batch next to them, {evaluations} are needed")
        return
    stretch = _stretch([gap.lag >= lag for gap in gaps])
    harmful = _stretch([gap.lag >= lag and gap.ratio >= factor for gap in gaps])
    if run.exit == "running":
        late = [gap.lag for gap in gaps[-evaluations - 1 :]]
        if harmful > evaluations and late[-1] >= STEADY * max(late):
            yield _finding(run, gaps, (stretch, harmful), lag)
    elif harmful >= evaluations:
        yield _finding(run, gaps, (stretch, harmful), lag)
    elif stretch >= evaluations:
        yield _finding(run, gaps, (stretch, stretch), lag, note=True)
    elif len(gaps) < evaluations:
        yield NotChecked(f"{len(gaps)} evaluations with a training batch next to them, {evaluations} are needed")


def _gaps(run: Run) -> list[Gap]:
    """The worst module of each evaluation, in order."""
    trained, held = run.family("norm/lag"), run.family("norm/eval_lag")
    both = [name for name in held if name in trained]
    train, val = curves(run)
    steps = sorted({int(t) for name in both for t in held[name].finite.step})
    found = []
    for k, step in enumerate(steps):
        until = steps[k + 1] if k + 1 < len(steps) else run.last_step + 1
        since = steps[k - 1] if k else 0
        seen = [gap for name in both if (gap := _gap(name, held[name], trained[name], step, until)) is not None]
        if seen:
            worst = max(seen, key=lambda gap: gap.lag)
            found.append(replace(worst, ratio=_ratio(train, val, since, step)))
    return found


def _gap(name: str, held: Series, trained: Series, step: int, until: int) -> Gap | None:
    """One module at one evaluation: the training batch right after it, else the last one before."""
    here = held.finite
    here = here[np.flatnonzero(here.step == step)]
    near = trained.finite
    after = near[np.flatnonzero((near.step > step) & (near.step <= until))]
    beside = after[:1] if len(after) else near.until(step)[-1:]
    if not len(here) or not len(beside):
        return None
    return Gap(step, name, float(here.value[-1]), float(beside.value[0]), int(beside.step[0]), float("nan"))


def _ratio(train: Series | None, val: Series | None, since: int, step: int) -> float:
    """Evaluation loss at a step over the median training loss of the second half of what led to it."""
    if train is None or val is None:
        return float("nan")
    held = val.value[val.step == step]
    seen = train.value[(train.step > (since + step) / 2) & (train.step <= step)]
    if not held.size or not seen.size or not np.median(seen) > 0:
        return float("nan")
    return float(held[-1] / np.median(seen))


def _stretch(bad: list[bool]) -> int:
    """How many at the end are bad without a break."""
    return next((k for k, one in enumerate(reversed(bad)) if not one), len(bad))


def _finding(run: Run, gaps: list[Gap], lengths: tuple[int, int], limit: float, *, note: bool = False) -> Finding:
    last, first = gaps[-1], len(gaps) - lengths[0]
    begin = gaps[first - 1].step + 1 if first else 1
    meaning = f", and the evaluation loss is {last.ratio:.3g} times the training loss" if not note else ""
    message = (
        f"in eval mode the output of {last.module} is off by {last.held:.2f} sd at step {last.step} "
        f"({last.trained:.2f} on a training batch): its running statistics are not those of the batches, so in each "
        f"of the last {lengths[1]} evaluations{meaning}"
    )
    evidence = [
        Evidence(
            f"norm/eval_lag/{last.module}", last.held, last.step, limit, text="sd of the output, evaluation batch"
        ),
        Evidence(f"norm/lag/{last.module}", last.trained, last.trained_at, limit, text="the same, training batch"),
    ]
    _, val = curves(run)
    if not note and val is not None:
        evidence.append(Evidence(val.name, float(val.value[val.step == last.step][-1]), last.step))
    return Finding(message, "", begin, tuple(evidence), REMEDIES, severity="note" if note else None)

"""DAT004 train-eval-transform-mismatch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.names import split_of
from tocsin.run import Floats, Run

FORWARDS = 3  # of each mode
STRAY = 0.2  # of the steps: more forwards without gradient outside evaluations belong to training
REMEDIES = (
    Remedy("Put one training sample through both pipelines and compare: dtype, scale, mean, range"),
    Remedy("Share the deterministic part of the transforms (decode, scale, normalise) between the splits"),
)


@dataclass(frozen=True)
class Moments:
    """Moments of the inputs of one mode, a row a forward; each shape (n,)."""

    step: NDArray[np.int64]
    mean: Floats
    sd: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Drift:
    """One way in which the inputs differ, in words, and the moment that shows it."""

    words: str
    series: str


@rule(
    "DAT004",
    needs=("input/mean/train", "input/mean/eval"),
    explains=(
        "EVL002", "GEN001", "GEN002", "GEN004", "OBJ006", "OBJ009", "PRD001", "PRD002", "PRD003", "PRD004", "PRD007",
        "PRD008", "PRD009", "PRD010", "PRD012",
    ),
    live=True,
)  # fmt: skip
def train_eval_transform_mismatch(
    run: Run, *, shift: float = 1.0, ratio: float = 3.0, outside: float = 0.5, noise: float = 5.0
) -> Iterator[Finding | NotChecked]:
    """The inputs of evaluations are on another scale than those of training.

    ## What it does
    Of the first forwards of each epoch and evaluation, in the later half of those recorded: mean m, sd s, least and
    largest entry of the model's first floating input. Rings when

    - abs(m_eval - m_train) > `shift` max(s_train, s_eval), or
    - s_eval / s_train lies outside [1 / `ratio`, `ratio`], or
    - more than the share `outside` of the range of evaluation inputs lies beyond every value seen in training,

    and the first two also exceed `noise` times the scatter of m, or of log s, from forward to forward, training and
    evaluation together: sorted batches and small ones scatter more.

    ## Why is this bad?
    The network is evaluated where it was never trained. A forgotten division by 255, a normalisation in one pipeline
    only, or a cast that wraps z-scored pixels to 8 bits in the training pipeline (they then correlate with the true
    ones with r = .001) all leave the training loss falling.

    ## Example
    ```python
    step = np.arange(1, 41)
    evaluations = (Evaluation("val", "main", 20, "ids", 99), Evaluation("val", "main", 40, "ids", 99))
    at = {"train": step, "eval": [20, 20, 40, 40]}
    moments = {"mean": (0.0, 128.0), "sd": (1.0, 70.0), "min": (-2.0, 0.0), "max": (2.0, 255.0)}
    series = {
        f"input/{k}/{mode}": Series.of("", np.full(len(at[mode]), v[mode == "eval"]), step=at[mode])
        for k, v in moments.items() for mode in at
    }
    run = Run.of(series=series, evaluations=evaluations)
    ```
    Use instead:
    ```python
    step = np.arange(1, 41)
    evaluations = (Evaluation("val", "main", 20, "ids", 99), Evaluation("val", "main", 40, "ids", 99))
    at = {"train": step, "eval": [20, 20, 40, 40]}
    moments = {"mean": (0.0, 0.1), "sd": (1.0, 1.1), "min": (-2.0, -2.1), "max": (2.0, 1.9)}
    series = {
        f"input/{k}/{mode}": Series.of("", np.full(len(at[mode]), v[mode == "eval"]), step=at[mode])
        for k, v in moments.items() for mode in at
    }
    run = Run.of(series=series, evaluations=evaluations)
    ```

    ## Fix
    - **unsafe** Share the deterministic part of the two pipelines; keep only the augmentation apart.

    ## Options
    - `shift` (1.0): in sd of the inputs. Random crops, flips, colour jitter, mixup and class-balanced sampling move
      the mean by a few tenths at most.
    - `ratio` (3.0): of the sds. Masking three quarters of an image halves its sd.
    - `outside` (0.5): of the range of the evaluation inputs.
    - `noise` (5.0): sds of the scatter between forwards.

    ## Known limits
    Compares distributions, not samples: a mirrored axis or a permuted channel is not seen (preflight compares the same
    samples). Evaluation on data that is meant to differ rings, too. Sees the first floating input only; silent about
    loops that call the model without gradients in training.

    ## References
    Breck et al. 2019, "Data validation for machine learning", section 4 (training-serving skew).
    """
    train, held = _moments(run, "train"), _moments(run, "eval")
    steps = _evaluated(run)
    inside = np.isin(held.step, list(steps))
    if held.step.size and np.mean(~np.isin(np.unique(held.step), list(steps))) > STRAY:
        yield NotChecked("the model is called without gradients outside evaluations, too")
        return
    held = _rows(held, np.flatnonzero(inside))
    if min(train.step.size, held.step.size) < FORWARDS:
        yield NotChecked(
            f"{train.step.size} forwards of training and {held.step.size} of evaluations, {FORWARDS} of each are needed"
        )
        return
    begin = int(held.step[0])
    late, seen = _rows(train, _later(train)), _rows(held, _later(held))
    found = [*_shifted(late, seen, shift, noise), *_stretched(late, seen, ratio, noise), *_beyond(train, seen, outside)]
    if found:
        yield _finding(found, late, seen, begin)


def _moments(run: Run, mode: str) -> Moments:
    """Forwards whose four moments are all recorded and finite, with a spread."""
    series = [run.get(f"input/{k}/{mode}") for k in ("mean", "sd", "min", "max")]
    known = [s for s in series if s is not None]
    if len(known) < 4 or len({len(s) for s in known}) > 1:
        return Moments(np.empty(0, np.int64), *(np.empty(0) for _ in range(4)))
    mean, sd, low, high = (s.value for s in known)
    fine = np.isfinite(mean) & np.isfinite(sd) & np.isfinite(high - low) & (sd > 0) & (high > low)
    return _rows(Moments(known[0].step, mean, sd, low, high), np.flatnonzero(fine))


def _rows(m: Moments, at: NDArray[np.int64]) -> Moments:
    return Moments(m.step[at], m.mean[at], m.sd[at], m.low[at], m.high[at])


def _later(m: Moments) -> NDArray[np.int64]:
    """Rows of the later half, at least ``FORWARDS``."""
    n = m.step.size
    return np.arange(min(n // 2, n - FORWARDS), n)


def _evaluated(run: Run) -> set[int]:
    """Steps at which something of another split than train was recorded."""
    steps = {e.step for e in run.evaluations if not e.baseline}
    for name, series in run.series.items():
        if split_of(name) not in ("", "train"):
            steps |= {int(step) for step in series.step}
    return steps


def _shifted(train: Moments, held: Moments, shift: float, noise: float) -> Iterator[Drift]:
    unit = max(float(np.median(train.sd)), float(np.median(held.sd)))
    apart = abs(float(np.median(held.mean)) - float(np.median(train.mean)))
    scatter = math.hypot(float(train.mean.std()), float(held.mean.std()))
    if apart > shift * unit and apart > noise * scatter:
        yield Drift(f"their means are {apart / unit:.2g} sd apart", "mean")


def _stretched(train: Moments, held: Moments, ratio: float, noise: float) -> Iterator[Drift]:
    a, b = np.log(train.sd), np.log(held.sd)
    apart = float(np.median(b) - np.median(a))
    if abs(apart) > math.log(ratio) and abs(apart) > noise * math.hypot(float(a.std()), float(b.std())):
        yield Drift(f"their sds differ by a factor {math.exp(abs(apart)):.3g}", "sd")


def _beyond(train: Moments, held: Moments, outside: float) -> Iterator[Drift]:
    low, high = float(np.median(held.low)), float(np.median(held.high))
    part = (max(0.0, float(train.low.min()) - low) + max(0.0, high - float(train.high.max()))) / (high - low)
    part = min(part, 1.0)
    if part > outside:
        words = f"{part:.0%} of their range [{low:.3g}, {high:.3g}] lies beyond all that training saw"
        yield Drift(words, "max" if high > float(train.high.max()) else "min")


def _finding(found: list[Drift], train: Moments, held: Moments, begin: int) -> Finding:
    message = (
        f"the inputs of evaluations have mean {np.median(held.mean):.3g} and sd {np.median(held.sd):.3g}, those of "
        f"training {np.median(train.mean):.3g} and {np.median(train.sd):.3g}: {'; '.join(d.words for d in found)}"
    )
    rows = {"mean": (train.mean, held.mean), "sd": (train.sd, held.sd), "min": (train.low, held.low)}
    rows["max"] = (train.high, held.high)
    evidence = []
    for drift in found:
        for mode, moments, column in zip(("train", "eval"), (train, held), rows[drift.series], strict=True):
            source = f"input/{drift.series}/{mode}"
            evidence.append(Evidence(source, float(column[-1]), int(moments.step[-1]), text=drift.words))
    return Finding(message, "", begin, tuple(evidence), REMEDIES)

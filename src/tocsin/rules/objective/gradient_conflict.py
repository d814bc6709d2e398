"""OBJ005 gradient-conflict."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin import learning, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Floats, Run, Series

_FEWEST, _SURE = 16, 0.99
_EDGE = 0.1  # of the calls: a level
_CALLS = 128
_BY_DESIGN = re.compile(
    r"(^|[_.\-/ ])(reg\w*|l1|l2|wd|decay|penalty|gp|kl\w*|entropy|commit\w*|aux\w*|balanc\w*|load|moe|router|z|tv"
    r"|smooth\w*|ortho\w*|spars\w*|norm|prior|adv\w*|gan|gen\w*|dis\w*|critic|actor|g|d)($|[_.\-/ ])"
)
_REMEDIES = (
    Remedy("Give the tasks parts of their own: split the trunk earlier, or train one network each and compare"),
    Remedy("Remove the conflicting part of each gradient (PCGrad), or weight the harmed task up"),
    Remedy("Train the harmed task alone once: if it learns then, the conflict is the cause", safe=True),
)


@dataclass(frozen=True)
class Conflict:
    """Two terms whose gradients point apart: mean cosine with its interval, over the samples since ``begin``.

    ``cancelled`` is the mean share of the gradient of ``harmed`` that the other takes away, with its interval.
    """

    pair: Series
    harmed: str
    other: str
    cosine: float
    interval: stats.Interval
    cancelled: float
    share: stats.Interval
    begin: int


@rule(
    "OBJ005",
    needs=("train/loss/*",),
    severity="warning",
    explains=("GEN002", "OBJ002", "OBJ003", "OBJ009", "PRD002", "PRD003", "PRD009", "PRD010", "PRD011", "PRD012"),
    live=True,
)
def gradient_conflict(run: Run, *, cancelled: float = 0.3, improvement: float = 0.05) -> Iterator[Finding | NotChecked]:
    """Two terms of the loss pull the shared part of the network in opposite directions, and one does not learn.

    ## What it does
    On sampled steps the recorder differentiates each term at the trunk (the last matrix that most terms reach) and
    takes the cosine c of each pair. Over the latest half of the samples (at least 16) it asks whether the 99 % interval
    of the mean cosine, widened for autocorrelation, lies below 0. The effect is the share of a term's gradient g that
    the other one, h, takes away along it: -c |h| / |g| where c < 0, else 0, at most 1.

    It is a **warning** when the lower end of the 95 % interval of that share's mean is above `cancelled` for a term
    that has not improved: the level of its last tenth of calls is not below that of its first tenth by more than
    `improvement`, and the interval of its trend leaves no room for more, while the other term has improved by more
    than that, over at least 128 calls. With both tasks learning it is a **note**: at the optimum of a sum the gradients
    of its terms are opposite by necessity, so that late in training a conflict alone means nothing.

    ## Why is this bad?
    What one task learns in the shared layers the other unlearns. The total falls, by the task that pulls harder; the
    other stays where it started, and looks as if it could not be learned.

    ## Example
    ```python
    rng = np.random.default_rng(0)
    kind = 1.6 * np.exp(-np.arange(400) / 80) + rng.normal(0.3, 0.02, 400)
    depth = rng.normal(1.9, 0.05, 400)
    at = np.arange(1, 401, 8)
    series = {"train/loss": kind + depth, "train/loss/kind": kind, "train/loss/depth": depth}
    series["loss/trunk_cos/depth|kind"] = Series.of("", rng.normal(-0.7, 0.1, 50), step=at)
    series["loss/trunk_norm/depth"] = Series.of("", rng.normal(1.0, 0.1, 50), step=at)
    series["loss/trunk_norm/kind"] = Series.of("", rng.normal(2.0, 0.1, 50), step=at)
    run = Run.of(series=series)
    ```
    Use instead:
    ```python
    rng = np.random.default_rng(0)
    kind = 1.6 * np.exp(-np.arange(400) / 80) + rng.normal(0.3, 0.02, 400)
    depth = 1.6 * np.exp(-np.arange(400) / 80) + rng.normal(0.3, 0.05, 400)
    at = np.arange(1, 401, 8)
    series = {"train/loss": kind + depth, "train/loss/kind": kind, "train/loss/depth": depth}
    series["loss/trunk_cos/depth|kind"] = Series.of("", rng.normal(0.2, 0.1, 50), step=at)
    series["loss/trunk_norm/depth"] = Series.of("", rng.normal(1.0, 0.1, 50), step=at)
    series["loss/trunk_norm/kind"] = Series.of("", rng.normal(2.0, 0.1, 50), step=at)
    run = Run.of(series=series)
    ```

    ## Fix
    - **safe** Train the harmed task alone once, with the same trunk: if it learns, the conflict is the cause.
    - **unsafe** Split the trunk earlier, project the conflicting part of the gradients out, or weight the harmed task.

    ## Options
    - `cancelled` = 0.3: nearly a third of the task's gradient is taken away. A choice.
    - `improvement` = 0.05: a relative fall of a term that counts as learning. A choice.

    ## Known limits
    Needs the terms before `backward()`, as tensors with a graph; the recorder does not differentiate custom functions,
    checkpoints or models with backward hooks. Cosines are at one matrix, on at most 65,536 of its entries, for the
    first 8 terms; terms are taken as passed, so pass them weighted as they are in the total. Pairs with a regulariser
    or an adversary, by name, oppose each other by design and are left out.

    ## References
    Yu et al. 2020, Gradient surgery for multi-task learning (conflict as a negative cosine).
    """
    pairs = {name: s.finite for name, s in run.family("loss/trunk_cos").items() if len(s.finite)}
    if len(run.family("train/loss")) < 2:
        yield NotChecked("needs at least two terms of the loss (run.losses(total=..., term=..., other=...))")
        return
    if not pairs:
        yield NotChecked("needs gradients of the terms at the trunk: call run.losses before backward, with tensors")
        return
    if max(map(len, pairs.values())) < _FEWEST:
        yield NotChecked(f"needs {_FEWEST} samples of the terms' gradients; there are {max(map(len, pairs.values()))}")
        return
    if learning.unlike_progress(run):
        yield NotChecked(f"the terms of {learning.unlike_progress(run)} oppose each other by design")
        return
    for name, series in pairs.items():
        a, _, b = name.partition("|")
        if len(series) >= _FEWEST and not (_BY_DESIGN.search(a.lower()) or _BY_DESIGN.search(b.lower())):
            found = [_conflict(run, series, *order) for order in ((a, b), (b, a))]
            felt = [(_stalls(run, c, improvement), c) for c in found if c and c.share[0] > cancelled]
            if felt:
                yield _finding(run, *max(felt, key=lambda one: (one[0], one[1].share[0])))


def _conflict(run: Run, pair: Series, harmed: str, other: str) -> Conflict | None:
    """What ``other`` does to ``harmed`` over the latest half of the samples, if their cosine is below 0 for sure."""
    window = pair[max(0, len(pair) - max(_FEWEST, len(pair) // 2)) :]
    low, high = stats.mean_interval(window.value, _SURE)
    if not high < 0:
        return None
    sizes = [_at(run.get(f"loss/trunk_norm/{term}"), window) for term in (harmed, other)]
    ratio = np.divide(sizes[1], sizes[0], out=np.full(len(window), np.nan), where=sizes[0] > 0)
    lost = np.clip(-window.value * ratio, 0.0, 1.0)
    lost = lost[np.isfinite(lost)]
    if lost.size < _FEWEST:
        return None
    share = stats.mean_interval(lost) if np.ptp(lost) else (float(lost[0]), float(lost[0]))
    always = stats.mean_interval(pair.value, _SURE)[1] < 0
    begin = int(pair.step[0] if always else window.step[0])
    return Conflict(window, harmed, other, float(window.value.mean()), (low, high), float(lost.mean()), share, begin)


def _at(series: Series | None, window: Series) -> Floats:
    """Values at the steps of the window; NaN where there is none."""
    found = np.full(len(window), np.nan)
    if series is not None:
        at = np.searchsorted(series.step, window.step).clip(0, len(series) - 1)
        same = series.step[at] == window.step
        found[same] = series.value[at[same]]
    return found


def _improved(loss: Series | None) -> tuple[float, float]:
    """Relative fall of a term from its first to its last tenth of calls, and the most that its trend leaves room for.

    NaN below ``_CALLS`` calls.
    """
    if loss is None or len(loss.finite) < _CALLS:
        return float("nan"), float("nan")
    y = loss.finite
    k = max(4, int(_EDGE * len(y)))
    first, last = float(np.median(y.value[:k])), float(np.median(y.value[-k:]))
    slope = stats.trend(y.step, y.value)
    span = float(y.step[-1] - y.step[0])
    return ((first - last) / abs(first), -slope.low * span / abs(first)) if first else (float("nan"), float("nan"))


def _stalls(run: Run, found: Conflict, improvement: float) -> bool:
    """Whether the harmed term did not get better while the other did."""
    mine, theirs = (_improved(run.get(f"train/loss/{term}")) for term in (found.harmed, found.other))
    return mine[0] < improvement and mine[1] < improvement and theirs[0] > improvement


def _finding(run: Run, stalls: bool, found: Conflict) -> Finding:
    mine, theirs = (_improved(run.get(f"train/loss/{term}")) for term in (found.harmed, found.other))
    pair = found.pair
    means = f"{found.harmed} has improved by {max(0.0, mine[0]):.1%}, {found.other} by {max(0.0, theirs[0]):.1%}"
    said = f": {means}" if np.isfinite(mine[0]) and np.isfinite(theirs[0]) else ""
    return Finding(
        f"The gradients of {found.harmed} and {found.other} at the trunk oppose each other: mean cosine "
        f"{found.cosine:.2f} [{found.interval[0]:.2f}, {found.interval[1]:.2f}] over {len(pair)} samples from step "
        f"{pair.step[0]} to {pair.step[-1]}, {found.cancelled:.0%} of that of {found.harmed} is cancelled{said}",
        subject=pair.name.removeprefix("loss/trunk_cos/"),
        step=found.begin,
        evidence=(
            Evidence(
                pair.name, float(pair.value[-1]), int(pair.step[-1]), 0.0, found.interval, "mean cosine [99 % interval]"
            ),
            Evidence(
                f"loss/trunk_norm/{found.harmed}", *_last(run, f"loss/trunk_norm/{found.harmed}"),
                interval=found.share, text="share of its gradient that is cancelled [95 % interval of the mean]",
            ),
        ),
        remedies=_REMEDIES,
        severity="warning" if stalls else "note",
    )  # fmt: skip


def _last(run: Run, name: str) -> tuple[float, int]:
    series = run.series[name]
    return float(series.value[-1]), int(series.step[-1])

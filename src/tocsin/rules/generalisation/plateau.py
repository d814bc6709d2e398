"""GEN004 plateau."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tocsin import learning, names, stats
from tocsin.findings import Evidence, Finding, NotChecked, Remedy, rule
from tocsin.run import Run, Series

_SATURATED = 0.97


@dataclass(frozen=True)
class Tail:
    """The flat end of a curve: its points, its share of the steps, and the interval of its whole change."""

    points: Series
    share: float
    low: float
    high: float

    @property
    def level(self) -> float:
        return float(np.median(self.points.value))


@rule("GEN004", needs=("train/loss | val/loss",), severity="note", when="end")
def plateau(run: Run, *, share: float = 0.5, change: float = 0.02) -> Iterator[Finding | NotChecked]:
    """The evaluations stand still over most of the run.

    ## What it does
    Looks at the metric whose ceiling is known (`ceiling` or `ceilings` in the configuration or the environment: a
    number for the main metric, or one by series name), else at the main evaluation loss, else at medians of 40 parts of
    the training loss. Its flat tail is the longest one, of at least 8 points, whose Theil-Sen interval contains 0 and
    whose change over the tail, at both ends of that interval, is below `change` of its level (or of what it changed
    before). Rings a note when the tail holds `share` of the steps, and something was learned before it.

    A warning where a ceiling is known and the level of the tail lies below it by more than the scatter of the
    evaluations and by 5 % of the ceiling. Silent where the task is solved (a metric of 0.97 and more).

    ## Why is this bad?
    Half of the time brought nothing. Below a known ceiling something other than time is missing: capacity, input
    information, data, or a learning rate that is stuck too high or too low.

    ## Example
    ```python
    epoch = np.arange(1, 61)
    f1 = 0.62 - 0.5 * np.exp(-epoch / 4) + 0.004 * np.sin(2 * epoch)
    loss = 0.9 + np.exp(-epoch / 4)
    run = Run.of(series={"train/loss": loss, "val/f1": f1}, config={"ceilings": {"val/f1": 0.94}})
    ```
    Use instead:
    ```python
    epoch = np.arange(1, 61)
    f1 = 0.93 - 0.5 * np.exp(-epoch / 30) + 0.004 * np.sin(2 * epoch)
    loss = 0.9 + np.exp(-epoch / 30)
    run = Run.of(series={"train/loss": loss, "val/f1": f1}, config={"ceilings": {"val/f1": 0.94}})
    ```

    ## Fix
    - **safe** Stop where the tail begins, and spend the time on another run.
    - **unsafe** Lower the learning rate at the plateau; more capacity, data or input information.

    ## Options
    - `share` = 0.5: share of the steps that the flat tail has to hold. A choice.
    - `change` = 0.02: relative change over the tail that still counts as flat. A choice: seeds move scores by as much.

    ## Known limits
    Needs 16 points. A long plateau before a late descent (grokking) is flat until it is not. A noisy curve of few
    points cannot be shown to be flat, and is not called so.

    ## References
    Sen 1968 (interval of the slope).
    """
    name, ceiling = _ceiling(run)
    curve = _curve(run, name)
    if curve is None:
        yield NotChecked("needs 16 values of an evaluation loss or metric, or of the training loss")
        return
    if _solved(run) or learning.unlike_progress(run):
        return
    tail = _flat_tail(curve, change)
    if tail is not None and tail.share >= share:
        yield _finding(tail, ceiling if name == curve.name else None)


def _ceiling(run: Run) -> tuple[str, float | None]:
    """Name of the metric whose ceiling is known, and the ceiling."""
    metrics = names.eval_metrics(run.series)
    for where in (run.config, run.environment):
        known = where.get("ceilings", where.get("ceiling"))
        if isinstance(known, int | float) and not isinstance(known, bool) and metrics:
            return metrics[0], float(known)
        for name, value in known.items() if isinstance(known, Mapping) else ():
            if run.get(str(name)) is not None and isinstance(value, int | float):
                return str(name), float(value)
    return "", None


def _curve(run: Run, name: str) -> Series | None:
    for one in [name, *names.eval_losses(run.series)[:1]]:
        if one and len(run.series[one].finite) >= 16:
            return learning.finite(run, one)
    if run.get("train/loss") is None or names.eval_losses(run.series):
        return None
    train = learning.finite(run, "train/loss")
    return learning.blocks(train, 40) if len(train) >= 16 else None


def _solved(run: Run) -> bool:
    shares = [learning.share(name, series) for name, series, sign in learning.eval_series(run) if sign > 0]
    return any(float(np.median(s.value[-3:])) >= _SATURATED for s in shares if s is not None)


def _flat_tail(curve: Series, change: float) -> Tail | None:
    """The longest flat tail, tried at every twentieth of the points."""
    steps = float(curve.step[-1] - curve.step[0])
    for start in sorted({round(k * len(curve) / 20) for k in range(19)}):
        part = curve[start:]
        if len(part) < 8 or not steps > 0:
            return None
        slope, span = stats.trend(part.step, part.value), float(part.step[-1] - part.step[0])
        learned = abs(float(np.median(curve.value[: max(1, start)])) - float(np.median(part.value))) if start else 0.0
        limit = max(change * abs(float(np.median(part.value))), 0.05 * learned)
        if slope.flat and max(-slope.low, slope.high) * span < limit:
            before = abs(float(curve.value[0]) - float(np.median(part.value)))
            moved = before > max(2 * limit, 3 * learning.scatter(part.value))
            return Tail(part, span / steps, slope.low * span, slope.high * span) if moved else None
    return None


def _finding(tail: Tail, ceiling: float | None) -> Finding:
    part = tail.points
    message = (
        f"{part.name} stands at {tail.level:.4g} since step {part.step[0]}, {100 * tail.share:.0f} % of the run: its "
        f"change over {len(part)} points is between {tail.low:+.2g} and {tail.high:+.2g}"
    )
    below = 0.0
    if ceiling is not None:
        gap = (ceiling - tail.level) * (names.direction(part.name) or 1)
        below = gap if gap > max(3 * learning.scatter(part.value), 0.05 * abs(ceiling)) else 0.0
        message += f"; {gap:.3g} below the known ceiling {ceiling:.4g}" if gap > 0 else ""
    return Finding(
        message,
        subject=part.name,
        step=int(part.step[0]),
        severity="warning" if below else None,
        evidence=(
            Evidence(
                part.name,
                step=int(part.step[-1]),
                limit=ceiling,
                interval=(tail.low, tail.high),
                text=f"flat at {tail.level:.4g} [change over the tail]",
            ),
        ),
        remedies=(
            Remedy("Stop where the tail begins", safe=True),
            Remedy("Lower the learning rate at the plateau; more capacity, data or input information"),
        ),
    )

"""One picture of a training as it stands: progress, balance of terms, epochs, the main metric. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tocsin.reports.plain import figure, plain
from tocsin.reports.sparkline import sparkline

if TYPE_CHECKING:
    from tocsin.studies.progress import Progress

BAR = 24
EPOCHS_SHOWN = 8


@dataclass
class History:
    """What the progress reports said at the end of each epoch, in order."""

    epochs: list[Progress] = field(default_factory=list)

    def add(self, progress: Progress) -> bool:
        """Keep ``progress`` where it ends an epoch; whether it does."""
        if not progress.metrics or (self.epochs and self.epochs[-1].epoch == progress.epoch):
            return False
        self.epochs.append(progress)
        return True

    def curve(self, metric: str) -> list[float]:
        """The values of one metric, NaN where an epoch lacks it."""
        return [progress.metrics.get(metric, math.nan) for progress in self.epochs]


def frame(title: str, progress: Progress, history: History, width: int) -> Group:
    """The picture, at most ``width`` columns wide."""
    parts: list[RenderableType] = [Text(title, "bold", no_wrap=True, overflow="ellipsis"), _progress(progress), Text()]
    balance = shares(progress.losses, progress.weights)
    if balance:
        parts += [_balance(progress, balance), Text()]
    if history.epochs:
        parts += [_epochs(progress, history, width), Text(), _metric(progress, history, width)]
    if progress.findings or progress.step < max(1, progress.steps):  # at the end the verdict follows
        parts.append(_findings(progress))
    return Group(*parts)


def shares(losses: Mapping[str, float], weights: Mapping[str, float]) -> dict[str, float]:
    """Each term's share of the weighted loss, by magnitude; without ``total``, and empty where it says nothing."""
    sizes = {name: abs(loss * weights.get(name, 1.0)) for name, loss in losses.items() if name != "total"}
    total = sum(sizes.values())
    return {name: size / total for name, size in sizes.items()} if 0 < total < math.inf else {}


def clock(seconds: float) -> str:
    """Seconds as 0:52 or 1:02:33; "?" where unknown."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _bar(share: float, width: int = BAR) -> str:
    full = min(width, max(0, round(share * width)))
    return "█" * full + "░" * (width - full)


def _progress(progress: Progress) -> Text:
    share = progress.step / progress.steps if progress.steps else 0.0
    return Text.assemble(
        (_bar(share), "green"),
        f" {100 * share:3.0f} %  epoch {progress.epoch}/{progress.epochs}  step {progress.step}/{progress.steps}",
        (f"  {clock(progress.elapsed_s)}, {clock(progress.remaining_s)} left", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _balance(progress: Progress, balance: Mapping[str, float]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, share in balance.items():
        weight = progress.weights.get(name)
        facts = f"loss {figure(progress.losses[name])}" + ("" if weight is None else f", weight {figure(weight)}")
        grid.add_row(
            Text(plain(name, 24)), Text(_bar(share), "cyan"), Text(f"{100 * share:3.0f} %"), Text(facts, "dim")
        )
    return grid


def _epochs(progress: Progress, history: History, width: int) -> Table:
    names = fitting(progress.main_metric, history.epochs[-1].metrics, width - len("epoch    time"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("epoch", "time", *(plain(name, 40) for name in names)):
        table.add_column(Text(heading), justify="right", no_wrap=True)
    for past in history.epochs[-EPOCHS_SHOWN:]:
        values = (figure(past.metrics.get(name)) for name in names)
        table.add_row(str(past.epoch), clock(past.elapsed_s), *values)
    return table


def fitting(main: str, metrics: Mapping[str, float], room: int) -> list[str]:
    """The metrics that fit side by side into ``room`` columns, the main one first."""
    kept: list[str] = []
    for name in sorted(metrics, key=lambda name: name != main):
        room -= max(len(plain(name, 40)), 10) + 2
        if room < 0 and kept:
            break
        kept.append(name)
    return kept


def _metric(progress: Progress, history: History, width: int) -> Text:
    curve = history.curve(progress.main_metric)
    return Text.assemble(
        f"{plain(progress.main_metric, 40)}  ",
        (sparkline(curve, max(8, width // 2 - 10)), "green"),
        (f"  {span(curve)}", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )


def span(curve: Sequence[float]) -> str:
    """The range of a curve and where it is now, in words."""
    finite = [value for value in curve if math.isfinite(value)]
    now = f"now {figure(curve[-1])}"
    return f"{figure(min(finite))} to {figure(max(finite))}, {now}" if finite else now


def _findings(progress: Progress) -> Text:
    if not progress.findings:
        return Text("no finding so far", "dim")
    codes = " ".join(dict.fromkeys(plain(finding.code) for finding in progress.findings))
    return Text(f"findings: {codes}", "bold yellow", no_wrap=True, overflow="ellipsis")

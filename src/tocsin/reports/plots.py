"""Which curves a page shows together, and what is marked on them. Python decides; the browser only draws."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tocsin.findings import Evidence, Finding
from tocsin.reports.curves import LARGEST, SMALLEST, Curves, medians
from tocsin.reports.plain import figure, plain
from tocsin.run import Evaluation, Run, Series

MAIN = ("grad/norm", "grad/applied_norm", "amp/scale")
LINEAR = ("lr", "count/")  # a schedule that ends at 0 would be drawn as its last step, a counter as its first
MOST_LINES = 8
MOST_PANELS = 4
MOST_NAME = 100
WIDE_RANGE = 50.0


@dataclass
class Plot:
    """One panel.

    Attributes:
        title: What is drawn.
        lines: ``{"name", "curve", "style"}``; style is "line", "step" or "raw" (faint, under its median).
        log: Whether it opens with a logarithmic axis; ``positive``: whether it may have one.
        marks: Vertical lines ``{"x", "text", "weak"}``.
        limits: Horizontal lines ``{"y", "text"}``.
        bands: Intervals ``{"low", "high", "text"}``.
        points: Cited observations ``{"x", "y"}``.
        group: Panels of one group share a cursor.
    """

    title: str
    lines: list[dict[str, Any]] = field(default_factory=list)
    log: bool = False
    positive: bool = False
    marks: list[dict[str, Any]] = field(default_factory=list)
    limits: list[dict[str, Any]] = field(default_factory=list)
    bands: list[dict[str, Any]] = field(default_factory=list)
    points: list[dict[str, Any]] = field(default_factory=list)
    group: str = ""

    def json(self) -> dict[str, Any]:
        """Plain data for the page, names in printable characters."""
        lines = [{**line, "name": plain(line["name"], MOST_NAME)} for line in self.lines]
        return {**asdict(self), "title": plain(self.title), "group": plain(self.group), "lines": lines}

    @property
    def says(self) -> str:
        """The panel in words, for who cannot see it."""
        marked = [m["text"] for m in self.marks] + [m["text"] for m in (*self.limits, *self.bands)]
        names = ", ".join(plain(line["name"], MOST_NAME) for line in self.lines)
        return f"{names} against step" + (f"; marked: {', '.join(marked)}" if marked else "")


def panel(
    title: str, series: Mapping[str, Series], curves: Curves, *, keep: Iterable[int] = (), group: str = ""
) -> Plot:
    """One panel of the named series; a logarithmic axis where all is positive and spans more than a factor 50."""
    plot = Plot(title, group=group)
    steps = list(keep)
    for name, s in list(series.items())[:MOST_LINES]:
        style = "step" if s.name.startswith("lr") else "line"
        plot.lines.append({"name": name, "curve": curves.want(s, keep=steps), "style": style})
    values = np.concatenate([s.value[np.abs(s.value) <= LARGEST] for s in series.values()] or [np.empty(0)])
    plot.positive = bool(values.size and values.min() >= SMALLEST)
    wide = plot.positive and bool(np.log(values.max()) - np.log(values.min()) > math.log(WIDE_RANGE))
    plot.log = wide and not any(name.startswith(LINEAR) for name in series)
    left_out = len(series) - MOST_LINES
    plot.title += f" (first {MOST_LINES} of {len(series)})" if left_out > 0 else ""
    return plot


def main_panels(run: Run, curves: Curves) -> list[Plot]:
    """The curves everyone looks at first: losses, terms, metrics, learning rate, gradient norm, loss scale."""
    chosen: list[tuple[str, dict[str, Series]]] = [
        ("Loss", _having(run, "train/loss", *(n for n in run.series if n.endswith("/loss") and n != "train/loss"))),
        ("Loss terms", run.family("train/loss")),
        *_metric_panels(run),
        (
            "Learning rate",
            {n: held(s, run.last_step) for n, s in run.series.items() if n.split("/")[0] == "lr" and len(s)},
        ),
        ("Gradient norm", _having(run, "grad/norm", "grad/applied_norm")),
        ("Loss scale", _having(run, "amp/scale")),
    ]
    plots = [panel(title, series, curves, group=run.name) for title, series in chosen if series]
    if plots and (noisy := run.get("train/loss")) is not None:
        _add_median(plots[0], noisy, curves)
    return plots


def main_names(run: Run) -> list[str]:
    """Names of the series that ``main_panels`` draws first for one run, for laying several runs over each other."""
    metrics = [name for _, series in _metric_panels(run) for name in series]
    losses = [n for n in run.series if n.endswith("/loss")]
    return [*losses, *metrics, *(n for n in run.series if n in MAIN)]


def overlays(runs: list[Run], curves: Curves, most: int = 8) -> list[Plot]:
    """One panel for each main series that at least two runs share, a line a run."""
    names = dict.fromkeys(name for run in runs for name in main_names(run))
    shared = {n: {r.name: s for r in runs if (s := r.get(n)) is not None and len(s) > 1} for n in names}
    chosen = [(n, s) for n, s in shared.items() if len(s) > 1]
    return [panel(name, series, curves, group="overlay") for name, series in chosen[:most]]


def held(series: Series, last_step: int) -> Series:
    """A series that is recorded when it changes, with its last value held to the end of the run."""
    if last_step <= series.step[-1]:
        return series
    return Series.of(series.name, np.append(series.value, series.value[-1]), np.append(series.step, last_step))


def _having(run: Run, *names: str) -> dict[str, Series]:
    return {n: s for n in names if (s := run.get(n)) is not None}


def _metric_panels(run: Run) -> list[tuple[str, dict[str, Series]]]:
    """Metrics of the splits that were evaluated or have a loss: those in [0, 1] together, each other one alone.

    A single point is no curve: it stands beside its evaluation.
    """
    splits = {e.split for e in run.evaluations} | {"val", "test", "eval"}
    metrics = {
        n: s for n, s in run.series.items() if n.split("/")[0] in splits and not n.endswith("/loss") and len(s) > 1
    }
    unit = {n: s for n, s in metrics.items() if _within_one(s)}
    alone = [(n, {n: s}) for n, s in metrics.items() if n not in unit][:MOST_PANELS]
    return ([("Metrics between 0 and 1", unit)] if unit else []) + alone


def _within_one(series: Series) -> bool:
    value = series.finite.value
    return bool(value.size and value.min() >= 0 and value.max() <= 1)


def _add_median(plot: Plot, noisy: Series, curves: Curves) -> None:
    smooth = medians(noisy)
    if smooth is not None and plot.lines and plot.lines[0]["name"] == "train/loss":
        plot.lines[0]["style"] = "raw"
        plot.lines.insert(1, {"name": f"train/loss, {smooth.name}", "curve": curves.want(smooth), "style": "line"})


def finding_panels(run: Run, finding: Finding, curves: Curves) -> list[Plot]:
    """The curves that a finding rests on, with its beginning, limits, intervals and cited points drawn on them."""
    panels: dict[str, dict[str, Series]] = {}
    for e in finding.evidence:
        for kind, series in _sources(run, e.source).items():
            panels.setdefault(kind, {}).update(series)
    if not panels and finding.step > 0:
        panels = {"Loss": s} if (s := _having(run, "train/loss", "val/loss")) else {}
    keep = {finding.step, *(e.step for e in finding.evidence if e.step is not None)}
    plots = [panel(t, series, curves, keep=keep, group=run.name) for t, series in list(panels.items())[:MOST_PANELS]]
    for plot in plots:
        _mark(plot, finding)
    return plots


def _sources(run: Run, source: str) -> dict[str, dict[str, Series]]:
    """The panels that show one source: its own series, or what its evaluations amount to at each step."""
    if source.startswith("evaluation:"):
        key = source.removeprefix("evaluation:")
        series = evaluation_series(run.of_kind().get(key, []))
        return {f"{key} at each evaluation": series} if series else {}
    found = run.get(source)
    if found is None:
        return {}
    return {_kind(source): {source: found}}


def _kind(source: str) -> str:
    """Sources of one kind share a panel: losses, and the tensors or terms of one quantity."""
    stem, _, _ = source.rpartition("/")
    return "Loss" if source.endswith("/loss") else stem if "/" in stem else source


def evaluation_series(evaluations: list[Evaluation]) -> dict[str, Series]:
    """What a sequence of evaluations amounts to: accuracy and the most predicted class's share, or r, s and R2."""
    rows = [(e.step, _summary(e)) for e in evaluations]
    names = dict.fromkeys(name for _, row in rows for name in row)
    series = {n: [(step, row[n]) for step, row in rows if n in row] for n in names}
    return {n: Series.of(n, [v for _, v in p], [s for s, _ in p]) for n, p in series.items() if len(p) > 1}


def _summary(e: Evaluation) -> dict[str, float]:
    c = e.confusion
    if c is not None and c.n:
        share = int(c.predicted.max()) / c.n
        return {"accuracy": int(c.correct.sum()) / c.n, "share of the most predicted class": share}
    if e.moments:
        m = e.moments[0]
        return {"r (correlation)": m.r, "s (sd of prediction / sd of target)": m.s, "R2": m.r2}
    return {}


def _mark(plot: Plot, finding: Finding) -> None:
    """Draw a finding on a panel: when it began and rang, and the numbers of the evidence that stands on its lines."""
    plot.marks.append({"x": finding.step, "text": f"began: step {finding.step:,}", "weak": False})
    if finding.rang_at is not None and finding.rang_at != finding.step:
        plot.marks.append({"x": finding.rang_at, "text": f"rang: step {finding.rang_at:,}", "weak": True})
    if finding.healed_at is not None:
        plot.marks.append({"x": finding.healed_at, "text": f"healed: step {finding.healed_at:,}", "weak": True})
    drawn = {line["name"] for line in plot.lines}
    for e in finding.evidence:
        if e.source in drawn:
            _mark_evidence(plot, e)


def _mark_evidence(plot: Plot, e: Evidence) -> None:
    value = e.value if isinstance(e.value, float | int) and math.isfinite(e.value) else None
    if value is not None and e.step is not None:
        plot.points.append({"x": e.step, "y": value})
    if e.limit is not None and math.isfinite(e.limit):
        plot.limits.append({"y": e.limit, "text": f"limit {figure(e.limit)}"})
    if e.interval is not None and value is not None and e.interval[0] <= value <= e.interval[1]:
        low, high = e.interval  # an interval that does not hold the value is of another quantity: drawn beside it
        if math.isfinite(low) and math.isfinite(high):
            plot.bands.append({"low": low, "high": high, "text": f"interval {figure(low)} to {figure(high)}"})

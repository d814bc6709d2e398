"""What the page says of each run and each finding, gathered before any HTML is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tocsin import names
from tocsin.findings import Evidence, Finding, NotChecked, Report, Score, Severity
from tocsin.references import scored
from tocsin.reports.curves import Curves
from tocsin.reports.glyphs import Glyph, glyph
from tocsin.reports.pictures import Picture
from tocsin.reports.plots import Plot, finding_panels, main_panels
from tocsin.reports.scores import Scores, last_of_each, scores
from tocsin.reports.settings import Setting, settings
from tocsin.reports.verdict import Verdict, families, verdict
from tocsin.run import Event, Run, Series

MOST_FINDINGS = 100
MOST_SERIES = 600
MOST_EVENTS = 100
MOST_EVALUATIONS = 12


@dataclass
class Page:
    """What all runs of one page draw on: its curves and panels, and how many series are still to be listed."""

    curves: Curves = field(default_factory=Curves)
    plots: list[Plot] = field(default_factory=list)
    series_left: int = MOST_SERIES

    def place(self, plots: Sequence[Plot]) -> list[tuple[int, Plot]]:
        """The panels with their numbers on the page."""
        first = len(self.plots)
        self.plots += plots
        return list(enumerate(plots, first))


@dataclass(frozen=True)
class FindingView:
    """One finding with all that is drawn beside it; ``below`` are the symptoms that it accounts for."""

    finding: Finding
    severity: Severity
    when: str
    evidence: tuple[tuple[Evidence, Glyph | None], ...]
    plots: list[tuple[int, Plot]]
    scores: tuple[Scores, ...]
    below: tuple[FindingView, ...] = ()


@dataclass(frozen=True)
class SeriesRow:
    """One recorded series in numbers; ``curve`` is its place among the page's curves."""

    name: str
    unit: str
    curve: int
    points: int
    first: float
    low: float
    high: float
    last: float
    nonfinite: int


@dataclass(frozen=True)
class RunView:
    """One run's part of the page."""

    name: str
    verdict: Verdict
    severity: Severity | None
    facts: tuple[tuple[str, str], ...]
    findings: tuple[FindingView, ...]
    findings_left_out: int
    panels: list[tuple[int, Plot]]
    scores: tuple[Scores, ...]
    scores_left_out: int
    beside: tuple[Score, ...]
    series: tuple[SeriesRow, ...]
    series_left_out: int
    config: list[Setting]
    config_whole: bool
    config_typed: bool
    cited_keys: frozenset[str]
    environment: list[Setting]
    events: tuple[Event, ...]
    events_left_out: int
    pictures: tuple[Picture, ...] = ()


def run_view(run: Run, report: Report, page: Page, pictures: Sequence[Picture] = ()) -> RunView:
    """Everything the page says of one run."""
    own = of_run(report, run.name)
    roots = families(own)
    evaluated = last_of_each(run.own_evaluations)
    listed = [s for s in run.series.values() if len(s)]
    drawn = page.place(main_panels(run, page.curves))
    found = tuple(_family(run, cause, below, page) for cause, below in roots[:MOST_FINDINGS])
    rows = tuple(series_row(s, page.curves) for s in listed[: page.series_left])
    page.series_left -= len(rows)
    said = [e for e in run.events if e.kind not in ("epoch", "exit")]
    config, whole = settings(run.config)
    cited = {e.source.removeprefix("config:") for f in own.findings for e in f.evidence if e.source[:7] == "config:"}
    return RunView(
        name=run.name,
        verdict=verdict(own),
        severity=own.worst,
        facts=tuple(_facts(run)),
        findings=found,
        findings_left_out=len(roots) - len(found),
        panels=drawn,
        scores=tuple(scores(e) for e in evaluated[:MOST_EVALUATIONS]),
        scores_left_out=max(0, len(evaluated) - MOST_EVALUATIONS),
        beside=own.scores or tuple(scored(run)),
        series=rows,
        series_left_out=len(listed) - len(rows),
        config=config,
        config_whole=whole,
        config_typed=run.config_typed,
        cited_keys=frozenset(cited),
        environment=settings(run.environment)[0],
        events=tuple(said[-MOST_EVENTS:]),
        events_left_out=max(0, len(said) - MOST_EVENTS),
        pictures=tuple(pictures),
    )


def of_run(report: Report, name: str) -> Report:
    """The part of a report that is about one run."""
    findings = tuple(f for f in report.findings if f.run == name)
    blind = tuple(n for n in report.not_checked if n.run == name)
    scores = tuple(s for s in report.scores if s.run == name)
    return replace(report, runs=(name,), findings=findings, not_checked=blind, scores=scores)


def _family(run: Run, cause: Finding, below: Sequence[Finding], page: Page) -> FindingView:
    symptoms = tuple(finding_view(run, f, page) for f in below[:MOST_FINDINGS])
    return replace(finding_view(run, cause, page), below=symptoms)


def finding_view(run: Run, finding: Finding, page: Page) -> FindingView:
    """One finding with its curves, and the evaluations that it cites as tables."""
    cited = {(e.source.removeprefix("evaluation:"), e.step) for e in finding.evidence if e.source[:11] == "evaluation:"}
    tables = [e for e in run.own_evaluations if e.n and (e.key, e.step) in cited]
    return FindingView(
        finding=finding,
        severity=finding.severity or "warning",
        when=_when(run, finding),
        evidence=tuple((e, glyph(e)) for e in finding.evidence),
        plots=page.place(finding_panels(run, finding, page.curves)),
        scores=tuple(scores(e) for e in last_of_each(tables)[:2]),
    )


def _when(run: Run, finding: Finding) -> str:
    if finding.step <= 0:
        began = "before training"
    else:
        epoch = epoch_at(run, finding.step)
        began = f"began at step {finding.step:,}" + (f" (epoch {epoch:g})" if math.isfinite(epoch) else "")
    rang = finding.rang_at
    later = f", rang at step {rang:,}" if rang is not None and rang != finding.step else ""
    return began + later + (f", healed at step {finding.healed_at:,}" if finding.healed_at is not None else "")


def epoch_at(run: Run, step: int) -> float:
    """The epoch that a step belongs to by the training loss, NaN where that is not known."""
    loss = run.get("train/loss")
    before = loss.until(step) if loss is not None else None
    return float(before.epoch[-1]) if before is not None and len(before) else math.nan


def series_row(s: Series, curves: Curves) -> SeriesRow:
    """A series in numbers: first, lowest, highest and last finite value."""
    v = s.finite.value if len(s.finite) else np.array([math.nan])
    ends = (float(v[0]), float(v.min()), float(v.max()), float(v[-1]))
    lost = len(s) - len(s.finite)
    return SeriesRow(s.name, names.unit(s.name), curves.want(s, main=False), len(s), *ends, lost)


def _facts(run: Run) -> list[tuple[str, str]]:
    """How the run went, in a few words each."""
    epochs = [float(np.nanmax(s.epoch)) for s in run.series.values() if np.isfinite(s.epoch).any()]
    times = [float(np.nanmax(s.time)) for s in run.series.values() if np.isfinite(s.time).any()]
    facts = [("ended", run.exit), ("steps", f"{run.last_step:,}")]
    facts += [("epochs", f"{max(epochs):g}")] if epochs else []
    facts += [("time", duration(max(times)))] if times else []
    facts += [("evaluations", f"{len(run.own_evaluations):,}")] if run.own_evaluations else []
    trained = [p for p in run.parameters if p.requires_grad]
    if run.parameters:
        facts.append(("trainable", f"{sum(p.size for p in trained):,} in {len(trained)} tensors"))
    loose = sum(1 for p in trained if not p.in_optimizer)
    facts += [("in no optimizer", f"{loose} tensor{'s' * (loose > 1)}")] if loose else []
    return [*facts, ("source", run.source)]


def duration(seconds: float) -> str:
    """Seconds as "41 s", "12 min 5 s" or "3 h 20 min"."""
    if not math.isfinite(seconds):
        return "unknown"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.3g} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


@dataclass(frozen=True)
class Blind:
    """A rule that could not look at some runs, for one reason."""

    outcome: NotChecked
    runs: tuple[str, ...]


def blind_rules(report: Report) -> list[Blind]:
    """Rules that could not look, each reason once with the runs that it holds for: all where it names none."""
    found: dict[tuple[str, str], list[NotChecked]] = {}
    for outcome in report.not_checked:
        found.setdefault((outcome.code, outcome.reason), []).append(outcome)
    return [Blind(same[0], tuple(dict.fromkeys(n.run or "all" for n in same))) for same in found.values()]

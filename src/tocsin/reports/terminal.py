"""A report for the terminal: the verdict first, then causes with their evidence, then what was not seen."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from tocsin.findings import SEVERITIES, Evidence, Finding, NotChecked, Remedy, Report, by_run
from tocsin.reports.beside import beaten, beside
from tocsin.reports.plain import figure, listed, plain
from tocsin.reports.verdict import Group as Alike
from tocsin.reports.verdict import groups, verdict

WORDS = {"error": "not learning", "warning": "suspect", "note": "noted", None: "no finding"}
STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan", None: "bold green"}

MOST_SHOWN = 40
MOST_RUNS = 25
MOST_UNREAD = 20
MOST_SCORES = 12
MOST_UNWATCHED = 2
MOST_COSTS = 6
_WATCH = re.compile(r"^needs [^;]*tocsin\.watch")


def render(report: Report, *, width: int = 100, color: bool = False) -> str:
    """The report as text.

    Args:
        report: What to show. Its names and messages may be hostile: what a terminal would obey is escaped.
        width: Columns, at least 40.
        color: Whether to add ANSI colours.
    """
    parts: list[RenderableType] = [_verdict(report)]
    shown = groups(report)
    parts += [_family(alike, len(report.runs) > 1) for alike in shown[:MOST_SHOWN]]
    if len(shown) > MOST_SHOWN:
        parts.append(Text(f"... and {len(shown) - MOST_SHOWN} more, which --json lists", "dim"))
    parts.append(_rest(report))
    return paint(parts, width=max(width, 40), color=color)


def paint(parts: Iterable[RenderableType], *, width: int, color: bool) -> str:
    """Rich renderables as text, an empty line between them, without trailing blanks."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=color, color_system="standard" if color else None,
        no_color=not color, highlight=False, markup=False, emoji=False, legacy_windows=False, _environ={},
        theme=Theme({"markdown.code": "cyan"}),
    )  # fmt: skip
    texts = []
    for part in parts:
        with console.capture() as capture:
            console.print(part)
        texts.append("\n".join(line.rstrip() for line in capture.get().splitlines()))
    return "\n\n".join(text for text in texts if text) + "\n"


def _verdict(report: Report) -> Text:
    said = verdict(report)
    style = STYLES["warning"] if said.word == "Not checked" else STYLES[report.worst if report.failed else None]
    return Text.assemble((f"{said.word}: ", style), (plain(said.sentence), "bold"))


def _family(alike: Alike, name_run: bool) -> Group:
    return Group(
        headline(alike.cause, name_run=name_run),
        Padding(Text(plain(alike.cause.message)), (0, 0, 0, 2), expand=False),
        Padding(_facts(alike), (0, 0, 0, 2), expand=False),
    )


def headline(finding: Finding, *, name_run: bool = False) -> Table:
    """Severity, code and name; beside them subject, run and when it began."""
    severity = finding.severity or "note"
    rule = Text.assemble((severity, STYLES[severity]), (f" {plain(finding.code)} {plain(finding.name)}", "bold"))
    about = [plain(finding.subject, 120)] if finding.subject else []
    about += [f"in run {plain(finding.run, 120)}"] if name_run and finding.run else []
    about += [began(finding)] if finding.run or finding.step or not name_run else []  # of several runs: at no time
    grid = _grid("")
    grid.add_row(rule, Text(", ".join(about), "dim"))
    return grid


def began(finding: Finding) -> str:
    """Where the fault began, when it rang, and whether it healed, in words."""
    words = "before training" if finding.step == 0 else f"from step {finding.step}"
    if finding.rang_at is not None and finding.rang_at != finding.step:
        words += f", rang at {finding.rang_at}"
    return words if finding.healed_at is None else f"{words}, healed at {finding.healed_at}"


def _facts(alike: Alike) -> Table:
    grid, cause = _grid(), alike.cause
    if alike.also_in:
        grid.add_row("also in", Text(listed(alike.also_in, "run")))
    _rows(grid, "evidence", (Text(evidence_line(e)) for e in cause.evidence))
    _rows(grid, "explains", (_symptom(f) for f in alike.below))
    for remedy in sorted(cause.remedies, key=lambda remedy: not remedy.safe):
        grid.add_row("safe fix" if remedy.safe else "unsafe fix", _remedy(remedy))
    return grid


def evidence_line(evidence: Evidence) -> str:
    """Source, step, value, limit and interval of one piece of evidence, then its words."""
    at = "" if evidence.step is None else f" at step {evidence.step}"
    value = "" if evidence.value is None else f" = {figure(evidence.value)}"
    against = [] if evidence.limit is None else [f"limit {figure(evidence.limit)}"]
    if evidence.interval is not None:
        against.append(f"interval {figure(evidence.interval[0])} to {figure(evidence.interval[1])}")
    bracket = f" ({', '.join(against)})" if against else ""
    words = f": {plain(evidence.text)}" if evidence.text else ""
    return f"{plain(evidence.source, 200)}{at}{value}{bracket}{words}"


def _symptom(finding: Finding) -> Text:
    severity = finding.severity or "note"
    head = (f"{severity} {plain(finding.code)}", STYLES[severity])
    line = Text.assemble(head, f" at step {finding.step}: {plain(finding.message)}")
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _remedy(remedy: Remedy) -> Text:
    settings = ", ".join(f"{plain(key, 120)}: {plain(value, 120)}" for key, value in remedy.patch.items())
    return Text(plain(remedy.text) + (f" [{settings}]" if settings else ""))


def _rest(report: Report) -> Table:
    grid = _grid()
    if len(report.runs) > 1:
        _rows(grid, f"runs ({len(report.runs)})", _each_run(report))
    _rows(grid, "scores", _scores(report))
    if report.clean:
        _rows(grid, f"clean ({len(report.clean)})", [Text(" ".join(map(plain, report.clean)))])
    if report.not_checked:
        blind = len({n.code for n in report.not_checked})
        _rows(grid, f"not checked ({blind})", map(Text, _blind(report.not_checked, len(report.runs))))
    if report.known:
        known = " ".join(dict.fromkeys(plain(f.code) for f in report.known))
        _rows(grid, f"known ({len(report.known)})", [Text(f"{known}: left out, the baseline names them")])
    unread = [Text(plain(sentence)) for sentence in report.unread[:MOST_UNREAD]]
    unread += [Text(f"... and {len(report.unread) - MOST_UNREAD} more")] if len(report.unread) > MOST_UNREAD else []
    _rows(grid, f"unread ({len(report.unread)})", unread)
    _rows(grid, "cost", [Text(_cost(report.costs))] if report.costs else [])
    return grid


def _cost(costs: Sequence[tuple[str, float]]) -> str:
    """What a preflight took, the dearest parts first."""
    dearest = sorted(costs, key=lambda part: -part[1])[:MOST_COSTS]
    parts = ", ".join(f"{plain(what)} {seconds:.2g}" for what, seconds in dearest)
    return f"{sum(seconds for _, seconds in costs):.2g} s: {parts}" + (", ..." if len(costs) > MOST_COSTS else "")


def _scores(report: Report) -> Iterable[Text]:
    """Last losses and metrics beside the best constant's, of the first runs; what is not beaten stands out."""
    several = len(report.runs) > 1
    for score in report.scores[:MOST_SCORES]:
        name = f"{plain(score.run, 120)}: {plain(score.name, 120)}" if several else plain(score.name, 120)
        yield Text.assemble(f"{name} ", (beside(score), "" if beaten(score) else STYLES["warning"]))
    if len(report.scores) > MOST_SCORES:
        yield Text(f"... and {len(report.scores) - MOST_SCORES} more, which --json lists")


def _each_run(report: Report) -> Iterable[Text]:
    """Each run with its codes; of many runs those with findings, the worst first."""
    own = {**{run: [] for run in report.runs}, **by_run(report.findings)}
    accepted = by_run(report.known)
    many = len(report.runs) > MOST_RUNS
    shown = [run for run in report.runs if own[run] or not many]
    if many:
        shown.sort(key=lambda run: min(SEVERITIES.index(f.severity or "note") for f in own[run]))
    for run in shown[:MOST_RUNS]:
        worst = Report(findings=tuple(own[run])).worst
        codes = dict.fromkeys(plain(f.code) for f in own[run])
        word = "nothing new" if worst is None and run in accepted else WORDS[worst]
        yield Text.assemble(f"{plain(run, 120)}: ", (word, STYLES[worst]), f" {' '.join(codes)}".rstrip())
    if len(shown) > MOST_RUNS:
        yield Text(f"... and {len(shown) - MOST_RUNS} more with findings")
    if len(shown) < len(report.runs):
        yield Text(f"{len(report.runs) - len(shown)} without any finding")


def _blind(not_checked: Iterable[NotChecked], runs: int) -> list[str]:
    """Reasons with the codes that share them; those that only a watch could meet together, where they are many.

    One that names no run holds for all of them.
    """
    by_reason: dict[str, dict[str, int]] = {}
    for blind in not_checked:
        codes = by_reason.setdefault(blind.reason, {})
        codes[blind.code] = codes.get(blind.code, 0) + (1 if blind.run else runs)
    unwatched = [reason for reason in by_reason if _WATCH.search(reason)]
    if len(unwatched) > MOST_UNWATCHED:
        together: dict[str, int] = {}
        for reason in unwatched:
            for code, n in by_reason.pop(reason).items():
                together[code] = together.get(code, 0) + n
        by_reason["need series that tocsin.watch records (--json names them)"] = dict(sorted(together.items()))
    return [f"{_codes(codes, runs)}: {plain(reason)}" for reason, codes in by_reason.items()]


def _codes(codes: dict[str, int], runs: int) -> str:
    some = {n for n in codes.values() if n < runs} if runs > 1 else set()
    return " ".join(plain(c) for c in codes) + (f" (in {max(some)} of {runs} runs)" if some else "")


def _grid(style: str = "dim") -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style=style, no_wrap=True)
    grid.add_column()
    return grid


def _rows(grid: Table, label: str, rows: Iterable[Text]) -> None:
    for i, row in enumerate(rows):
        grid.add_row(label if i == 0 else "", row)

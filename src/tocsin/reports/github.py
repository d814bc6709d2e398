"""A report as workflow commands of GitHub Actions: one annotation for each cause, its symptoms folded into it.

The commands are documented in GitHub's "Workflow commands for GitHub Actions". A runner obeys what stands in a line, so
that no text of a record may begin a line or a command of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tocsin.findings import Finding, Report
from tocsin.reports.place import Place
from tocsin.reports.plain import listed, plain
from tocsin.reports.terminal import evidence_line
from tocsin.reports.verdict import Group, groups

COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}
_EVIDENCE = 4


def render(report: Report, places: Mapping[str, Place] | None = None) -> str:
    """The report as lines for the log of a job.

    Args:
        report: What to show; its texts may be hostile.
        places: Where the runs lie, by their name; those below the working folder are told with ``file=``.
    """
    known = places or {}
    many = len(report.runs) > 1
    lines = [_command(group, known.get(group.cause.run), many) for group in groups(report)]
    return "\n".join([*lines, _harmless(plain(report.verdict))]) + "\n"


def _command(group: Group, place: Place | None, many: bool) -> str:
    cause = group.cause
    title = plain(f"{cause.code} {cause.name}" + (f" in {cause.run}" if many and cause.run else ""), 200)
    told = {"file": plain(place.path)} if place is not None and place.inside and place.path not in ("", ".") else {}
    settings = ",".join(f"{key}={_setting(value)}" for key, value in {**told, "title": title}.items())
    return f"::{COMMANDS[cause.severity or 'note']} {settings}::{_data(_lines(group))}"


def _lines(group: Group) -> Iterator[str]:
    yield _subject(group.cause) + plain(group.cause.message)
    for evidence in group.cause.evidence[:_EVIDENCE]:
        yield f"evidence: {evidence_line(evidence)}"
    for symptom in group.below:
        yield f"explains {symptom.severity or 'note'} {plain(symptom.code)}: {plain(symptom.message)}"
    for remedy in sorted(group.cause.remedies, key=lambda remedy: not remedy.safe):
        yield f"{'safe' if remedy.safe else 'unsafe'} fix: {plain(remedy.text)}"
    if group.also_in:
        yield f"also in {listed(group.also_in, 'run')}"


def _subject(finding: Finding) -> str:
    return f"{plain(finding.subject, 200)}: " if finding.subject else ""


def _data(lines: Iterable[str]) -> str:
    """The message of a command: its line ends and per cent signs as the runner reads them back."""
    return "%0A".join(_harmless(line).replace("%", "%25") for line in lines)


def _setting(value: str) -> str:
    """The value of a property: besides, what would end it."""
    return _data([value]).replace(":", "%3A").replace(",", "%2C")


def _harmless(line: str) -> str:
    """A line without ``##[name]``, the older form of commands, which counts anywhere in a line.

    The newer one, ``::name::``, counts at the start only, where nothing of a record ever stands.
    """
    return line.replace("##[", "## [")

"""A report as JSON text: schema ``tocsin.report/1``, strict (no bare NaN), the same bytes for the same report."""

from __future__ import annotations

from tocsin.findings import Report, dumps


def render(report: Report) -> str:
    """The report as indented JSON; ``Report.from_json`` reads it back."""
    return dumps(report.to_json(), indent=2) + "\n"

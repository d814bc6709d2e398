"""Print at the end the figures that tests measured (``record_property("figure", ...)``)."""

from __future__ import annotations


def pytest_terminal_summary(terminalreporter):
    reports = [r for outcome in ("passed", "failed") for r in terminalreporter.stats.get(outcome, [])]
    figures = dict.fromkeys(text for r in reports for key, text in r.user_properties if key == "figure")
    if figures:
        terminalreporter.section("figures")
        for text in figures:
            terminalreporter.write_line(text)

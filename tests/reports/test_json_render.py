"""The JSON report: strict, versioned, the inverse of reading it."""

from __future__ import annotations

import json

from reports.test_terminal_render import REPORT
from tocsin.findings import Report
from tocsin.reports.json import render


def _strict(name: str) -> None:
    raise AssertionError(f"bare {name}")


def test_it_is_strict_json_that_reads_back():
    text = render(REPORT)
    data = json.loads(text, parse_constant=_strict)
    assert data["schema"] == "tocsin.report/1"
    assert render(Report.from_json(data)) == text
    assert data["findings"][0]["evidence"][1]["value"] == "nan"


def test_the_keys_are_frozen():
    """A key that goes or changes its meaning needs a new schema version."""
    data = json.loads(render(REPORT))
    assert set(data) == {
        "schema", "runs", "findings", "clean", "not_checked", "unread", "known", "roots", "scores", "costs",
    }  # fmt: skip
    assert set(data["findings"][0]) == {
        "message", "subject", "step", "evidence", "remedies", "severity", "healed_at", "code", "name", "run", "rang_at",
        "explains",
    }  # fmt: skip
    assert set(data["findings"][0]["evidence"][0]) == {"source", "value", "step", "limit", "interval", "text"}
    assert set(data["findings"][0]["remedies"][0]) == {"text", "safe", "patch"}
    assert set(data["not_checked"][0]) == {"reason", "code", "name", "run"}

"""``tocsin report``: where it writes and what it says."""

from __future__ import annotations

import json
from pathlib import Path


def test_the_report_goes_into_the_run_folder(cli, recorded):
    folder = recorded("loud", 50, 100)
    outcome = cli("report", folder)
    assert (outcome.code, outcome.out, outcome.err) == (0, "runs/loud/report.html\n", "")
    assert "the loss is 50" in (folder / "report.html").read_text("utf-8")


def test_or_where_it_is_told(cli, recorded):
    outcome = cli("report", recorded("calm", 1), "-o", "here.html", "--json")
    assert json.loads(outcome.out) == {
        "schema": "tocsin.written-report/1",
        "path": "here.html",
        "verdict": "Clean: 3 rules looked and found nothing, 1 not checked.",
    }
    assert Path("here.html").is_file()


def test_the_project_settings_apply(cli, recorded):
    Path("pyproject.toml").write_text('[tool.tocsin]\nignore = ["LOW"]\n')
    outcome = cli("report", recorded("loud", 50), "--json")
    assert json.loads(outcome.out)["verdict"].startswith("Clean: ")

"""``tocsin check``: exit codes, selection, formats, baselines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import broken_rule, loss_above
from tocsin.findings import Report

RENDERED = """\
Not learning: LOW001 loss-above: the loss is 20 (limit 10)

warning LOW001 loss-above  train, from step 2, rang at 4
  the loss is 20 (limit 10)
  evidence  train/loss at step 2 = 20 (limit 10)
  explains  error LOW002 at step 3: the loss is exactly 100
  safe fix  Divide it. [scale: 0.1]

clean (1)        NTE001
not checked (1)  VAL001: needs val/loss (run.metrics({...}))
"""


def test_a_clean_run_exits_0_and_says_who_looked(cli, recorded):
    outcome = cli("check", recorded("calm", 3, 2, 1))
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("Clean: 3 rules looked and found nothing, 1 not checked.\n")


def test_a_failing_run_exits_1_and_leads_with_the_root(cli, recorded, monkeypatch):
    monkeypatch.setattr("tocsin.run.Run.looks", lambda _: [4])
    outcome = cli("check", recorded("loud", 5, 20, 100, 20))
    assert (outcome.code, outcome.err) == (1, "")
    assert outcome.out == RENDERED


def test_a_note_alone_exits_0(cli, recorded):
    outcome = cli("check", recorded("noted", 7, 6, 5))
    assert outcome.code == 0
    assert "note NTE001 loss-is-seven" in outcome.out


def test_several_runs_make_one_report_and_each_finding_names_its_run(cli, recorded):
    outcome = cli("check", recorded("calm", 3, 2), recorded("loud", 50, 40))
    assert outcome.code == 1
    assert outcome.out.startswith("Suspect: LOW001 loss-above in run loud: the loss is 50 (limit 10)\n")
    assert "train, in run loud, from step 1" in outcome.out
    assert "calm: no finding\n" in outcome.out
    assert "VAL001: needs val/loss" in outcome.out
    assert cli("check", "runs").out == outcome.out


@pytest.mark.parametrize(
    "words",
    [["--select", "NTE,VAL001"], ["--select", "NTE001", "--select", "val001"], ["--ignore", "loss-above , LOW002"]],
)
def test_rules_are_selected_by_code_prefix_or_name(cli, recorded, words):
    assert cli("check", recorded("loud", 50, 100), *words).code == 0


@pytest.mark.parametrize("words", [["--json"], ["--format", "json"]])
def test_json_is_a_report_that_reads_back(cli, recorded, words):
    outcome = cli("check", recorded("loud", 50, 100), *words)
    data = json.loads(outcome.out)
    assert (outcome.code, data["schema"]) == (1, "tocsin.report/1")
    assert [f.code for f in Report.from_json(data).roots] == ["LOW001"]


def test_the_format_may_come_from_the_environment(cli, recorded, monkeypatch):
    monkeypatch.setenv("TOCSIN_FORMAT", "json")
    assert json.loads(cli("check", recorded("calm", 1)).out)["runs"] == ["calm"]


def test_colours_only_where_asked(cli, recorded, monkeypatch):
    folder = recorded("loud", 50)
    assert "\x1b[" not in cli("check", folder).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in cli("check", folder).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in cli("check", folder).out


def test_a_baseline_leaves_known_findings_out_until_something_new_rings(cli, recorded):
    folder = recorded("loud", 50, 40)
    written = cli("check", folder, "--write-baseline", "known.json")
    assert (written.code, written.err) == (
        0,
        "tocsin: 1 finding written to known.json, known from now on in the same runs; "
        "--any-run accepts them in others, too\n",
    )
    known = json.loads(Path("known.json").read_text())
    assert known["schema"] == "tocsin.baseline/1"
    assert known["findings"] == [
        {"run": "loud", "code": "LOW001", "subject": "train", "message": "the loss is 50 (limit 10)"}
    ]
    outcome = cli("check", folder, "--baseline", "known.json")
    assert outcome.code == 0
    assert "known (1)        LOW001: left out, the baseline names them" in outcome.out
    assert cli("check", folder, recorded("other", 50), "--baseline", "known.json").code == 1
    again = cli("check", folder, "--baseline", "known.json", "--write-baseline", "again.json")
    assert (again.code, json.loads(Path("again.json").read_text())) == (0, known)


def test_a_baseline_of_any_run_survives_the_next_run(cli, recorded):
    runs = recorded("loud", 50), recorded("louder", 60)
    written = cli("check", *runs, "--write-baseline", "known.json", "--any-run")
    assert written.err == "tocsin: 1 finding written to known.json, known from now on in any run\n"
    (known,) = json.loads(Path("known.json").read_text())["findings"]
    assert (known["code"], known["subject"]) == ("LOW001", "train")
    assert "run" not in known
    outcome = cli("check", recorded("later", 70), runs[0], "--baseline", "known.json")
    assert outcome.code == 0
    assert "later: nothing new\n" in outcome.out
    assert cli("check", recorded("worse", 70, 100), "--baseline", "known.json").code == 1
    refused = cli("check", runs[0], "--any-run")
    assert (refused.code, refused.err) == (
        2,
        "tocsin: --any-run says how a baseline is written; add --write-baseline FILE\n",
    )


def test_the_first_baseline_may_be_named_in_the_settings_before_it_is_written(cli, recorded, project):
    (project / "pyproject.toml").write_text('[tool.tocsin]\nbaseline = "known.json"\n')
    folder = recorded("loud", 50)
    assert cli("check", folder).code == 2
    assert cli("check", folder, "--write-baseline", "known.json").code == 0
    assert cli("check", folder).code == 0
    assert cli("check", folder, "--write-baseline", "known.json").code == 0
    assert cli("check", folder).code == 0


def test_what_is_ignored_is_said(cli, recorded, project):
    folder = recorded("calm", 3, 2)
    (project / "pyproject.toml").write_text('[tool.tocsin]\nignore = ["LOW002"]\n')
    outcome = cli("check", folder, recorded("calm-2", 3, 2), "--ignore", "loss-above")
    assert outcome.out.startswith("Clean: 1 rules looked and found nothing, 3 not checked.\n")
    assert "LOW001 LOW002: left out by ignore (argument, option or" in outcome.out
    chosen = json.loads(cli("check", folder, "--select", "LOW", "--json").out)
    assert [(n["code"], n["run"]) for n in chosen["not_checked"]] == [("LOW002", "")]


def test_a_rule_that_breaks_is_a_tool_error_where_nothing_rang(cli, recorded, catalogue):
    catalogue(loss_above, broken_rule)
    outcome = cli("check", recorded("calm", 1, 2))
    assert outcome.code == 2
    assert outcome.err == (
        "tocsin: BAD001 broken-rule is broken, please report it: the rule raised ZeroDivisionError: by design\n"
    )
    assert cli("check", recorded("loud", 50)).code == 1


def test_sarif_tells_where_a_run_lies_and_nobody_s_home(cli, recorded):
    outcome = cli("check", recorded("loud", 50, 100), "--format", "sarif")
    (run,) = json.loads(outcome.out)["runs"]
    assert outcome.code == 1
    assert [r["id"] for r in run["tool"]["driver"]["rules"]] == ["LOW001", "LOW002", "NTE001", "VAL001"]
    (where, *_) = run["results"][0]["locations"]
    assert where["physicalLocation"]["artifactLocation"] == {"uri": "runs/loud", "uriBaseId": "%SRCROOT%"}
    assert str(Path.cwd()) not in outcome.out


def test_sarif_from_elsewhere_tells_nothing_above_the_given_path(cli, recorded, monkeypatch):
    folder = recorded("loud", 50).absolute()
    (folder.parent.parent / "elsewhere").mkdir()
    monkeypatch.chdir(folder.parent.parent / "elsewhere")
    outcome = cli("check", folder.parent, "--format", "sarif")
    (run,) = json.loads(outcome.out)["runs"]
    (where, *_) = run["results"][0]["locations"]
    assert where["physicalLocation"]["artifactLocation"] == {"uri": "runs/loud", "uriBaseId": "GIVEN"}
    assert str(folder.parent.parent) not in outcome.out


def test_github_annotates_the_run(cli, recorded):
    outcome = cli("check", recorded("loud", 50, 100), "--format", "github")
    assert outcome.code == 1
    assert outcome.out.startswith(
        "::warning file=runs/loud,title=LOW001 loss-above::train: the loss is 50 (limit 10)%0A"
    )
    assert "%0Aexplains error LOW002: the loss is exactly 100%0A" in outcome.out

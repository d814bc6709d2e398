"""SARIF: valid by the published schema for any report, stable, and without a path of this machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePosixPath

import jsonschema
import pytest
from hypothesis import given, settings

from reports.generated_reports import REPORTS
from reports.test_terminal_render import CAUSE, REPORT, SYMPTOM
from tocsin.engine import all_rules
from tocsin.findings import NotChecked, Report
from tocsin.reports.place import Place, place_of
from tocsin.reports.sarif import render

RULES = tuple(all_rules().values())
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "sarif-schema-2.1.0.json").read_text("utf-8"))
VALIDATOR = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
PLACES = {"keen-reef-7": Place("runs/keen reef:7")}


def _strict(name: str) -> None:
    raise AssertionError(f"bare {name}")


def run_of(report: Report, places=PLACES, rules=RULES, version="1.2.3") -> dict:
    text = render(report, rules, places, version)
    text.encode("utf-8")
    log = json.loads(text, parse_constant=_strict)
    VALIDATOR.validate(log)
    return log["runs"][0]


def test_the_schema_is_the_whole_one_and_refuses():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert len(SCHEMA["definitions"]) == 52
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate({"version": "2.1.0", "runs": [{"tool": {}}]})
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "result": []}]})


def test_the_tool_lists_every_rule():
    driver = run_of(REPORT)["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("tocsin", "1.2.3")
    assert [r["id"] for r in driver["rules"]] == list(all_rules())
    first = next(r for r in driver["rules"] if r["id"] == "OPT001")
    assert first["name"] == "frozen-parameters"
    assert first["defaultConfiguration"]["level"] in ("error", "warning", "note")
    assert "## " not in first["fullDescription"]["text"]
    assert "## Why is this bad?" in first["help"]["markdown"]
    assert all(r["fullDescription"]["text"] != r["shortDescription"]["text"] for r in driver["rules"])


def test_a_result_carries_its_rule_its_place_and_its_evidence():
    run = run_of(REPORT)
    cause = run["results"][0]
    assert run["tool"]["driver"]["rules"][cause["ruleIndex"]]["id"] == cause["ruleId"] == "OPT001"
    assert (cause["level"], cause["message"]["text"]) == ("error", CAUSE.message)
    (location,) = cause["locations"]
    assert location["physicalLocation"]["artifactLocation"] == {
        "uri": "runs/keen%20reef%3A7",
        "uriBaseId": "%SRCROOT%",
    }
    assert [n["name"] for n in location["logicalLocations"]] == ["keen-reef-7", "backbone"]
    assert cause["properties"]["evidence"][1]["value"] == "nan"
    assert cause["properties"]["step"] == 1


def test_a_symptom_is_linked_to_its_cause():
    cause, symptom, _, known = run_of(REPORT)["results"]
    assert cause["properties"]["root"] is True
    assert symptom["properties"]["root"] is False
    assert symptom["properties"]["followsFrom"] == [cause["partialFingerprints"]["tocsin/v1"]]
    assert cause["properties"]["explains"] == [symptom["partialFingerprints"]["tocsin/v1"]]
    (related,) = symptom["relatedLocations"]
    assert related["message"]["text"].startswith("follows from OPT001 frozen-parameters: 14 of 22")
    assert "relatedLocations" not in cause
    assert known["suppressions"] == [{"kind": "external", "justification": "the baseline names it"}]


def test_fingerprints_outlive_numbers_and_steps_and_tell_findings_apart():
    later = replace(CAUSE, message="15 of 22", step=9, rang_at=64, severity="warning")
    prints = [
        run_of(replace(REPORT, findings=(f,), known=()))["results"][0]["partialFingerprints"]["tocsin/v1"]
        for f in (CAUSE, later, replace(CAUSE, subject="head"), replace(CAUSE, run="other"), SYMPTOM)
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


def test_what_was_not_looked_at_is_a_notification():
    (invocation,) = run_of(REPORT)["invocations"]
    told = invocation["toolExecutionNotifications"]
    assert invocation["executionSuccessful"] is True
    assert [(n.get("associatedRule", {}).get("id"), n["level"]) for n in told] == [
        ("PRD004", "note"), ("GEN001", "note"), ("PRD007", "note"), (None, "warning"),
    ]  # fmt: skip
    assert told[1]["message"]["text"] == "GEN001 not checked: needs val/loss (run.metrics({{...}}))"
    broken = Report(("r",), not_checked=(NotChecked("the rule raised KeyError: 1", "GEN001", "overfit", "r"),))
    (invocation,) = run_of(broken)["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["level"] == "error"


def test_text_makes_no_link_and_no_placeholder():
    hostile = replace(CAUSE, message="see [here](http://e.vil) {0}")
    (result,) = run_of(Report(("r",), (hostile,)))["results"]
    assert result["message"]["text"] == "see [here] (http://e.vil) {{0}}"


@pytest.mark.parametrize(
    ("path", "given", "place"),
    [
        ("/data/here/runs/a.csv", "/data/here/runs", Place("runs/a.csv")),
        ("/home/jane/logs/x/a.csv", "/home/jane/logs", Place("logs/x/a.csv", inside=False)),
        ("/home/jane/a.csv", "/home/jane/a.csv", Place("a.csv", inside=False)),
        ("/elsewhere/a.csv", "/given", Place("a.csv", inside=False)),
    ],
)
def test_places_are_relative(path, given, place):
    assert place_of(PurePosixPath(path), PurePosixPath("/data/here"), PurePosixPath(given)) == place


def test_a_run_without_a_place_has_none():
    (result,) = run_of(Report(("r",), (replace(CAUSE, run="r"),)), places={})["results"]
    assert "physicalLocation" not in result["locations"][0]


@settings(max_examples=60, deadline=None)
@given(REPORTS)
def test_law_any_report_is_valid_and_nothing_is_lost(report):
    places = {"r": Place("a b/ü:%.csv"), "s": Place("\ud800", inside=False)}
    run = run_of(report, places, RULES[:4])
    assert len(run["results"]) == len(report.findings) + len(report.known)
    assert render(report, RULES[:4], places) == render(report, RULES[:4], places)
    for result in run["results"]:
        assert result["level"] in ("error", "warning", "note")

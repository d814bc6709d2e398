"""Findings and reports: strict JSON and back, causes and symptoms, the decorator."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.findings import (
    SEVERITIES,
    Evidence,
    Finding,
    NotChecked,
    Remedy,
    Report,
    Score,
    dumps,
    finding_from_json,
    finding_to_json,
    rule,
)
from tocsin.run import Run

text = st.text(max_size=12)
# A text that spells a non-finite number comes back as that number: the JSON form cannot tell them apart.
words = text.filter(lambda t: t not in ("nan", "inf", "-inf"))
numbers = st.floats(width=64)
steps = st.integers(0, 2**53)
evidence = st.builds(
    Evidence,
    source=text,
    value=st.none() | numbers | words,
    step=st.none() | steps,
    limit=st.none() | numbers,
    interval=st.none() | st.tuples(numbers, numbers),
    text=text,
)
patches = st.dictionaries(text, words | st.booleans() | steps | st.lists(steps, max_size=2), max_size=2)
remedies = st.builds(Remedy, text=text, safe=st.booleans(), patch=patches)
findings = st.builds(
    Finding,
    message=text,
    subject=text,
    step=steps,
    evidence=st.lists(evidence, max_size=2).map(tuple),
    remedies=st.lists(remedies, max_size=2).map(tuple),
    severity=st.sampled_from(SEVERITIES),
    healed_at=st.none() | steps,
    code=text,
    name=text,
    run=text,
    rang_at=st.none() | steps,
    explains=st.lists(text, max_size=2).map(tuple),
)
blind = st.builds(NotChecked, reason=text, code=text, name=text, run=text)
names = st.lists(text, max_size=3).map(tuple)
scores = st.builds(
    Score,
    name=text,
    value=numbers,
    step=steps,
    of=text,
    constant=st.none() | st.tuples(numbers, numbers),
    zero=st.none() | numbers,
    error=numbers,
    sign=st.sampled_from([-1, 1]),
    run=text,
)
reports = st.builds(
    Report,
    runs=names,
    findings=st.lists(findings, max_size=3).map(tuple),
    clean=names,
    not_checked=st.lists(blind, max_size=2).map(tuple),
    unread=names,
    known=st.lists(findings, max_size=1).map(tuple),
    scores=st.lists(scores, max_size=2).map(tuple),
)


def strict(value: object) -> object:
    """Through JSON text, refusing bare NaN."""

    def refuse(word: str) -> float:
        raise AssertionError(f"bare {word} in JSON")

    return json.loads(dumps(value), parse_constant=refuse)


@given(reports)
@settings(max_examples=50, deadline=None)
def test_a_report_survives_the_json_round_trip(report):
    again = Report.from_json(strict(report.to_json()))
    assert repr(again) == repr(report)  # repr, because NaN differs from itself
    assert strict(again.to_json()) == strict(report.to_json())


@given(findings)
@settings(max_examples=50, deadline=None)
def test_a_finding_survives_the_json_round_trip(finding):
    assert repr(finding_from_json(strict(finding_to_json(finding)))) == repr(finding)


def test_numpy_numbers_become_plain_json():
    finding = Finding(
        "m", step=np.int64(3), evidence=(Evidence("s", np.float32(0.5), interval=(np.float64("nan"), 1)),)
    )
    data = strict(finding_to_json(finding))
    assert data["step"] == 3
    assert data["evidence"][0]["value"] == 0.5
    assert data["evidence"][0]["interval"] == ["nan", 1]


def test_another_schema_is_refused_with_what_was_expected():
    with pytest.raises(ValueError, match=r"expected a report of schema 'tocsin.report/1', got 'other/2'"):
        Report.from_json({"schema": "other/2"})


def _finding(code, step=1, severity="warning", explains=(), run="a", healed_at=None):
    return Finding("m", code=code, step=step, severity=severity, explains=explains, run=run, healed_at=healed_at)


def test_a_cause_accounts_for_a_declared_later_symptom():
    cause, symptom = _finding("AAA001", 5, explains=("BBB001",)), _finding("BBB001", 5)
    report = Report(findings=(cause, symptom))
    assert report.roots == (cause,)
    assert report.symptoms(cause) == (symptom,)


@pytest.mark.parametrize(
    "symptom",
    [
        _finding("BBB001", 4),
        _finding("BBB001", 6, run="another run"),
        _finding("CCC001", 6),
    ],
    ids=["began earlier", "another run", "not declared"],
)
def test_a_cause_does_not_account_for(symptom):
    cause = _finding("AAA001", 5, explains=("BBB001",))
    assert Report(findings=(cause, symptom)).roots == (cause, symptom)


def test_a_note_never_explains_a_warning():
    note = _finding("AAA001", 1, "note", explains=("BBB001",))
    assert not note.accounts_for(_finding("BBB001", 2, "warning"))
    assert note.accounts_for(_finding("BBB001", 2, "note"))


def test_worst_and_failed():
    assert Report().worst is None
    assert not Report(findings=(_finding("A", severity="note"),)).failed
    assert Report(findings=(_finding("A", severity="note"), _finding("B"))).worst == "warning"
    assert Report(findings=(_finding("A"),)).failed


def test_the_verdict_never_calls_a_run_clean_that_no_rule_could_look_at():
    assert Report(not_checked=(NotChecked("x"),)).verdict.startswith("Not checked: ")
    assert Report(clean=("A",), not_checked=(NotChecked("x"),)).verdict.startswith("Clean: 1 rule")
    assert Report(findings=(_finding("A", severity="note"),)).verdict.startswith("Clean: ")
    assert Report(findings=(_finding("A"),)).verdict == "Suspect: A : m"
    cause, symptom = _finding("A", explains=("B",)), _finding("B", severity="error")
    assert Report(findings=(symptom, cause)).verdict == "Not learning: A : m"
    two = (_finding("B", severity="error"), _finding("A"))
    assert Report(findings=two).verdict == "Not learning: B : m (and 1 more)"


def test_the_decorator_takes_name_options_and_page_from_the_function():
    @rule("XXX001", needs=("train/loss",), explains=("YYY001",))
    def a_made_up_fault(run, *, factor=2.0):
        """The loss is made up.

        ## What it does
        """
        yield Finding(f"x {factor}")

    assert a_made_up_fault.name == "a-made-up-fault"
    assert a_made_up_fault.options == {"factor": 2.0}
    assert a_made_up_fault.summary == "The loss is made up."
    rung = a_made_up_fault.ring(Run("r"), Finding("x", severity="note"))
    assert (rung.code, rung.name, rung.run, rung.severity) == ("XXX001", "a-made-up-fault", "r", "note")
    assert a_made_up_fault.ring(Run("r"), Finding("x")).severity == "warning"
    assert rung.explains == ("YYY001",)


def test_nan_evidence_keeps_its_kind():
    finding = Finding("m", evidence=(Evidence("train/loss", math.nan, 3),))
    value = finding_from_json(strict(finding_to_json(finding))).evidence[0].value
    assert isinstance(value, float)
    assert math.isnan(value)


def test_findings_about_different_tasks_do_not_explain_each_other():
    def about(code: str, split_and_task: str) -> Finding:
        where = (Evidence(f"evaluation:{split_and_task}"),)
        return Finding("m", split_and_task, 1, where, code=code, severity="error", explains=("BBB001",))

    constant = about("AAA001", "val/snr")
    assert constant.accounts_for(about("BBB001", "val/snr"))
    assert constant.accounts_for(about("BBB001", "test/snr"))
    assert not constant.accounts_for(about("BBB001", "val/modulation"))

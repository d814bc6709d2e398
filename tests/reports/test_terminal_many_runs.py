"""The report on many runs: the same fault once, and the runs worth looking at."""

from tocsin.findings import Finding, Report
from tocsin.reports.terminal import render
from tocsin.reports.verdict import groups


def found(run, code="OPT010", severity="warning", subject=""):
    return Finding(f"{run} spikes", subject, 3, code=code, name="lr-too-high", run=run, severity=severity)


def test_a_fault_of_many_runs_is_told_once_with_their_names():
    report = Report(tuple("abcdef"), tuple(found(run) for run in "abcde"))
    (alike,) = groups(report)
    assert (alike.cause.run, alike.also_in) == ("a", tuple("bcde"))
    text = render(report)
    assert text.count("OPT010 lr-too-high") == 2  # verdict and headline
    assert "4 more runs: b, c, d, e" in text


def test_a_fault_of_few_runs_is_told_of_each():
    assert [g.cause.run for g in groups(Report(tuple("abc"), tuple(found(run) for run in "abc")))] == ["a", "b", "c"]


def test_of_many_runs_those_with_findings_are_listed_worst_first():
    runs = tuple(f"run{i}" for i in range(60))
    findings = (found("run7"), found("run9", "AMP003", "error"), found("run50", severity="note"))
    text = render(Report(runs, findings))
    lines = [line for line in text.splitlines() if "run" in line]
    listed = [
        line.split(": ")[0].split()[-1]
        for line in lines
        if ": not learning" in line or ": suspect" in line or ": noted" in line
    ]
    assert listed == ["run9", "run7", "run50"]
    assert "57 without any finding" in text
    assert "run33" not in text


def test_thousands_of_findings_and_unread_files_stay_readable():
    runs = tuple(f"run{i}" for i in range(3000))
    findings = tuple(found(run, code) for run in runs for code in ("OPT010", "GEN001"))
    text = render(Report(runs, findings, unread=tuple(f"file {i}: torn" for i in range(500))))
    assert len(text.splitlines()) < 80
    assert "... and 480 more" in text

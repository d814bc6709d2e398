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


def test_a_finding_about_several_runs_stands_at_no_time_and_one_of_a_run_does():
    over = Finding("a is called best, but b is", "a", code="CMP005", name="not-the-best", severity="warning")
    headline = next(line for line in render(Report(("a", "b"), (over,))).splitlines() if line.startswith("warning"))
    assert headline == "warning CMP005 not-the-best  a"
    started = Finding("lr is text", "lr", code="CFG001", name="number-as-string", severity="warning", run="a")
    assert "CFG001 number-as-string  lr, in run a, before training" in render(Report(("a", "b"), (started,)))
    assert "CMP005 not-the-best  a, before training" in render(Report(("a",), (over,)))

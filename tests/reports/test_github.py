"""Workflow commands: one line a cause, and no text of a record that the runner would obey."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given, settings

from reports.generated_reports import REPORTS
from reports.test_terminal_render import CAUSE, REPORT
from tocsin.findings import Report
from tocsin.reports.github import render
from tocsin.reports.place import Place
from tocsin.reports.verdict import groups

RENDERED = """\
::error file=runs/keen-reef-7,title=OPT001 frozen-parameters::backbone: 14 of 22 tensors did not change in 640 \
optimizer steps: stem, stage1, stage2%0Aevidence: param/changed/stem.0.weight at step 32 = 0 (limit 1): bytes \
unchanged since step 1%0Aevidence: grad/norm/stem.0.weight at step 32 = nan (limit 0, interval 0 to 0.0001235)%0A\
evidence: config:freeze = '5e-5'%0Aexplains warning PRD002: snr: one class, 28 dB, for 99.8 %25 of 4096 samples \
(expected 6 %25)%0Asafe fix: If it is meant to be frozen, set requires_grad_(False) on it.%0A\
unsafe fix: Take the backbone out of torch.no_grad() in forward, or remove .detach() before the heads.
::notice file=runs/keen-reef-7,title=EVL001 metric-disconnected::val/f1_macro: val/f1_macro reads 0.031, the \
confusion gives 0.047
Not learning: OPT001 frozen-parameters: 14 of 22 tensors did not change in 640 optimizer steps: stem, stage1, stage2
"""
COMMAND = re.compile(r"::(error|warning|notice) (?:file=[^:,\r\n]+,)?title=[^:,\r\n]*::[^\r\n]*")


def test_a_report_as_commands():
    assert render(REPORT, {"keen-reef-7": Place("runs/keen-reef-7")}) == RENDERED


def test_a_place_outside_of_the_project_is_not_told():
    assert "file=" not in render(REPORT, {"keen-reef-7": Place("keen-reef-7", inside=False)})
    assert "file=" not in render(REPORT)


def test_one_fault_in_many_runs_is_one_annotation():
    runs = tuple(f"r{k}" for k in range(9))
    report = Report(runs, tuple(replace(CAUSE, run=run) for run in runs))
    said = render(report)
    assert said.count("::error ") == 1
    assert "also in 8 more runs: r1, r2" in said


def test_properties_are_escaped():
    said = render(REPORT, {"keen-reef-7": Place("a:b,c%/\U0001f600.csv")})
    assert said.startswith("::error file=a%3Ab%2Cc%25/\U0001f600.csv,title=")


def test_a_clean_report_is_one_line():
    assert render(Report(("r",), clean=("A001",))) == "Clean: 1 rules looked and found nothing, 0 not checked.\n"


@settings(max_examples=60, deadline=None)
@given(REPORTS)
def test_law_no_text_becomes_a_command(report):
    said = render(report, {"r": Place("x\r\n::add-mask::y"[:9]), "s": Place("##[z]")})
    *commands, verdict, rest = said.split("\n")
    assert rest == ""
    assert "\r" not in said
    assert len(said.splitlines()) == len(commands) + 1
    assert len(commands) == len(groups(report))
    assert all(COMMAND.fullmatch(line) for line in commands)
    assert verdict.startswith(("Not learning: ", "Suspect: ", "Clean: ", "Not checked: "))
    assert "##[" not in said

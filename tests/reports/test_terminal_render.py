"""The terminal report: what stands where, that nothing is lost, and that hostile text is shown and not obeyed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.findings import Evidence, Finding, NotChecked, Remedy, Report
from tocsin.reports.terminal import evidence_line, render
from tocsin.reports.verdict import families, verdict

CAUSE = Finding(
    "14 of 22 tensors did not change in 640 optimizer steps: stem, stage1, stage2",
    subject="backbone", step=1, rang_at=32, code="OPT001", name="frozen-parameters", severity="error",
    run="keen-reef-7", explains=("PRD002",),
    evidence=(
        Evidence("param/changed/stem.0.weight", 0.0, 32, 1.0, None, "bytes unchanged since step 1"),
        Evidence("grad/norm/stem.0.weight", math.nan, 32, 0.0, (0.0, 0.0001234567)),
        Evidence("config:freeze", "5e-5"),
    ),
    remedies=(
        Remedy("Take the backbone out of torch.no_grad() in forward, or remove .detach() before the heads."),
        Remedy("If it is meant to be frozen, set requires_grad_(False) on it.", True, {"freeze": "backbone"}),
    ),
)  # fmt: skip
SYMPTOM = Finding(
    "snr: one class, 28 dB, for 99.8 % of 4096 samples (expected 6 %)", subject="val/snr", step=240, rang_at=480,
    code="PRD002", name="constant-prediction", severity="warning", run="keen-reef-7",
)  # fmt: skip
HEALED = Finding(
    "val/f1_macro reads 0.031, the confusion gives 0.047", subject="val/f1_macro", step=240, rang_at=240, healed_at=320,
    code="EVL001", name="metric-disconnected", severity="note", run="keen-reef-7",
)  # fmt: skip
REGRESSION = "needs evaluations:regression (run.evaluate(split, target=, prediction=))"
REPORT = Report(
    runs=("keen-reef-7",),
    findings=(CAUSE, SYMPTOM, HEALED),
    clean=("AMP002", "AMP003", "CFG001"),
    not_checked=(
        NotChecked(REGRESSION, "PRD004", "scale-collapse", "keen-reef-7"),
        NotChecked("needs val/loss (run.metrics({...}))", "GEN001", "overfit", "keen-reef-7"),
        NotChecked(REGRESSION, "PRD007", "mean-shift", "keen-reef-7"),
    ),
    unread=("rank0/000002.jsonl: 3 lines could not be read",),
    known=(replace(SYMPTOM, code="OBJ001"),),
)
AT_80 = """\
Not learning: OPT001 frozen-parameters: 14 of 22 tensors did not change in 640
optimizer steps: stem, stage1, stage2

error OPT001 frozen-parameters  backbone, from step 1, rang at 32
  14 of 22 tensors did not change in 640 optimizer steps: stem, stage1, stage2
  evidence    param/changed/stem.0.weight at step 32 = 0 (limit 1): bytes
              unchanged since step 1
              grad/norm/stem.0.weight at step 32 = nan (limit 0, interval 0 to
              0.0001235)
              config:freeze = '5e-5'
  explains    warning PRD002 at step 240: snr: one class, 28 dB, for 99.8 % of …
  safe fix    If it is meant to be frozen, set requires_grad_(False) on it.
              [freeze: backbone]
  unsafe fix  Take the backbone out of torch.no_grad() in forward, or remove
              .detach() before the heads.

note EVL001 metric-disconnected  val/f1_macro, from step 240, healed at 320
  val/f1_macro reads 0.031, the confusion gives 0.047

clean (3)        AMP002 AMP003 CFG001
not checked (3)  PRD004 PRD007: needs evaluations:regression
                 (run.evaluate(split, target=, prediction=))
                 GEN001: needs val/loss (run.metrics({...}))
known (1)        OBJ001: left out, the baseline names them
unread (1)       rank0/000002.jsonl: 3 lines could not be read
"""


def test_a_report_at_80_columns():
    assert render(REPORT, width=80) == AT_80


def test_a_clean_report_is_short():
    assert render(Report(("r",), clean=("A001", "B001"))) == (
        "Clean: 2 rules looked and found nothing, 0 not checked.\n\nclean (2)  A001 B001\n"
    )


def test_a_report_prints_itself():
    assert str(REPORT) == render(REPORT)


def test_colours_change_no_word():
    import re

    colored = render(REPORT, width=80, color=True)
    assert "\x1b[1;31merror" in colored
    bare = "\n".join(line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", colored).splitlines())
    assert bare == AT_80.rstrip("\n")


def test_several_runs_are_told_apart():
    other = replace(SYMPTOM, run="calm-arch-2")
    several = replace(REPORT, runs=("keen-reef-7", "calm-arch-2", "mild-arch-3"), findings=(CAUSE, SYMPTOM, other))
    said = render(several, width=100)
    assert said.startswith("Not learning: OPT001 frozen-parameters in run keen-reef-7: ")
    assert "warning PRD002 constant-prediction  val/snr, in run calm-arch-2, from step 240, rang at 480\n" in said
    assert "runs (3)         keen-reef-7: not learning OPT001 PRD002\n" in said
    assert "                 calm-arch-2: suspect PRD002\n                 mild-arch-3: no finding\n" in said
    assert "PRD004 PRD007 (in 1 of 3 runs): needs evaluations" in said


def test_a_rule_over_several_runs_could_look_at_none_of_them():
    several = replace(REPORT, runs=("a", "b"), not_checked=(NotChecked("needs a sweep", "CMP001", "confounded"),))
    assert "CMP001: needs a sweep" in render(several, width=100)


HOSTILE = "[bold red]x[/] \x1b[2J\x1b]0;owned\x07 \u202egnp.exe \ud800 \r\nfake line :smile:"
SHOWN = "[bold red]x[/] \\x1b[2J\\x1b]0;owned\\x07 \\u202egnp.exe \\ud800   fake line :smile:"


def test_hostile_text_is_shown_not_obeyed():
    finding = Finding(
        HOSTILE, HOSTILE, 1, (Evidence(HOSTILE, HOSTILE, 1, text=HOSTILE),),
        (Remedy(HOSTILE, patch={HOSTILE: HOSTILE}),), "error", code="X001",
        name=HOSTILE, run=HOSTILE, explains=("X002",),
    )  # fmt: skip
    symptom = replace(finding, code="X002", step=2)
    report = Report((HOSTILE, "b"), (finding, symptom), (HOSTILE,), (NotChecked(HOSTILE, HOSTILE),), (HOSTILE,))
    for color in (False, True):
        said = render(report, width=120, color=color)
        assert SHOWN in said
        said.encode("utf-8")
        assert not set("\r\x07\u202e") & set(said)
        assert "\x1b]" not in said
        assert "\x1b[2J" not in said
    assert "\x1b" not in render(report, width=120)


def test_very_long_text_is_cut():
    said = render(Report(("r",), (Finding("x" * 10**6, code="A001", severity="error"),)))
    assert len(said) < 10_000


@pytest.mark.parametrize(
    ("evidence", "line"),
    [
        (Evidence("train/loss"), "train/loss"),
        (Evidence("train/loss", 3256742.0, 7), "train/loss at step 7 = 3256742"),
        (Evidence("a", 0.123456, 0, 0.5), "a at step 0 = 0.1235 (limit 0.5)"),
        (Evidence("a", math.inf, 1, None, (-math.inf, 2.5)), "a at step 1 = inf (interval -inf to 2.5)"),
        (Evidence("config:lr", "5e-5", text="is text"), "config:lr = '5e-5': is text"),
        (Evidence("a", 1e300), "a = 1e+300"),
    ],
)
def test_evidence_in_words(evidence, line):
    assert evidence_line(evidence) == line


CODES = ("A001", "B001", "C001", "D001")
FINDINGS = st.lists(
    st.builds(
        Finding,
        message=st.text(max_size=40),
        subject=st.text(max_size=10),
        step=st.integers(0, 3),
        severity=st.sampled_from(["error", "warning", "note"]),
        code=st.sampled_from(CODES),
        run=st.sampled_from(["r", "s"]),
        explains=st.lists(st.sampled_from(CODES), max_size=2).map(tuple),
    ),
    max_size=6,
)


@settings(max_examples=50, deadline=None)
@given(findings=FINDINGS, width=st.integers(1, 200))
def test_no_finding_is_lost_and_no_line_too_long(findings, width):
    report = Report(("r", "s"), tuple(findings))
    stands = [f for cause, below in families(report) for f in (cause, *below)]
    assert {id(f) for f in stands} == {id(f) for f in findings}
    said = render(report, width=width)
    assert said == render(report, width=width)
    assert all(f.code in said for f in findings)
    assert all(ord(c) >= 32 or c == "\n" for c in said)


def test_a_chain_of_symptoms_stands_under_its_root():
    a, b, c = (
        Finding("m", code=code, explains=explains, severity="error")
        for code, explains in (("A001", ("B001",)), ("B001", ("C001",)), ("C001", ()))
    )
    assert families(Report(("",), (c, b, a))) == [(a, (c, b))]


def test_the_verdict_in_two_parts():
    said = verdict(REPORT)
    assert (said.word, str(said)) == ("Not learning", REPORT.verdict)

"""The runs of report 000 as users get them: files in step with the corpus, and what is said of each conclusion."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tocsin
from corpus.seeds import as_logs, constellation
from corpus.test_seeds import NOT_IN_THE_NUMBERS

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "guides" / "report-000.md").read_text(encoding="utf-8")
EXAMPLE, WITH_CODE = "report_000", "report_000_code"


@pytest.fixture(scope="module")
def report():
    return tocsin.check(ROOT / "examples" / EXAMPLE)


def contrast(kind, first, other, **how):
    paths = [ROOT / "examples" / kind / name for name in (first, other)]
    (found,) = tocsin.compare(paths, **how).contrasts
    return found


def test_the_files_are_those_that_the_script_writes():
    held = [path for kind in (EXAMPLE, WITH_CODE) for path in (ROOT / "examples" / kind).rglob("*") if path.is_file()]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in held}
    assert texts == as_logs.examples(), "run `python tests/corpus/seeds/as_logs.py`"


def test_the_logs_are_read_as_the_runs_of_the_corpus():
    found = {run.name: run for run in tocsin.read(ROOT / "examples" / EXAMPLE)}
    told = {as_logs.folder_of(run): run for run in constellation.runs()}
    assert found.keys() == told.keys()
    for name, run in told.items():
        assert dict(found[name].config) == dict(run.config)
        points = {key: ([*s.step], [*s.value]) for key, s in run.series.items()}
        assert {key: ([*s.step], [*s.value]) for key, s in found[name].series.items()} == points


@pytest.mark.parametrize(
    ("code", "subject", "said"),
    [
        (
            "CMP005",
            "super-plasma-180",
            "ResNet50-bottleneck_64 is better (2 runs are): val/accuracy 46.31 against 48.65",
        ),
        ("CMP001", "honest-silence-181 / super-plasma-180", "alpha: 1 against 0.5; max_lr: 5e-05 against 0.0001"),
        ("CMP001", "polished-shadow-183 / super-plasma-180", "max_lr: 1e-05 against 0.0001; dilated: True"),
        ("CMP001", "vague-wave-153 / snowy-valley-151", "shuffle: True against False; checkpoint: best_model"),
        ("CMP002", "iconic-serenity-164 / vague-wave-153", "num_classes: 272 against 442; snr_range: 0-30 dB"),
        ("CMP002", "iconic-serenity-164 / vague-wave-153", "46.53 against 27.58 is 0.463 against 0.274"),
    ],
)
def test_the_notes_are_contradicted_by_the_numbers(report, code, subject, said):
    (finding,) = (f for f in report.findings if (f.code, f.subject, f.severity) == (code, subject, "warning"))
    assert said in finding.message


def test_nothing_else_rings(report):
    rung = sorted(f.code for f in report.findings if f.severity != "note")
    assert rung == ["CMP001"] * 4 + ["CMP002", "CMP005"]


@pytest.mark.parametrize(
    ("kind", "first", "other", "verdict", "said"),
    [
        (EXAMPLE, "super-plasma-180", "honest-silence-181", "confounded",
         "-0.43, but 2 settings differ (alpha: 0.5 against 1; max_lr: 0.0001 against 5e-05): none of them can be"),
        (EXAMPLE, "super-plasma-180", "polished-shadow-183", "confounded",
         "3 settings differ (alpha: 0.5 against 1; max_lr: 0.0001 against 1e-05; dilated: none against True)"),
        (EXAMPLE, "snowy-valley-151", "vague-wave-153", "confounded", "shuffle: False against True; checkpoint: none"),
        (EXAMPLE, "vague-wave-153", "iconic-serenity-164", "different-question", "num_classes: 442 against 272"),
        (EXAMPLE, "splendid-pyramid-154", "iconic-serenity-164", "different-question",
         "snr_range: High SNR Only against 0-30 dB"),
        (EXAMPLE, "iconic-serenity-164", "ResNet50-bottleneck_64", "unsized",
         "val/accuracy +2.12: no noise is known (neither samples of the evaluation nor repeated seeds); told by one of "
         "them alone, so they may differ: snr_range, normalisation, num_classes, snr_layer"),
        (WITH_CODE, "splendid-pyramid-154", "iconic-serenity-164", "different-question",
         "num_snr_classes: 9 against 16; snr_range: 14-30 dB against 0-30 dB"),
        (WITH_CODE, "snowy-valley-151", "vague-wave-153", "unsized", "val/accuracy +4.13: no noise is known"),
    ],
)  # fmt: skip
def test_compare_says_what_the_runs_allow(kind, first, other, verdict, said):
    found = contrast(kind, first, other)
    assert found.verdict == verdict
    assert said in found.sentence
    assert f"tocsin compare examples/{kind}/{first} examples/{kind}/{other}" in GUIDE


def test_nine_classes_and_sixteen_are_corrected_for_chance_where_they_are_told():
    found = contrast(WITH_CODE, "splendid-pyramid-154", "iconic-serenity-164", metric="val/snr_accuracy")
    assert found.beyond_chance == ("val/snr_accuracy 12.82 against 62.79 is 0.019 against 0.603",)
    assert contrast(EXAMPLE, "splendid-pyramid-154", "iconic-serenity-164").beyond_chance == ()


def test_with_the_code_shuffling_is_no_difference():
    assert [*contrast(WITH_CODE, "snowy-valley-151", "vague-wave-153").settings] == ["checkpoint"]


def test_the_arithmetic_of_the_guide():
    (old,) = tocsin.read(ROOT / "examples" / EXAMPLE / "vague-wave-153")
    assert f"{float(old.series['val/accuracy'].value[-1]) * 26 / 16:.1f}" == "44.8"
    assert "27.58 x 26 / 16 = 44.8" in GUIDE


def test_rows_that_no_number_shows_are_listed_and_silent(report):
    table = GUIDE.split("## What no number of the report shows")[1]
    codes = set(re.findall(r"[A-Z]{3}\d{3}", table))
    assert codes >= set(re.findall(r"[A-Z]{3}\d{3}", " ".join(k for k in NOT_IN_THE_NUMBERS if k.startswith("000"))))
    assert not codes & {f.code for f in report.findings}


def test_the_fault_that_the_guide_names_is_one():
    from tocsin.studies import load

    named = re.findall(r"tocsin train constellation --fault ([a-z-]+)", GUIDE)
    assert named == ["argmax-distance"]
    assert set(named) <= {*load("constellation").faults}

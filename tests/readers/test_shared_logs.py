"""Ten real logs: each fault leads its report, with the facts of it; the healthy ones are silent."""

from __future__ import annotations

from pathlib import Path

import pytest

import tocsin

LOGS = Path(__file__).parent / "shared_logs"
FAULTY = {  # folder: the code that leads, what its message states
    "hf_overfit_multihead": ("GEN001", "val_g0/loss rose from its minimum", "step 401"),
    "mmdet_nan_35_hours": ("AMP003", "from step 150 on", "bbox, centerness", "35.7 h"),
    "mmdet_failed_start": ("RUN002", "0 values of training"),
    "console_ner_f1_zero": ("EVL006", "f1"),
    "jsonl_lr_near_zero": ("OPT008", "600 steps", "1e-07"),
}
HEALTHY = ("console_modded_nanogpt", "console_nanogpt", "jsonl_nmt", "lightning_mnist", "mmdet_carafe")
SERIES = [  # folder, source, series, its points and its last value: counted in the files by other means
    ("hf_overfit_multihead", "hf-trainer", "val_g0/loss", 31, 2.7486727237701416),
    ("mmdet_carafe", "mmdetection", "val/mAP", 12, 0.76595),
    ("mmdet_nan_35_hours", "mmdetection", "train/loss/bbox", 211, float("nan")),
    ("jsonl_lr_near_zero", "json-lines", "lr/0", 35, 2e-08),
    ("jsonl_nmt", "json-lines", "val/loss", 3, 2.32165),
    ("console_nanogpt", "console", "val/loss", 17, 2.6645),
    ("console_modded_nanogpt", "console", "train/loss", 285, 1.991),
]


def test_each_log_is_in_one_of_the_tables():
    assert {path.name for path in LOGS.iterdir() if path.is_dir()} == {*FAULTY, *HEALTHY}


@pytest.mark.parametrize("folder", FAULTY)
def test_the_fault_leads(folder):
    code, *facts = FAULTY[folder]
    report = tocsin.check(LOGS / folder)
    assert report.roots[0].code == code
    assert [fact for fact in facts if fact not in report.roots[0].message] == []
    assert {finding.code for finding in report.roots if finding.severity != "note"} == {code}
    assert report.unread == ()


@pytest.mark.parametrize("folder", HEALTHY)
def test_a_healthy_log_is_silent(folder):
    report = tocsin.check(LOGS / folder)
    assert [finding.message for finding in report.findings if finding.severity != "note"] == []
    assert report.unread == ()


@pytest.mark.parametrize(("folder", "source", "name", "count", "last"), SERIES, ids=[row[0] for row in SERIES])
def test_every_point_is_read(folder, source, name, count, last):
    (run,) = tocsin.read(LOGS / folder)
    assert run.source == source
    assert len(run.series[name]) == count
    assert run.series[name].value[-1] == pytest.approx(last, nan_ok=True)


def test_two_loggings_of_one_study_stay_two_runs():
    runs = {run.source: run for run in tocsin.read(LOGS / "lightning_mnist")}
    assert set(runs) == {"lightning-csv", "tensorboard"}
    assert runs["lightning-csv"].series["val/accuracy"].value[-1] == pytest.approx(0.9964)
    assert runs["tensorboard"].series["val/accuracy"].value[-1] == pytest.approx(0.9846)

"""The peers' benchmark without any peer: exported logs, words agreed on, thresholds re-stated, rows of the table."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from detection.catalogue import FAULTS
from detection.runs import Cell
from peers import debugger_thresholds, overheads
from peers.causes import WORDS, names_cause
from peers.comparing import row
from peers.environments import PEERS
from peers.exporting import write_csv

from tocsin.run import Run, Series

STEPS = 60


def run(**series):
    curve = 2.3 * np.exp(-np.arange(STEPS) / 20) + 0.2
    val = Series.of("", curve[9::10], step=np.arange(10, STEPS + 1, 10), epoch=np.arange(1.0, 7.0))
    return Run.of(series={"train/loss": curve, "val/loss": val, "lr/0": Series.of("", [0.1], step=[1]), **series})


def test_words_stand_for_every_fault_and_no_other():
    assert set(WORDS) == set(FAULTS)


@pytest.mark.parametrize(
    ("fault", "text", "named"),
    [
        ("left-out-of-optimizer", "2 trainable parameter(s) are not in the optimizer: 2.weight", True),
        ("left-out-of-optimizer", "Training plateau detected", False),
        ("lr-x100", "lr_too_high: Learning rate likely too high", True),
        ("lr-x100", "Loss spike: 5x", False),
        ("nan-burst", "`loss` became NaN/inf at step 201", True),
        ("nan-burst", "finished", False),
    ],
)
def test_a_symptom_is_no_cause(fault, text, named):
    assert names_cause(fault, text) is named


def test_an_exported_log_holds_every_step(tmp_path):
    write_csv(run(), tmp_path / "log.csv")
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [float(r["loss"]) for r in rows] == pytest.approx(run().series["train/loss"].value)
    assert [r["eval_loss"] != "" for r in rows] == [(k + 1) % 10 == 0 for k in range(STEPS)]
    assert {r["lr"] for r in rows} == {"0.1"}


def test_published_thresholds_fire_on_what_they_name():
    noisy = run(**{"grad/nonfinite": Series.of("", [0.0, 3.0], step=[1, 7])})
    said = {f["text"].partition(":")[0]: f["step"] for f in debugger_thresholds.findings(noisy)}
    assert said["exploding_tensor"] == 7
    assert "vanishing_gradient" not in said


def test_a_row_counts_loud_findings_causes_and_failures():
    dead, plain = Cell("digits-mlp", "dead-relu", 2), Cell("digits-mlp", "plain", 2)
    said = {
        dead: {"findings": [{"severity": "warning", "text": "dead_units: layer 1 is dead", "step": 3}]},
        plain: {"findings": [{"severity": "info", "text": "dead_units", "step": 3}], "error": "ValueError: no"},
    }
    counted = row("tool", said, {dead: 100, plain: 100})
    assert counted["detected"].startswith("1/1")
    assert counted["cause"].startswith("1/1")
    assert counted["alarmed"].startswith("0/1")
    assert counted["errors"] == {"ValueError: no": 1}


def test_hints_on_speed_are_no_verdicts():
    plain = Cell("digits-mlp", "plain", 2)
    hint = {"severity": "warning", "text": "TA200: Linear dims not divisible by 8", "step": 0}
    assert row("tool", {plain: {"findings": [hint]}}, {plain: 10})["alarmed"].startswith("0/1")


def test_every_peer_has_a_script():
    assert [p.name for p in PEERS.values() if not p.script.is_file()] == []


def test_what_it_costs_is_said_for_each_kind_of_tool(tmp_path, monkeypatch):
    monkeypatch.setattr(overheads, "_ratios", lambda _: {"cnn": 1.25, "transformer": 1.1})
    seen = {Cell("wine", "plain", k): {"cpu_s": k / 10} for k in (1, 2, 9)}
    said = {name: overheads.of_peer(PEERS[name], seen) for name in ("torch-audit", "guardtower", "runmedic")}
    assert said["torch-audit"] == "1.250 (cnn), 1.100 (transformer)"
    assert (said["guardtower"], said["runmedic"]) == ("0.2 s, once", "none: reads the log")
    arms = [{"model": m, "arm": "watch, default budget", "mean_ratio": 1.004} for m in ("mlp", "cnn")]
    (tmp_path / "overhead.json").write_text(json.dumps({"arms": arms}))
    assert overheads.ours(tmp_path / "overhead.json") == "1.004 (cnn)"
    assert overheads.ours(tmp_path / "missing.json") == ""

"""Scores of the detection benchmark against numbers worked out by hand."""

from __future__ import annotations

import pytest
from detection import scoring, table
from detection.scoring import Rate, Result, Share


def finding(code: str, severity: str = "warning", *, rang_at: int | None = 50, causes: tuple[int, ...] = ()):
    return {"code": code, "severity": severity, "subject": "", "step": 1, "rang_at": rang_at, "causes": list(causes)}


def result(task="wine", variant="plain", expects="", findings=(), steps=100, seed=0):
    return Result(task, variant, seed, frozenset(expects.split()), tuple(findings), steps)


LR = result(variant="lr", expects="OPT009", findings=[finding("PRD009", "error", causes=(1,)), finding("OPT009")])
BLIND = result(variant="lr", expects="OPT009", seed=1)
ASTRAY = result(variant="lr", expects="OPT009", seed=2, findings=[finding("GEN001"), finding("OPT009", "note")])
CALM = result()
ALARMED = result(task="diabetes", findings=[finding("GEN001", rang_at=20), finding("GEN003", "note")], steps=300)


def test_the_leading_finding_is_the_first_loud_root():
    assert LR.leading()["code"] == "OPT009"
    assert LR.caused()
    assert (LR.detected(), BLIND.detected(), ASTRAY.detected()) == (True, False, True)
    assert not ASTRAY.caused()
    assert ASTRAY.named


def test_a_symptom_leads_where_its_cause_is_muted():
    assert LR.leading({"OPT009"})["code"] == "PRD009"
    assert not LR.caused({"OPT009"})
    assert LR.leading({"OPT009", "PRD009"}) is None


def test_a_note_explains_nothing_loud():
    odd = result(findings=[finding("PRD009", causes=(1,)), finding("OPT009", "note")])
    assert odd.leading()["code"] == "PRD009"


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 20, 0.0, 0.1611), (5, 5, 0.5655, 1.0)],  # Wilson 1927, z = 1.959964
)
def test_wilson(k, n, low, high):
    assert Share(k, n).interval == pytest.approx((low, high), abs=1e-4)
    z2 = 1.959964**2
    centre, half = (k + z2 / 2) / (n + z2), z2**0.5 / (n + z2) * (k * (n - k) / n + z2 / 4) ** 0.5
    assert Share(k, n).interval == pytest.approx((max(0, centre - half), min(1, centre + half)), abs=1e-6)


def test_poisson_rates():
    assert Rate(3, 1000).value == 3
    assert Rate(3, 1000).interval == pytest.approx((0.6187, 8.7673), abs=1e-4)  # exact limits of a count of 3
    assert Rate(0, 2000).interval == pytest.approx((0, 3.6889 / 2), abs=1e-4)
    assert "0.0000" in str(Rate(0, 2000))


def test_alarms_count_runs_and_findings_by_severity():
    runs, rate = scoring.alarms([CALM, ALARMED, LR], ("warning",))
    assert (runs.k, runs.n, rate.k, rate.steps) == (1, 2, 1, 400)
    assert scoring.alarms([CALM, ALARMED], ("note",))[1].value == 2.5
    assert scoring.alarms([CALM, ALARMED], ("error",))[0].k == 0


def test_times_are_of_detected_faults_only():
    assert scoring.times([LR, BLIND, ALARMED]) == [(50, 0.5)]


def test_by_code():
    rows = {row.code: row for row in scoring.by_code([LR, BLIND, ASTRAY, CALM, ALARMED])}
    assert (rows["OPT009"].right, rows["OPT009"].wrong, rows["OPT009"].false) == (1, 0, 0)
    gen = rows["GEN001"]
    assert (gen.right, gen.wrong, gen.false, gen.rang) == (0, 1, 1, 1)
    assert gen.precision == Share(0, 2)
    assert set(rows) == {"OPT009", "GEN001"}


def test_a_task_is_scored_under_rules_chosen_without_it():
    rows = {row.task: row for row in scoring.leave_one_task_out([LR, BLIND, ASTRAY, CALM, ALARMED], bound=0.1)}
    assert rows["wine"].muted == {"GEN001"}, "it rings in the other task's only healthy run"
    assert rows["wine"].detection == Share(1, 3)
    assert rows["diabetes"].muted == frozenset()
    assert rows["diabetes"].alarm == Share(1, 1), "its own false alarms do not mute"


def test_tables_say_what_led_instead():
    (row,) = table.fault_rows([LR, BLIND, ASTRAY, CALM])
    assert (row["runs"], row["detected"], row["cause"], row["named"]) == (3, 2, 1, 2)
    assert row["instead"] == {"nothing": 1, "GEN001": 1}
    calm, *_ = table.healthy_rows([CALM, ALARMED])
    assert (calm["runs"], calm["alarmed"], calm["codes"]) == (2, 1, {"GEN001 diabetes": 1})
    text = table.text([LR, BLIND, ASTRAY, CALM, ALARMED])
    assert "2/3" in text
    assert "GEN001 diabetes x1" in text
    assert table.data([LR, CALM])["runs"][0]["leading"] == "OPT009"

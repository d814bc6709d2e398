"""The evidence on preflight without its runs: every check has a plant, results become rows, rows a page."""

from __future__ import annotations

import pytest
from preflight import command, page, rows
from preflight.kinds.registry import KINDS
from preflight.measuring import jobs, measured
from preflight.plants.registry import PLANTS

from tocsin.prechecks.flight import all_checks


def result(*job, findings=(), **more):
    return {"job": list(job), "seconds": 1.0, "findings": [list(f) for f in findings], "costs": [], **more}


def test_every_check_has_a_fault_and_a_neighbour():
    parts = {f"{check.code} {check.name}" for check in all_checks()}
    assert parts <= {plant.part for plant in PLANTS}
    assert all(plant.faults and plant.neighbours for plant in PLANTS)


def test_jobs_are_named_once():
    found = list(jobs(2, 1))
    assert len(found) == len(set(found))
    assert {job[0] for job in found} == {"plant", "kind", "detection", "study"}


@pytest.mark.parametrize("name", ["regression", "physics"])
def test_a_kind_is_measured(name):
    found = measured(("kind", name, "0"))
    assert "error" not in found
    assert not [f for f in found["findings"] if f[1] != "note"]
    assert not [n for n in found["not_checked"] if "raised" in n[2]]
    assert dict(found["costs"])["OPT019 cannot-overfit"] > 0


def test_a_fault_that_was_missed_and_a_neighbour_that_rang_are_counted_and_shown():
    plant = next(p for p in PLANTS if p.code == "OPT019")
    k, (fault,), near = str(PLANTS.index(plant)), plant.faults, next(iter(plant.neighbours))
    rang = [["OPT019", "warning", "", "cannot"]]
    results = [
        result("plant", k, "faults", fault, "0", findings=rang, costs=[[plant.part, 20.0], ["batches", 1.0]]),
        result("plant", k, "faults", fault, "1"),
        result("plant", k, "neighbours", near, "0", findings=rang),
    ]
    row = next(r for r in rows.check_rows(results) if r["part"] == plant.part)
    assert row["loud"][:2] == [1, 2]
    assert row["missed"] == {fault: 1}
    assert row["alarmed"] == {near: 1}
    assert row["median_ms"] == 20.0
    text = page.page(command.tabulated(results, 2), "Why.")
    assert f"missed: {fault} (1 times)" in text
    assert "| 1/2 [0.09, 0.91] |" in text
    assert text.endswith("Why.\n")


def test_an_alarm_that_is_true_of_its_kind_is_no_false_one():
    name, true = next((name, one.expects) for name, one in KINDS.items() if one.expects)
    code = min(true)
    found = [
        result("kind", name, "0", findings=[[code, "warning", "", "so it is"]]),
        result("kind", name, "1", findings=[["XXX001", "error", "", "false"]]),
        result("detection", "digits-mlp", "sgd", "0"),
    ]
    assert rows.unexpected(rows.healthy_rows(found), found) == (1, 3)
    assert [row[:2] for row in rows.alarms(found)] == sorted([[code, f"kind {name}"], ["XXX001", f"kind {name}"]])

"""A slice of the detection benchmark, trained, recorded and checked for real."""

from __future__ import annotations

import json

import pytest
from detection import store
from detection.command import as_result, main
from detection.runs import Cell, execute


@pytest.mark.parametrize(
    ("variant", "leads"),
    [("left-out-of-optimizer", "OPT001"), ("default-zero-metric", "EVL001"), ("argmax-term", "OBJ007")],
)
def test_a_fault_is_found_by_its_cause(tmp_path, variant, leads):
    result = as_result(store.result(Cell("wine", variant, 0), tmp_path))
    assert result.leading()["code"] == leads
    assert result.caused()


def test_a_plain_run_is_calm_and_is_kept(tmp_path, monkeypatch):
    cell = Cell("wine", "plain", 0)
    first = store.result(cell, tmp_path)
    assert not as_result(first).loud()
    monkeypatch.setattr(store, "execute", lambda *_: pytest.fail("trained again"))
    assert store.result(cell, tmp_path) == first
    monkeypatch.setattr(store, "found_in", lambda _: pytest.fail("checked again"))
    assert store.result(cell, tmp_path) == first
    monkeypatch.setattr(store, "rules_version", lambda: "others")
    with pytest.raises(pytest.fail.Exception, match="checked again"):
        store.result(cell, tmp_path)


def test_records_are_named_by_their_code_and_not_by_their_fault(tmp_path):
    keys = {store.key(Cell("wine", v, s), "tocsin") for v in ("plain", "lr-zero") for s in (0, 1)}
    assert len(keys) == 4
    assert not any("lr" in key for key in keys)


def test_watching_does_not_change_the_run(tmp_path):
    cell = Cell("wine", "heavy-regularisation", 1)
    assert execute(cell, "tocsin", tmp_path / "record").metrics == execute(cell, "none").metrics


def test_the_command_prints_tables_and_writes_json(tmp_path, capsys):
    words = ["--split", "all", "--tasks", "wine", "--variants", "lr-zero", "plain", "--seeds", "0", "--workers", "0"]
    assert main([*words, "--folder", str(tmp_path), "--json", str(tmp_path / "out.json")]) == 0
    said = capsys.readouterr().out
    assert "lr-zero" in said
    assert "1 faulty, 1 healthy" in said
    data = json.loads((tmp_path / "out.json").read_text())
    assert {run["cell"] for run in data["runs"]} == {"wine/lr-zero/0", "wine/plain/0"}

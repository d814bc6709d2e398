"""``tocsin compare``: arms, what can be said of them, and the rules of several runs."""

from __future__ import annotations

import json

import pytest

from cli.conftest import REAL_RULES


@pytest.fixture(autouse=True)
def real_rules(monkeypatch):
    monkeypatch.setattr("tocsin.engine.all_rules", REAL_RULES)


@pytest.fixture
def two(tmp_path):
    for name, lr, gain in (("a", 0.001, 0.0), ("b", 0.0001, 0.05)):
        folder = tmp_path / name
        folder.mkdir()
        rows = ({"epoch": e, "train/loss": 2 / (e + 1) + gain, "val/accuracy": 0.4 + 0.02 * e + gain} for e in range(6))
        (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "config.yaml").write_text(f"lr: {lr}\nval_samples: 4000\nseed: 1\n")
    return tmp_path


def test_two_runs_side_by_side(cli, two):
    outcome = cli("compare", two / "a", two / "b")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(
        """\
arm  seeds  mean  lowest  highest  runs
A    1      0.5   0.5     0.5      a
B    1      0.55  0.55    0.55     b

setting  A      B
lr       0.001  0.0001

one-seed: b against a: val/accuracy +0.05 (95% [+0.0281, +0.0718], of the
"""
    )


def test_the_same_as_json(cli, two):
    data = json.loads(cli("compare", two, "--json").out)
    assert data["schema"] == "tocsin.comparison/1"
    assert data["comparison"]["contrasts"][0]["verdict"] == "one-seed"
    assert data["report"]["findings"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [(["a"], "at least two runs"), ([".", "--metric", "val/f1"], "they share val/accuracy"), (["c"], "no such file")],
)
def test_a_mistake_exits_2(cli, two, words, message):
    outcome = cli("compare", *(two / word if word in (".", "a", "c") else word for word in words))
    assert outcome.code == 2
    assert message in outcome.err

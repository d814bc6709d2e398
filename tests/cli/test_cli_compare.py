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
arm  seeds  mean  lowest  highest  at step  runs
A    1      0.5   0.5     0.5      6        a
B    1      0.55  0.55    0.55     6        b

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


@pytest.fixture
def many(tmp_path):
    """Thirty arms of two seeds in three settings."""
    for arm in range(30):
        for seed in (0, 1):
            folder = tmp_path / f"arm{arm:02d}-s{seed}"
            folder.mkdir()
            rows = ({"epoch": e, "val/accuracy": 0.4 + arm / 100 + seed / 1000 + e / 1e4} for e in (1, 2))
            (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            told = f"lr: {1e-4 * (arm % 6 + 1):.6f}\nmodel: net{arm // 6}\nseed: {seed}\n"
            (folder / "config.yaml").write_text(told + ("warmup: 500\n" if arm == 29 else ""))
    return tmp_path


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_thirty_arms_stay_readable(cli, many, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    text, _, _ = cli("compare", many).out.partition("Compared by")
    assert "\u2026" not in text  # nothing is cut
    assert max(map(len, text.splitlines())) <= columns
    arms, settings, verdicts, _ = text.split("\n\n", 3)
    assert len(arms.splitlines()) == len(settings.splitlines()) == 31
    assert settings.splitlines()[1] == "A    lr 0.0001; model net0"
    assert settings.splitlines()[-1] == "AD   lr 0.0006; model net4; warmup 500"
    assert len(verdicts.splitlines()) == 30
    assert verdicts.splitlines()[1].split()[-2:] == ["seeds", "attributed"]
    assert "All intervals together hold at 95%" in text
    assert text.count("none of them can be named as the cause") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [(["a"], "at least two runs"), ([".", "--metric", "val/f1"], "they share val/accuracy"), (["c"], "no such file")],
)
def test_a_mistake_exits_2(cli, two, words, message):
    outcome = cli("compare", *(two / word if word in (".", "a", "c") else word for word in words))
    assert outcome.code == 2
    assert message in outcome.err

"""CMP004 sweep-did-nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tocsin
from corpus import healthy
from tocsin.findings import Finding, NotChecked
from tocsin.rules.runs.sweep_did_nothing import sweep_did_nothing
from tocsin.run import Run, Series

LOSS = np.exp(-np.arange(900) / 300) * (1 + 0.1 * np.random.default_rng(0).standard_normal(900))


def run(name: str, loss=LOSS, path: str = "", command: str = "", **config) -> Run:
    where = Path(path) if path else None
    environment = {"command": command} if command else {}
    return Run.of(name, series={"train/loss": loss}, config=config, path=where, environment=environment)


def outcomes(*runs: Run) -> list:
    return list(sweep_did_nothing.check([r.outline() for r in runs]))


def test_a_setting_that_did_nothing():
    (finding,) = outcomes(*(run(f"r{k}", lr=lr, epochs=k) for k, lr in enumerate((1e-1, 1e-2, 1e-3))))
    assert finding.message == (
        "3 runs (r0, r1, r2) declare different settings (lr: 0.1, 0.01, 0.001), yet they have the same train/loss to "
        "the last bit"
    )
    assert finding.severity is None
    assert finding.evidence[0].step == 900


@pytest.mark.parametrize(
    "pair",
    [
        (run("a", command="t.py --dropout 0.1"), run("b", command="t.py --dropout 0.5")),
        (run("a", path="sweep/bs32/log.csv"), run("b", path="sweep/bs64/log.csv")),
        (run("a", model={"drop_path_rate": 0}), run("b", model={"drop_path_rate": 0.2})),
        (run("a", optimizer={"name": "adam"}), run("b", optimizer={"name": "sgd"})),
        (run("a", train_config={"weight_decay": 0}), run("b", train_config={"weight_decay": 0.1})),
    ],
)
def test_each_source_of_a_setting(pair):
    (finding,) = outcomes(*pair)
    assert finding.severity is None


def test_seeds_that_reached_nothing():
    (finding,) = outcomes(run("a", seed=1), run("b", seed=2))
    assert "differ in their seed (seed: 1, 2)" in finding.message
    assert finding.severity is None


@pytest.mark.parametrize(
    "pair",
    [
        (run("a", lr=1), run("b", lr=1)),
        (run("a", lr=1.0, out_dir="x"), run("b", lr=1, out_dir="y")),
        (run("a", logger={"freq": 1}), run("b", logger={"freq": 2})),
        (run("a", path="runs/one/log.csv"), run("b", path="copy/one/log.csv")),
        (run("a", num_workers=1, epochs=3, run_name="p"), run("b", num_workers=4, epochs=9, run_name="q")),
    ],
)
def test_copies_are_a_note_at_most(pair):
    (finding,) = outcomes(*pair)
    assert finding.severity == "note"


def test_each_group_by_itself():
    other = LOSS**2
    found = outcomes(
        run("a", lr=1), run("b", other, lr=2), run("c", lr=3), run("d", other, lr=4), run("e", LOSS * 3, lr=5)
    )
    assert [f.subject for f in found] == ["a", "b"]


def test_silent_on_runs_that_differ_in_the_last_bit_or_in_another_series():
    close = LOSS.copy()
    close[-1] = np.nextafter(close[-1], 1)
    assert outcomes(run("a", lr=1), run("b", close, lr=2)) == []
    hidden = LOSS.copy()
    hidden[450] += 1e-9  # between two points of the outline
    assert outcomes(run("a", lr=1), run("b", hidden, lr=2)) == []
    one, two = (
        replace(r, series={**r.series, "train/acc": Series.of("train/acc", LOSS * k)})
        for k, r in enumerate((run("a", lr=1), run("b", lr=2)), 1)
    )
    assert outcomes(one, two) == []


@pytest.mark.parametrize(
    "loss", [np.ones(50), np.zeros(50), np.full(50, np.nan), [1.0, 0.5, 0.25], np.resize([1.0, 2.0], 50)]
)
def test_few_values_prove_nothing(loss):
    (outcome,) = outcomes(run("a", loss, lr=1), run("b", loss, lr=2))
    assert isinstance(outcome, NotChecked)


def test_silent_on_the_healthy_corpus():
    runs = [healthy.build(name, seed) for name in healthy.HEALTHY for seed in (0, 1)]
    assert [f for f in outcomes(*runs) if isinstance(f, Finding)] == []


def test_in_a_report():
    report = tocsin.check([run("a", lr=1), run("b", lr=2)], select=["CMP004"])
    assert [f.code for f in report.roots] == ["CMP004"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=8), st.permutations(range(8)))
def test_law_runs_ring_together_exactly_where_their_curves_are_the_same(curves, order):
    runs = [run(f"r{k}", LOSS[:60] * (1 + c), lr=k) for k, c in enumerate(curves)]
    found = outcomes(*(runs[k] for k in order if k < len(runs)))
    assert len(found) == sum(curves.count(c) > 1 for c in set(curves))

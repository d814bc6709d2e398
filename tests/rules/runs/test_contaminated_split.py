"""CMP006 contaminated-split."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.runs.studies import findings, grid, outcomes, unlike
from tocsin.findings import NotChecked
from tocsin.rules.runs.contaminated_split import contaminated_split as rule
from tocsin.run import Run


def resumed(first: dict | None = None, **config) -> tuple[Run, Run]:
    one = Run.of("vocal-glade", config={"resume": "ckpt/playful-puddle/best.pt", **config})
    return one, Run.of("playful-puddle", config=first or {"split_seed": 42})


def test_another_split_seed():
    (finding,) = findings(rule, *resumed({"split_seed": 42, "train_ratio": 0.8}, split_seed=7))
    assert finding.message == (
        "vocal-glade goes on from playful-puddle (resume = ckpt/playful-puddle/best.pt (config)) with another split "
        "(split_seed: 7 against 42): playful-puddle was trained on about 80% of the samples that vocal-glade is scored "
        "on"
    )
    assert [e.source for e in finding.evidence] == ["config:resume", "config:split_seed"]


@pytest.mark.parametrize(
    ("mine", "first"),
    [
        ({"fold": 1}, {"fold": 0}),
        ({"data": {"split": {"seed": 1}}}, {"data": {"split": {"seed": 2}}}),
        ({"split_manifest_hash": "ab"}, {"split_manifest_hash": "cd"}),
        ({"split": {"val_hash": "a", "test_hash": "c"}}, {"split": {"val_hash": "b", "test_hash": "c"}}),
        ({"split": {"val_hash": "c", "test_hash": "a"}}, {"split": {"val_hash": "c", "test_hash": "b"}}),
    ],
)
def test_what_tells_splits_apart(mine, first):
    assert findings(rule, *resumed(first, **mine))


@pytest.mark.parametrize(
    ("mine", "first"),
    [
        ({"split_seed": 42}, {"split_seed": 42}),
        ({"split_seed": 1, "split_val_hash": "ab"}, {"split_seed": 2, "split_val_hash": "ab"}),  # the same samples
        ({"split_seed": 1, "dataset": "a"}, {"split_seed": 2, "dataset": "b"}),  # pre-training on other data
        ({"split_seed": 1}, {"split_seed": 2, "train_ratio": 0.01}),
    ],
)
def test_silent_beside_it(mine, first):
    assert findings(rule, *resumed(first, **mine)) == []


def test_what_is_needed_is_said():
    (outcome,) = outcomes(rule, *resumed({"seed": 1}, seed=2))
    assert isinstance(outcome, NotChecked)
    assert "seed, fold or hash of the split of both (1 resume, but say nothing of their split)" in outcome.reason


def test_unrelated_checkpoints_and_runs():
    assert findings(rule, *unlike()) == []
    assert findings(rule, *grid()) == []
    other = Run.of("far", config={"resume": "ckpt/imagenet.pt", "split_seed": 3})
    assert findings(rule, other, *resumed(split_seed=42)) == []


def test_a_checkpoint_traced_by_its_folder():
    first = Run.of("logs", config={"split_seed": 1}, path=Path("runs/keen-reef-7/logs.csv").parent)
    mine = Run.of("mine", config={"init_from": "runs/keen-reef-7/last.ckpt", "split_seed": 2})
    assert findings(rule, mine, first)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_law_it_rings_where_the_seeds_differ_whatever_the_order(mine, first, swapped):
    runs = resumed({"split_seed": first}, split_seed=mine)
    assert bool(findings(rule, *(runs[::-1] if swapped else runs))) == (mine != first)

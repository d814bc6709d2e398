"""EVL009: a random state that is set back before each epoch; fixed evaluations and unused generators are silent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tocsin
from tocsin.engine import check_run, judge
from tocsin.rules.evaluation.reseeded_evaluation import reseeded_evaluation as EVL009
from tocsin.run import Run, Series

PER = 40


def run_of(first, second, *, evaluated=None, inputs=None):
    """States before the first and second forward of each epoch, before each evaluation; first inputs by epoch."""
    n = len(first)
    at = np.array([[PER * e + 1, PER * e + 2] for e in range(n)]).reshape(-1)
    states = np.stack([first, second], 1).reshape(-1)
    series = {"rng/fingerprint/train": Series.of("", states, step=at, epoch=(at - 1) // PER + 1)}
    if evaluated is not None:
        ends = PER * np.arange(1, n + 1)
        series["rng/fingerprint/eval"] = Series.of("", evaluated, step=ends, epoch=np.arange(1, n + 1))
    if inputs is not None:
        at = np.concatenate([PER * e + 1 + np.arange(8) for e in range(n)])
        series["input/fingerprint/train"] = Series.of("", np.ravel(inputs), step=at, epoch=(at - 1) // PER + 1)
    return Run.of(series=series, exit="finished")


def found_in(run):
    return judge(EVL009, run, {})[0]


def orders(*seeds):
    return np.array([np.random.default_rng(s).permutation(8) for s in seeds], dtype=float)


def test_set_at_the_start_of_each_epoch():
    (found,) = check_run(run_of([7, 7, 7, 7], [8, 8, 8, 8]), [EVL009]).findings
    assert (found.severity, found.step) == ("warning", 41)
    assert found.message == (
        "4 of 4 epochs begin with the same random state (each epoch begins by setting it), though it moved in between; "
        "training draws from it between its forwards (dropout, noise, augmentation)"
    )


def test_set_in_the_evaluation():
    """The first epoch had another order; from the second on all have the same."""
    run = run_of([1, 7, 7, 7], [1, 7, 7, 7], evaluated=[9, 9, 9, 9], inputs=orders(0, 1, 1, 1))
    (found,) = found_in(run)
    assert found.step == 81
    assert "something sets it after the first epoch" in found.message
    assert "the first 5 inputs are the same" in found.message
    assert "the evaluations begin with one state too" in found.message


@given(st.lists(st.integers(0, 50), min_size=3, max_size=30))
@settings(max_examples=60, deadline=None)
def test_law_it_rings_once_a_state_has_come_back_twice(states):
    """Every epoch draws: one state in three epochs is what it takes, and the second of the first such is the step."""
    found = found_in(run_of(states, [s + 1000 for s in states]))
    thirds = {s: [k for k, x in enumerate(states) if x == s] for s in set(states)}
    complete = sorted((at[2], at[1]) for at in thirds.values() if len(at) >= 3)
    assert [f.step for f in found] == [PER * second + 1 for _, second in complete[:1]]


class TestHealthyNeighbours:
    def test_a_state_that_nothing_draws_from(self):
        assert found_in(run_of([7, 7, 7, 7], [7, 7, 7, 7], evaluated=[7, 7, 7, 7], inputs=orders(1, 1, 1, 1))) == []

    def test_fixed_evaluations(self):
        run = run_of([1, 2, 3, 4], [11, 12, 13, 14], evaluated=[5, 5, 5, 5])
        assert found_in(run) == []

    def test_data_in_one_order_whatever_the_state(self):
        run = run_of([1, 7, 7, 7], [1, 7, 7, 7], evaluated=[9, 9, 9, 9], inputs=orders(1, 1, 1, 1))
        assert found_in(run) == []

    def test_full_batches(self):
        run = run_of([7, 7, 7, 7], [7, 7, 7, 7], evaluated=[9, 9, 9, 9], inputs=np.ones((4, 8)))
        assert found_in(run) == []

    def test_without_epochs_it_is_not_checked(self):
        run = run_of([7, 7, 7, 7], [8, 8, 8, 8])
        series = {k: replace(s, epoch=np.full(len(s), np.nan)) for k, s in run.series.items()}
        assert "end_epoch" in judge(EVL009, replace(run, series=series), {})[1].reason


@pytest.mark.parametrize(("reseed", "dropout", "rings"), [(True, 0.2, True), (True, 0.0, True), (False, 0.2, False)])
def test_in_a_real_run(tmp_path, reseed, dropout, rings):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(dropout), nn.Linear(8, 1))
    optimizer, data = torch.optim.SGD(net.parameters(), 1e-2), torch.randn(64, 4)
    with tocsin.watch(net, optimizer, run_dir=tmp_path / "r", say=lambda _: None) as run:
        for _ in range(5):
            for x in data[torch.randperm(64)].split(8):
                loss = net(x).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.losses(total=loss)
            with torch.no_grad():
                if reseed:
                    torch.manual_seed(42)
                run.evaluate("val", target=data.sum(1), prediction=net(data).squeeze(1))
            run.end_epoch()
    assert ("EVL009" in {f.code for f in run.findings}) == rings

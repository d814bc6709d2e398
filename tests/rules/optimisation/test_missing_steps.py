"""OPT015: an epoch of many batches and few steps rings against its plan; other ways to few steps do not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, judge
from tocsin.rules.optimisation.missing_steps import missing_steps as OPT015
from tocsin.run import Event, Run, Series

PLAN = {"n_train": 1000, "data": {"batch_size": 64}}  # 16 batches


def run_of(per, epochs=6, *, config=PLAN, **counts):
    """``per`` calls an epoch; counts are totals at each call, by default one of each."""
    every = np.arange(1, per * epochs + 1)
    series = {"train/loss": np.ones(every.size), "count/backward": every, "count/optimizer": every}
    series |= {f"count/{kind}": values(every) for kind, values in counts.items()}
    events = tuple(Event("end_epoch", "", per * e, float(e), {"epoch": e}) for e in range(1, epochs + 1))
    return Run.of(series=series, events=events, config=config)


def findings(run):
    return judge(OPT015, run, {})[0]


def once(k):
    return k // 16


def test_losses_outside_the_loop_ring_by_the_forwards():
    run = run_of(1, epochs=40, forward=lambda k: 16 * k)
    (found,) = check_run(run, [OPT015]).findings
    assert (found.severity, found.step, found.rang_at) == ("warning", 0, 32)
    assert found.message == (
        "1 optimizer step an epoch, 16 planned (n_train = 1000 (config), data.batch_size = 64 (config)): 6.2% "
        "[4.2%, 9.2%] over 40 epochs; 1 backward pass an epoch: the loss is closed outside the loop over batches"
    )


def test_losses_in_the_loop_ring_by_the_calls():
    (found,) = findings(run_of(16, backward=once, optimizer=once))
    assert "closed outside" in found.message


def test_a_step_of_more_batches_than_declared():
    (found,) = findings(run_of(16, optimizer=once, config={**PLAN, "accumulate": 2}))
    assert found.message.endswith("fewer than declared, though each batch has its backward pass")


@pytest.mark.parametrize(
    "run",
    [
        run_of(16),
        run_of(15),
        run_of(16, optimizer=lambda k: k // 4),
        run_of(16, optimizer=lambda k: k // 4, config={**PLAN, "accumulate": 4}),
        run_of(16, optimizer=lambda k: 0 * k, skipped=lambda k: k),
        run_of(2, forward=lambda k: k),
        run_of(1, config={"n_train": 100, "batch_size": 100}),
        run_of(16, epochs=2, backward=once, optimizer=once),
        run_of(5, config={}),
    ],
    ids=[
        "as planned", "last batch dropped", "undeclared accumulation", "declared accumulation", "skipped by the scaler",
        "one process of eight", "full batch", "too short", "no plan",
    ],
)  # fmt: skip
def test_neighbours_are_silent(run):
    assert findings(run) == []


def test_skips_that_a_scale_of_zero_no_longer_counts_are_no_missing_steps():
    config = {**PLAN, "accumulate": 1}
    run = run_of(16, epochs=20, config=config, optimizer=lambda k: 0 * k, skipped=lambda k: np.minimum(k, 40))
    assert findings(run)
    scale = Series.of("amp/scale", 2.0 ** (16 - np.arange(1, 321)) * (np.arange(1, 321) <= 40))
    found, why = judge(OPT015, replace(run, series={**run.series, "amp/scale": scale}), {})
    assert found == []
    assert "AMP001" in why.reason


@pytest.mark.parametrize("run", [run_of(1, forward=lambda k: 500 * k), run_of(16, config={}, backward=once)])
def test_without_a_plan_it_is_a_note(run):
    assert [f.severity for f in findings(run)] == ["note"]


@given(batches=st.integers(8, 200), epochs=st.integers(3, 12))
@settings(max_examples=40, deadline=None)
def test_law_one_step_an_epoch_rings_whatever_the_number_of_batches(batches, epochs):
    config = {"train_size": 10 * batches - 3, "batch_size": 10}
    (found,) = findings(run_of(1, epochs, config=config, forward=lambda k: batches * k))
    low, high = found.evidence[0].interval
    assert low <= 1 / batches <= high
    assert found.severity == "warning"

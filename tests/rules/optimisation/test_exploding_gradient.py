"""OPT005: gradients that leave the run's own level and take the loss along; spikes that pass are silent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import real_curves
from tocsin.engine import check_run, judge
from tocsin.rules.optimisation.exploding_gradient import exploding_gradient as OPT005
from tocsin.run import Run

STEPS = 300


def run_of(norm, loss, seed=0):
    rng = np.random.default_rng(seed)
    norm = norm * np.exp(0.3 * rng.standard_normal(STEPS))
    return Run.of(series={"grad/norm": norm, "train/loss": loss * np.exp(0.05 * rng.standard_normal(STEPS))})


def burst(begin, end, high=100.0, low=1.0):
    at = np.arange(STEPS)
    return np.where((at >= begin) & (at < end), high, low)


FALLING = 0.5 + 2 * np.exp(-np.arange(STEPS) / 50)


def found_in(run):
    return judge(OPT005, run, {})[0]


def test_rings_where_it_began():
    (found,) = check_run(run_of(burst(150, STEPS), np.where(np.arange(STEPS) < 150, FALLING, 4.0)), [OPT005]).findings
    assert (found.severity, found.step) == ("warning", 151)
    assert found.message == (
        "from step 151 on the gradient norm is 230 times its level before (1.09), for 150 records; the loss goes from "
        "0.631 to 4.02 with it, and it ends at 4"
    )


def test_one_that_heals_is_a_note():
    loss = np.where(np.arange(STEPS) < 150, FALLING, 0.5 + 3 * np.exp(-(np.arange(STEPS) - 150) / 20))
    assert [f.severity for f in found_in(run_of(burst(150, 170), loss))] == ["note"]


def test_one_that_ends_in_nan():
    loss = np.where(np.arange(STEPS) < 250, FALLING, 40.0)
    run = run_of(burst(250, STEPS), loss)
    dead = run.series["train/loss"].value.copy()
    dead[290:] = np.nan
    run = replace(run, series={**run.series, "train/loss": replace(run.series["train/loss"], value=dead)})
    assert [f.severity for f in found_in(run)] == ["warning"]


@given(st.integers(10, 280), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_law_single_spikes_are_silent(at, seed):
    assert found_in(run_of(burst(at, at + 2, 1e4), FALLING, seed)) == []


class TestHealthyNeighbours:
    def test_growth_while_the_loss_falls(self):
        assert found_in(run_of(burst(100, STEPS), FALLING)) == []

    def test_overflows_that_the_scaler_skips(self):
        run = run_of(np.ones(STEPS), FALLING)
        norm = run.series["grad/norm"].value.copy()
        norm[[1, 2, 3, 4, 6, 9, 40, 41]] = np.inf
        assert (
            found_in(replace(run, series={**run.series, "grad/norm": replace(run.series["grad/norm"], value=norm)}))
            == []
        )

    def test_a_harder_stage_that_is_learned(self):
        loss = np.where(np.arange(STEPS) < 150, FALLING, 1 + 6 * np.exp(-(np.arange(STEPS) - 150) / 60))
        assert {f.severity for f in found_in(run_of(burst(150, STEPS, 30), loss))} <= {"note"}

    def test_slow_growth(self):
        assert found_in(run_of(np.exp(np.arange(STEPS) / 60), FALLING)) == []

    @pytest.mark.parametrize("curve", real_curves.HEALTHY)
    def test_real_curves(self, curve):
        assert {f.severity for f in found_in(real_curves.HEALTHY[curve]())} <= {"note"}

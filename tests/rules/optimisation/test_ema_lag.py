"""OPT014: an average that has not come far when the run ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimisation_loop import adam, rung
from tocsin.engine import check_run, judge
from tocsin.rules.optimisation.ema_lag import _horizon
from tocsin.rules.optimisation.ema_lag import ema_lag as OPT014
from tocsin.run import Event, Run, Series

AT = np.arange(1, 501, 10)


def run_of(lag, **fields):
    series = {"ema/behind": Series.of("", np.broadcast_to(lag, AT.size), step=AT), "count/optimizer": np.arange(1, 501)}
    return Run.of(series=series, exit="finished", **fields)


def found_in(run):
    return judge(OPT014, run, {})[0]


def test_a_memory_longer_than_the_run():
    (found,) = check_run(run_of(1 - AT / 20_000), [OPT014]).findings
    assert (found.severity, found.step) == ("warning", 1)
    assert found.message == (
        "the averaged weights have gone 2% of the way of the live ones after 500 optimizer steps; they are 98% "
        "[98%, 98%] behind, as that of a decay of 0.9999 (a memory of 10,016 steps)"
    )


def test_one_that_was_never_updated():
    (found,) = found_in(run_of(1.0))
    assert "as one that was never updated" in found.message


@given(st.floats(1.0, 1e6), st.integers(20, 100_000))
@settings(max_examples=60, deadline=None)
def test_law_the_horizon_is_the_inverse_of_the_lag(horizon, steps):
    behind = -horizon * math.expm1(-steps / horizon) / steps
    found = _horizon(behind, steps)
    assert found == pytest.approx(horizon, rel=1e-2) or behind > 1 - 1e-3


@pytest.mark.parametrize("lag", [0.5, np.exp(-AT / 100), np.r_[np.ones(30), np.exp(-np.arange(20) / 5)], np.nan])
def test_healthy_averages_are_silent(lag):
    """An equal average on a straight path, a caught-up one, one that starts late; and parameters that never moved."""
    assert found_in(run_of(lag)) == []


def test_noise_about_the_limit_is_silent():
    assert found_in(run_of(0.65 + 0.1 * np.random.default_rng(0).standard_normal(AT.size))) == []


def test_a_resumed_run_is_not_checked():
    run = run_of(1.0, events=(Event("resume", "", 200),))
    assert judge(OPT014, run, {})[1].reason == "the run was resumed"


@pytest.mark.parametrize(("decay", "rings"), [(0.9999, True), (0.9, False)])
def test_in_a_real_run(tmp_path, decay, rings):
    report = rung(tmp_path / "r", adam(1e-2), decay=decay)
    assert ("OPT014" in {f.code for f in report.findings}) == rings

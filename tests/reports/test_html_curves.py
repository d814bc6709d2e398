"""Thinning keeps what matters: the envelope of every interval, gaps, cited points, and the budget."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.reports.curves import DENSE, MOST_POINTS, Curves, drawable, medians, thin
from tocsin.run import Series

VALUES = st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=300)


@settings(max_examples=50, deadline=None)
@given(VALUES, st.integers(4, 60))
def test_extremes_ends_and_gaps_survive(values, points):
    s = Series.of("x", values)
    at = thin(s, points)
    finite = s.finite.value
    kept = s.value[at]
    assert at[0] == 0
    assert at[-1] == len(s) - 1
    assert np.all(np.diff(at) > 0)
    if finite.size:
        assert kept[np.isfinite(kept)].min() == finite.min()
        assert kept[np.isfinite(kept)].max() == finite.max()
    assert (not np.isfinite(kept).all()) == (not np.isfinite(s.value).all())
    assert at.size <= max(points, 5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=40, max_size=300))
def test_each_interval_of_the_drawing_keeps_its_own_lowest_and_highest(values):
    s = Series.of("x", values)
    points, buckets = 22, 10
    at = set(thin(s, points).tolist())
    for k in range(buckets):
        inside = [i for i in range(len(values)) if min(int(i / (len(values) - 1) * buckets), buckets - 1) == k]
        for pick in (min, max):
            extreme = pick(values[i] for i in inside)
            assert any(i in at and values[i] == extreme for i in inside)


def test_a_cited_step_is_kept_wherever_it_stands():
    s = Series.of("x", np.linspace(0, 1, 10_000))
    at = thin(s, 50, keep=[4321, 99_999])
    assert 4321 in s.step[at]
    assert at.size <= 52


def test_dense_early_sampling_does_not_starve_the_rest():
    step = np.concatenate([np.arange(1, 10_001), np.arange(10_100, 1_000_000, 9_900)])
    s = Series.of("x", np.random.default_rng(0).normal(size=step.size), step)
    late = s.step[thin(s, 200)] > 10_000
    assert late.sum() > 90


@pytest.mark.parametrize("step", [[5] * 100, list(range(100))])
def test_repeated_steps_do_not_break_it(step):
    s = Series.of("x", np.sin(np.arange(100)), step)
    at = thin(s, 10)
    assert 4 <= at.size <= 12


def test_gaps_are_null_and_named():
    s = Series.of("x", [1.0, math.nan, math.nan, 2.0, math.inf, -math.inf, 3.123456789])
    assert drawable(s, np.arange(7)) == {
        "x": [1, 2, 3, 4, 5, 6, 7],
        "y": [1.0, None, None, 2.0, None, None, 3.1235],
        "bad": [[2, 3, "NaN"], [5, 6, "+inf, -inf"]],
    }


def test_what_no_axis_can_hold_is_a_gap_too_and_what_none_can_resolve_is_zero():
    s = Series.of("x", [1e308, -1e31, 1.0, 5e-324, -1e-31])
    assert drawable(s, np.arange(5)) == {
        "x": [1, 2, 3, 4, 5],
        "y": [None, None, 1.0, 0.0, 0.0],
        "bad": [[1, 2, "beyond 1e30"]],
    }


def test_a_tail_of_nan_stays_a_tail():
    s = Series.of("x", np.r_[np.ones(5000), np.full(5000, np.nan)])
    (bad,) = drawable(s, thin(s, 100))["bad"]
    assert bad[0] == 5001
    assert bad[1] == 10_000


def test_main_curves_are_served_before_the_others():
    curves = Curves()
    main = [curves.want(Series.of(f"m{k}", np.arange(5000.0))) for k in range(8)]
    spare = [curves.want(Series.of(f"s{k}", np.arange(5000.0)), main=False) for k in range(900)]
    drawn = curves.drawn()
    assert min(len(drawn[k]["x"]) for k in main) > 0.9 * DENSE
    assert sum(len(d["x"]) for d in drawn) <= MOST_POINTS * 1.05
    assert min(len(drawn[k]["x"]) for k in spare) >= 20


def test_a_series_is_drawn_once_however_often_it_is_wanted():
    s = Series.of("x", np.arange(5000.0))
    curves = Curves()
    assert curves.want(s, main=False) == curves.want(s, keep=[77]) == curves.want(s, main=False)
    (drawn,) = curves.drawn()
    assert 77 in drawn["x"]
    assert len(drawn["x"]) > 0.9 * DENSE


def test_medians_follow_the_level_and_not_the_spikes():
    value = np.ones(3000)
    value[::10] = 1e6
    value[5] = math.nan
    smooth = medians(Series.of("x", value))
    assert smooth is not None
    assert smooth.value.tolist() == [1.0] * len(smooth)
    assert medians(Series.of("x", np.ones(300))) is None

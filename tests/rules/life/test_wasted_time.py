"""RUN004 wasted-time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tocsin
from corpus import real_curves
from corpus.log_faults_ending import rising_for_most_of_the_run
from tocsin.findings import NotChecked
from tocsin.rules.life.wasted_time import wasted_time
from tocsin.run import Run, Series


def ring(run: Run, **options) -> list:
    return list(wasted_time.check(run, **options))


def timed(values, seconds: float = 600.0) -> Run:
    return Run.of(series={"train/loss": Series.of("train/loss", values, time=seconds * np.arange(len(values)))})


NAN = np.r_[2 / np.arange(1, 21), np.full(180, np.nan)]


def test_non_finite_for_good():
    (finding,) = ring(timed(NAN))
    assert finding.message.startswith("90 % of the run, 29.8 h, came after step 21,")
    assert finding.severity is None


def test_below_an_hour_it_is_a_note_and_below_half_nothing():
    assert ring(timed(NAN, 1.0))[0].severity == "note"
    assert ring(timed(np.r_[np.linspace(2, 1, 150), np.full(50, np.nan)])) == []
    assert ring(timed(np.r_[NAN, 1.0])) == []


def test_a_constant_loss():
    (finding,) = ring(timed(np.full(100, 0.6931)))
    assert finding.severity is None
    assert ring(timed(np.r_[np.linspace(3, 1.0, 30), np.full(100, 1.2345)]))[0].severity == "note"
    assert ring(timed(np.full(100, 0.03))) == [], "two decimals of a small loss say nothing"
    assert ring(timed(np.zeros(100))) == [], "an exact zero may be a problem that is solved"


def test_long_past_the_best_evaluation():
    run = rising_for_most_of_the_run(np.random.default_rng(0))
    (finding,) = ring(run)
    assert "val/loss never came back below 1.1" in finding.message
    assert 100 < finding.step < 300
    report = tocsin.check(run)
    assert "GEN001" in {f.code for f in report.roots}
    assert "RUN004" not in {f.code for f in report.roots}


def test_a_metric_that_still_improves_or_a_rising_training_loss_keeps_it_silent():
    run = rising_for_most_of_the_run(np.random.default_rng(0))
    better = Series.of("val/accuracy", np.linspace(0.5, 0.9, 40), step=run.series["val/loss"].step)
    assert ring(replace(run, series={**run.series, "val/accuracy": better})) == []
    rising = Series.of("train/loss", np.linspace(1, 2, 800))
    assert ring(replace(run, series={**run.series, "train/loss": rising})) == []


@pytest.mark.parametrize("curve", real_curves.HEALTHY)
def test_silent_on_real_healthy_curves(curve):
    assert ring(real_curves.HEALTHY[curve]()) == []


def test_a_real_fine_tuning_run_is_found():
    (finding,) = ring(real_curves.hf_overfit())
    assert finding.severity is None


def test_too_few_values_are_not_checked():
    assert isinstance(ring(Run.of(series={"train/loss": [np.nan]}))[0], NotChecked)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(8, 200), st.floats(0, 0.1), st.floats(0, 0.8))
def test_law_a_noisy_plateau_after_the_best_value_is_no_waste(seed, n, noise, rho):
    rng = np.random.default_rng(seed)
    wander = rng.standard_normal(n)
    for i in range(1, n):
        wander[i] = rho * wander[i - 1] + np.sqrt(1 - rho**2) * wander[i]
    val = (1 + np.exp(-np.arange(n) / (0.1 * n))) * np.exp(noise * wander)
    run = Run.of(series={"train/loss": 2 - np.arange(n) / n, "val/loss": val})
    assert ring(run) == []

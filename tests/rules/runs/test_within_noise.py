"""CMP003 within-noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from rules.runs.studies import findings, outcomes, scored, unlike
from tocsin.findings import NotChecked
from tocsin.rules.runs.within_noise import within_noise as rule
from tocsin.siblings import Score

NOTE = "alpha 0.5 is optimal (better than other)"


def pair(a: float, b: float, n: int = 4000, metric: str = "val/accuracy", note: str = NOTE):
    one, two = {"val_samples": n, "alpha": 0.5, "notes": note}, {"val_samples": n, "alpha": 1.0}
    return scored("mine", a, metric, **one), scored("other", b, metric, **two)


def test_half_a_point_on_four_thousand_samples():
    (finding,) = findings(rule, *pair(46.31, 45.88))
    assert finding.message == (
        'mine and other differ by +0.43 in val/accuracy (46.31 against 45.88) ("alpha 0.5 is optimal (better than '
        'other)"), within the noise of one evaluation (95% [-1.75, 2.61]); at least 53 seeds an arm would settle a '
        "difference of this size"
    )
    assert finding.severity is None


def test_silent_where_the_samples_suffice():
    assert outcomes(rule, *pair(46.31, 45.88, 181_043)) == []
    assert outcomes(rule, *pair(56.31, 45.88)) == []


def seeded(values, name: str, **config):
    return [scored(f"{name}{k}", v, seed=k, **config) for k, v in enumerate(values)]


def test_the_spread_between_seeds_counts_where_samples_are_many():
    repeats = seeded([0.40, 0.44, 0.48], "rep", alpha=2, val_samples=10**6)
    mine, other = pair(0.4631, 0.4588, 10**6)
    (finding,) = findings(rule, mine, other, *repeats)
    assert "within the spread between seeds (95%" in finding.message
    assert "; 1358" not in finding.message
    assert "over 1000 seeds an arm" in finding.message
    assert findings(rule, *pair(0.9, 0.4588, 10**6), *repeats) == []


def test_how_many_seeds():
    """Two means of m values, sd s, differ by d with 80 % power: m = 2 (2.8 s / d)^2; scipy's power at that m."""
    repeats = seeded([0.40, 0.44, 0.48], "rep", alpha=2)
    (finding,) = findings(rule, scored("mine", 0.5, notes=NOTE, alpha=1), scored("other", 0.46, alpha=3), *repeats)
    assert "; 16 seeds an arm would settle" in finding.message
    shift = 0.04 / (0.04 * np.sqrt(2 / 16))
    assert reference.norm.sf(1.96 - shift) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("metric", ["val/r2", "val/mse", "val/rmse", "val/mae"])
def test_errors_of_regressions_agree_with_simulation(metric):
    rng = np.random.default_rng(3)
    n, sd = 400, 0.7
    e = sd * rng.standard_normal((2000, n))
    values = {
        "val/r2": 1 - (e**2).mean(1) / 1.0,
        "val/mse": (e**2).mean(1),
        "val/rmse": np.sqrt((e**2).mean(1)),
        "val/mae": np.abs(e).mean(1),
    }[metric]
    score = Score(metric, float(values.mean()), float(values.mean()), 1, n)
    assert score.error == pytest.approx(values.std(), rel=0.1)


def test_without_samples_and_seeds_nothing_is_judged():
    (outcome,) = outcomes(rule, scored("mine", 0.5, notes=NOTE, alpha=1), scored("other", 0.4, alpha=2))
    assert isinstance(outcome, NotChecked)
    assert findings(rule, *unlike()) == []


def test_a_sweep_without_a_claim_is_a_note():
    study = [scored(f"t{k}", 0.5 + 0.001 * k, lr=10.0**-k, sweep="s", val_samples=500) for k in range(6)]
    (finding,) = findings(rule, *study)
    assert finding.severity == "note"
    assert finding.subject == "t5 / t4"


@settings(max_examples=60, deadline=None)
@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.integers(50, 10**6))
def test_law_it_rings_where_the_interval_holds_zero_and_both_ways_alike(a, b, n):
    found = findings(rule, *pair(a, b, n))
    assert bool(found) == bool(findings(rule, *pair(b, a, n)))
    z = abs(a - b) / np.sqrt(a * (1 - a) / n + b * (1 - b) / n)
    if not 1.5 < z < 2.5:  # Wald's and Newcombe's intervals part only near the edge
        assert bool(found) == (z < 1.96)

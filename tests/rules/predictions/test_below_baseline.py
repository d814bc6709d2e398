"""PRD006: fires where a recorded baseline is better, silent on ties, better models, few samples and no baseline."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from corpus.ingredients import classified
from tocsin.engine import check_run, find_rule
from tocsin.run import Evaluation, Moments, Run

RULE = find_rule("PRD006")


def findings(run):
    return check_run(run, [RULE]).findings


def sampled(r, n=400, seed=0):
    rng = np.random.default_rng(seed)
    t = np.random.default_rng(99).normal(size=n)
    return t, r * t + np.sqrt(1 - r * r) * rng.normal(size=n)


def run_of(t, model, baselines, looks=3, **fields):
    def one(step, prediction, name="", target=t):
        m = (Moments.of(target, prediction),)
        return Evaluation("val", "depth", step, "regression", len(target), moments=m, baseline=name)

    made = [
        one(0, b, f"b{i}") if not isinstance(b, tuple) else one(0, b[1], f"b{i}", b[0]) for i, b in enumerate(baselines)
    ]
    return Run.of("r", evaluations=(*made, *(one(k, model) for k in range(1, looks + 1))), **fields)


def shrunk(r, seed=0, n=400):
    return r * sampled(r, n, seed)[1]


T = sampled(0.5)[0]


def test_a_ridge_that_is_better_names_both_scores():
    (found,) = findings(run_of(T, shrunk(0.3, 1), [shrunk(0.8, 2)]))
    assert found.message == (
        "val/depth: the baseline b0 has R2 0.629, the model 0.101 after recalibration: 0.53 below it "
        "(0.37 to 0.68); so in each of the 3 evaluations since step 1"
    )
    assert (found.severity, found.subject, found.step) == ("warning", "val/depth/b0", 1)


SEES = {"model": "image", "b0": "I/Q samples", "b1": "image"}


def test_a_baseline_that_sees_more_is_a_limit_of_the_representation():
    run = run_of(T, shrunk(0.3, 1), [shrunk(0.8, 2), shrunk(0.3, 4)], config={"inputs": SEES})
    (found,) = findings(run)
    assert (
        "b0 sees I/Q samples, the model only image, where b1 is no better than it: a limit of the repr" in found.message
    )
    assert found.remedies[0].text.startswith("Give the network what the baseline sees")
    assert (found.step, found.severity) == (0, "warning")  # the input was so before training
    assert {"PRD001", "PRD003", "PRD010", "PRD012", "GEN005"} <= set(found.explains)


@pytest.mark.parametrize(
    ("sees", "own"),
    [
        ({}, 0.3),
        ({**SEES, "b0": "image"}, 0.3),  # the better baseline has the model's input: a fault of the training
        ({**SEES, "b1": "I/Q samples"}, 0.3),  # nothing says what the model's input holds
        (SEES, 0.8),  # its own input holds more than the model takes from it
        ({"model": 3, "b0": None}, 0.3),
    ],
)
def test_it_is_not_said_of_a_training_that_wastes_its_input(sees, own):
    found = findings(run_of(T, shrunk(0.3, 1), [shrunk(0.8, 2), shrunk(own, 4)], config={"inputs": sees}))
    assert found
    assert not any("representation" in f.message or f.explains for f in found)


def test_the_model_is_recalibrated_as_least_squares_does():
    p, b = 7 - 3 * sampled(0.5, seed=1)[1], shrunk(0.9, 2)
    (found,) = findings(run_of(T, p, [b]))
    fit = LinearRegression().fit(p[:, None], T)
    assert found.evidence[0].value == pytest.approx(r2_score(T, fit.predict(p[:, None])))
    assert found.evidence[0].limit == pytest.approx(r2_score(T, b))


@pytest.mark.parametrize(
    "run",
    [
        run_of(T, shrunk(0.6, 1), [shrunk(0.6, 2)]),
        run_of(T, shrunk(0.8, 1), [shrunk(0.4, 2)]),
        run_of(T, 5 + 0.1 * shrunk(0.8, 1), [shrunk(0.75, 2)]),
        run_of(T, shrunk(0.3, 1), [5 + shrunk(0.8, 2)]),
        run_of(T, shrunk(0.5, 1), [sampled(0.5, seed=2)[1] * 3]),
        run_of(T[:25], shrunk(0.5, 1, 25), [shrunk(0.6, 2, 25)]),
        run_of(T, shrunk(0.3, 1), []),
        run_of(T, shrunk(0.3, 1), [shrunk(0.8, 2)], looks=2, exit="killed"),
        run_of(np.zeros(100), np.zeros(100), [np.ones(100)]),
    ],
    ids=["tie", "better", "off", "baseline off", "wild baseline", "few", "none", "not settled", "constant target"],
)
def test_healthy_neighbours_are_silent(run):
    assert not findings(run)


def test_other_samples_are_compared_by_separate_intervals():
    t = np.random.default_rng(7).normal(size=600)
    strong = 0.81 * t + 0.9 * np.sqrt(0.19) * np.random.default_rng(8).normal(size=600)
    assert findings(run_of(T, shrunk(0.3, 1), [(t, strong)]))
    weaker = 0.25 * t + 0.5 * np.sqrt(0.75) * np.random.default_rng(8).normal(size=600)
    assert not findings(run_of(T, shrunk(0.4, 1), [(t, weaker)]))


def test_classes_by_their_accuracies():
    rng = np.random.default_rng(0)

    def run(model, baseline, n=1500):
        own = [classified(rng, k, model, n=n) for k in (1, 2, 3)]
        cheap = classified(rng, 0, baseline, n=n)
        cheap = Evaluation("val", "main", 0, "classes", n, confusion=cheap.confusion, baseline="logistic")
        return Run.of("r", evaluations=(*own, cheap))

    (found,) = findings(run(0.5, 2.0))
    assert "the baseline logistic has accuracy 0.7" in found.message
    assert not findings(run(2.0, 0.5))
    assert not findings(run(1.4, 1.5, n=150))


def test_without_a_baseline_it_is_not_checked():
    keeper = check_run(run_of(T, shrunk(0.3, 1), []), [RULE])
    assert "baseline=" in keeper.not_checked["PRD006"].reason


def test_pairs_of_equal_skill_seldom_ring():
    alarms = 0
    for seed in range(60):
        t = np.random.default_rng(seed).normal(size=150)
        model, baseline = (0.5 * t + 0.6 * np.random.default_rng(1000 + 2 * seed + k).normal(size=150) for k in (0, 1))
        alarms += bool(findings(run_of(t, model, [baseline])))
    assert alarms <= 2


@given(st.floats(1e-3, 1e3), st.floats(-100, 100))
@settings(max_examples=30, deadline=None)
def test_scale_and_offset_of_the_model_do_not_matter(scale, offset):
    (found,) = findings(run_of(T, offset + scale * shrunk(0.3, 1), [shrunk(0.8, 2)]))
    assert found.evidence[0].value == pytest.approx(0.101, abs=1e-3)

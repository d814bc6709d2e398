"""PRD005: a note where neither model nor baseline beats chance, silent where one does or too little is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from corpus.ingredients import classified
from tocsin.engine import check_run, find_rule
from tocsin.informed import skill
from tocsin.run import Confusion, Evaluation, Moments, Run

RULE = find_rule("PRD005")
RNG = np.random.default_rng(3)
T, E, F = RNG.normal(size=(3, 300))


def findings(run):
    return check_run(run, [RULE]).findings


def run_of(model, *baselines, t=T, **fields):
    made = [
        Evaluation("val", "depth", k, "regression", len(t), moments=(Moments.of(t, p),), baseline=name)
        for k in (1, 2, 3)
        for name, p in (("", model), *((f"b{i}", b) for i, b in enumerate(baselines)))
    ]
    return Run.of("r", evaluations=tuple(made), **fields)


def test_it_is_said_as_a_note_with_both_intervals():
    (found,) = findings(run_of(0.05 * E, 0.1 * F))
    assert found.message == (
        "val/depth: nothing beats chance (correlation of b0 0.0044 (-0.11 to 0.12), the model 0.076 (-0.037 to 0.19))"
        ": predictions near the mean or the prior are right here"
    )
    assert (found.severity, found.subject) == ("note", "val/depth")


def test_a_constant_model_beside_a_blind_baseline():
    assert findings(run_of(np.full(300, T.mean()), 0.1 * F))


@pytest.mark.parametrize(
    "run",
    [
        run_of(0.05 * E, 0.5 * T + F),
        run_of(0.5 * T + E, 0.1 * F),
        run_of(0.05 * E),
        run_of(E[:25], F[:25], t=T[:25]),
        run_of(0.05 * E, 0.1 * F, exit="running"),
        run_of(E * 0, F * 0, t=T * 0),
    ],
    ids=["baseline knows", "model knows", "no baseline", "too few to exclude", "running", "constant target"],
)
def test_it_stays_silent(run):
    assert not findings(run)


def test_slow_records_of_chance_are_not_taken_for_skill():
    said = 0
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=(3, 1500))
        for i in range(1, 1500):
            noise[:, i] = 0.8 * noise[:, i - 1] + 0.6 * noise[:, i]
        said += bool(findings(run_of(noise[1], noise[2], t=noise[0])))
    assert said >= 14


def classes(model, baseline):
    rng = np.random.default_rng(1)
    own, cheap = classified(rng, 1, model, n=2000), classified(rng, 1, baseline, n=2000)
    cheap = Evaluation("val", "main", 1, "classes", 2000, confusion=cheap.confusion, baseline="prior")
    return Run.of("r", evaluations=(own, cheap))


def test_classes_by_kappa():
    (found,) = findings(classes(0.0, 0.0))
    assert "kappa of prior" in found.message
    assert not findings(classes(1.0, 0.0))
    assert not findings(classes(0.0, 1.0))


@given(st.lists(st.lists(st.integers(0, 60), min_size=3, max_size=3), min_size=3, max_size=3))
@settings(max_examples=40, deadline=None)
def test_kappa_and_its_error_are_those_of_the_packages(table):
    dense = np.array(table) + 1
    dense[0, 0] += 60
    e = Evaluation("val", "x", 1, "classes", int(dense.sum()), confusion=Confusion.of(dense))
    found = skill(e)
    true, said = (np.repeat(v.ravel(), dense.ravel()) for v in np.indices((3, 3)))
    assert found.value == pytest.approx(cohen_kappa_score(true, said))


def test_the_error_of_kappa_is_that_of_shuffled_predictions():
    dense = np.array([[60, 10, 5], [30, 9, 6], [20, 10, 10]])
    true, said = (np.repeat(v.ravel(), dense.ravel()) for v in np.indices((3, 3)))
    found = skill(Evaluation("val", "x", 1, "classes", true.size, confusion=Confusion.of(dense)))
    rng = np.random.default_rng(0)
    null = np.std([cohen_kappa_score(true, rng.permutation(said)) for _ in range(100)])
    assert (found.high - found.value) / 1.96 == pytest.approx(null, rel=0.2)


def test_an_output_whose_target_never_varies_says_nothing_either_way():
    blank = Moments.of(T * 0, 0.1 * E)
    made = [
        Evaluation("val", "pixels", k, "regression", 300, moments=(Moments.of(T, p), blank), baseline=name)
        for k in (1, 2, 3)
        for name, p in (("", 0.05 * E), ("b0", 0.1 * F))
    ]
    assert findings(Run.of("r", evaluations=tuple(made)))

"""The data model: prefixes, looks, and its numbers against sklearn and numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, r2_score

from tocsin.run import Confusion, Evaluation, Event, Moments, Run, Series, looks_at_count, looks_at_evaluation


def test_series_of_fills_steps_from_one_and_unknown_columns_with_nan():
    series = Series.of("train/loss", [3.0, math.nan, 1.0])
    assert series.step.tolist() == [1, 2, 3]
    assert np.isnan(series.epoch).all()
    assert np.isnan(series.time).all()
    assert series.finite.step.tolist() == [1, 3]


def test_series_of_refuses_columns_of_different_length():
    with pytest.raises(ValueError, match=r"'a': columns of 2, 1, 2, 2 points"):
        Series.of("a", [1, 2], step=[1])


def test_until_keeps_every_point_of_a_repeated_step():
    series = Series.of("val/loss", [9, 8, 7, 6], step=[1, 2, 2, 3])
    assert series.until(2).value.tolist() == [9, 8, 7]
    assert len(series.until(0)) == 0


def _evaluation(step: int, split: str = "val") -> Evaluation:
    return Evaluation(split, "main", step, "ids", 4, confusion=Confusion.of([[2, 0], [1, 1]]))


def _grown() -> Run:
    return Run.of(
        series={"train/loss": np.linspace(3, 1, 100), "val/loss": Series.of("val/loss", [2.0, 1.5], step=[40, 90])},
        evaluations=(_evaluation(0), _evaluation(40), _evaluation(90)),
        events=(Event("epoch", step=40), Event("exit", step=90)),
        exit="finished",
    )


def test_prefix_holds_what_was_recorded_at_or_before_the_step():
    part = _grown().prefix(40)
    assert part.last_step == 40
    assert part.series["val/loss"].value.tolist() == [2.0]
    assert [e.step for e in part.evaluations] == [0, 40]
    assert [e.kind for e in part.events] == ["epoch"]
    assert part.exit == "running"


def test_prefix_never_shows_how_the_run_ended():
    assert [e.kind for e in _grown().prefix(100).events] == ["epoch"]


def test_a_series_without_a_point_is_absent_from_the_prefix():
    part = _grown().prefix(10)
    assert "val/loss" not in part.series
    assert not part.has("val/loss")


@given(cut=st.integers(0, 120), again=st.integers(0, 120))
@settings(max_examples=30, deadline=None)
def test_prefix_of_a_prefix_is_the_shorter_prefix(cut, again):
    run, short = _grown(), min(cut, again)
    twice, once = run.prefix(cut).prefix(again), run.prefix(short)
    assert twice.last_step == once.last_step
    assert twice.looks() == once.looks() == [look for look in run.looks() if look <= short]
    assert {n: s.value.tolist() for n, s in twice.series.items()} == {
        n: s.value.tolist() for n, s in once.series.items()
    }


def test_looks_are_evaluated_steps_and_call_counts():
    assert _grown().looks() == [0, 32, 40, 45, 64, 90, 91]


def test_looks_are_few_on_a_long_run():
    run = Run.of(
        series={"train/loss": Series.of("train/loss", [1.0], step=[1_000_000])},
        evaluations=tuple(_evaluation(10 * k) for k in range(1, 5001)),
    )
    looks = run.looks()
    assert [look for look in looks if look <= 640 and look % 10 == 0] == list(range(10, 641, 10))
    assert len(looks) < 64 + 2 * math.log2(1e6 / 32) + 1 + 4 * math.log2(5000 / 64) + 1


def test_the_counting_helpers_agree_with_looks():
    run = _grown()
    evaluated = sorted({e.step for e in run.evaluations})
    live = [step for k, step in enumerate(evaluated, 1) if looks_at_evaluation(k)]
    live += [step for step in range(1, run.last_step + 1) if looks_at_count(step)]
    assert sorted(set(live)) == run.looks()


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
@settings(max_examples=50, deadline=None)
def test_confusion_counts_as_sklearn_does(pairs):
    target, prediction = np.array(pairs).T
    dense = confusion_matrix(target, prediction, labels=range(5))
    counts = Confusion.of(dense)
    assert (counts.dense() == dense).all()
    assert counts.n == len(pairs)
    assert counts.support.tolist() == dense.sum(axis=1).tolist()
    assert counts.predicted.tolist() == dense.sum(axis=0).tolist()
    assert counts.correct.tolist() == dense.diagonal().tolist()


def test_confusion_names_classes_it_has_no_label_for():
    counts = Confusion.of(np.eye(3), labels=("a", "b"))
    assert [counts.label(i) for i in range(3)] == ["a", "b", "class 2"]


floats = st.floats(-1e3, 1e3, allow_nan=False)


@given(st.lists(st.tuples(floats, floats), min_size=3, max_size=50))
@settings(max_examples=50, deadline=None)
def test_moments_give_the_r2_of_sklearn(pairs):
    target, prediction = np.array(pairs).T
    moments = Moments.of(target, prediction)
    if target.std() < 1e-3:
        return
    assert moments.r2 == pytest.approx(r2_score(target, prediction), rel=1e-6, abs=1e-6)
    assert moments.s == pytest.approx(prediction.std() / target.std(), rel=1e-9)
    if prediction.std() > 1e-3:
        assert moments.r == pytest.approx(np.corrcoef(target, prediction)[0, 1], abs=1e-7)
        murphy = moments.r**2 - (moments.s - moments.r) ** 2 - moments.b**2
        assert moments.r2 == pytest.approx(murphy, rel=1e-6, abs=1e-6)


def test_moments_drop_a_pair_with_a_non_finite_member():
    moments = Moments.of([1, 2, math.nan, 4], [1, math.inf, 3, 5])
    assert moments.n == 2
    assert moments.sample_target.tolist() == [1, 4]
    assert Moments.of([math.nan], [1.0]).n == 0


def test_moments_of_a_constant_target_are_nan_not_an_error():
    moments = Moments.of([2, 2, 2], [1, 2, 3])
    assert all(math.isnan(v) for v in (moments.r, moments.s, moments.b, moments.r2))


def test_moments_of_enormous_values_are_infinite_not_an_error():
    moments = Moments.of([-1e200, 1e200], [-1e-200, 1e-200])
    assert moments.var_target == math.inf
    shifted = Moments.of([-1e-200, 1e-200, 0], [1e200, 1e200, 1e200])
    assert all(isinstance(v, float) for v in (moments.r, moments.s, moments.b, moments.r2, shifted.b, shifted.r2))


def test_has_follows_the_grammar_of_needs():
    run = _grown()
    for need in ("train/loss", "evaluations", "evaluations:ids", "events", "lr/* | val/loss", "nothing | events"):
        assert run.has(need), need
    for need in ("lr/*", "evaluations:regression", "config", "parameters", "train/loss/*", "nothing"):
        assert not run.has(need), need


def test_families_and_kinds():
    run = Run.of(series={"train/loss": [1], "train/loss/a": [1], "train/loss/b": []}, evaluations=_grown().evaluations)
    assert list(run.family("train/loss")) == ["a"]
    assert [e.step for e in run.of_kind("ids")["val/main"]] == [0, 40, 90]
    assert run.of_kind("regression") == {}

"""``Run.settled`` and ``Run.persisting``: which evaluations the prediction rules may judge, and since when."""

import numpy as np
import pytest

from tocsin.engine import check_run, find_rule
from tocsin.run import Confusion, Evaluation, Moments, Run, in_each, in_last


def run_of(steps, end="running", **series):
    evaluations = tuple(Evaluation("val", "main", step, "ids", 10) for step in steps)
    return Run.of(evaluations=evaluations, exit=end, series=series)


def steps(run):
    return [e.step for e in run.settled(run.evaluations)]


FLAT = 1 + 0.01 * np.tile([1.0, -1.0, 0.4, -0.6], 5)


@pytest.mark.parametrize("end", ["finished", "unknown"])
def test_an_ended_run_gives_its_last_three_or_what_it_has(end):
    assert steps(run_of(range(1, 8), end)) == [5, 6, 7]
    assert steps(run_of([4, 9], end)) == [4, 9]
    assert steps(run_of([0], end)) == []


@pytest.mark.parametrize("end", ["failed", "interrupted", "killed"])
def test_a_run_cut_short_needs_three(end):
    assert steps(run_of([0, 1, 2], end)) == []
    assert steps(run_of([0, 1, 2, 3], end)) == [1, 2, 3]


def test_a_running_run_needs_a_loss_that_no_longer_falls():
    assert steps(run_of(range(1, 21))) == []
    assert steps(run_of(range(1, 21), **{"val/loss": FLAT})) == [18, 19, 20]
    assert steps(run_of(range(1, 8), **{"val/loss": FLAT[:7]})) == []
    assert steps(run_of(range(1, 21), **{"val/loss": 3 - 0.1 * np.arange(20)})) == []
    assert steps(run_of(range(1, 21), **{"train/loss": FLAT})) == []
    assert steps(run_of(range(1, 21), **{"val/loss": np.full(20, np.nan)})) == []


def test_a_long_fall_before_the_plateau_does_not_hide_it():
    loss = np.concatenate([5 - 0.3 * np.arange(12), 1.5 + FLAT[:14] * 0.1])
    assert steps(run_of(range(1, 27), **{"val/loss": loss})) == [24, 25, 26]


def test_the_tasks_own_loss_comes_first():
    falling = 3 - 0.1 * np.arange(20)
    assert steps(run_of(range(1, 21), **{"val/loss": falling, "val/loss/main": FLAT})) == [18, 19, 20]


def shows(shown):
    return lambda evaluation: dict.fromkeys(shown[evaluation.step], True)


def test_persisting_gives_common_signs_and_their_unbroken_stretch():
    run = run_of(range(1, 7), "finished")
    look = shows({1: "ab", 2: "a", 3: "ab", 4: "ab", 5: "abc", 6: "bac"})
    signs, stretch = run.persisting(run.evaluations, in_each(look), in_last(look))
    assert (signs, [e.step for e in stretch]) == (["b", "a"], [3, 4, 5, 6])
    steps_differ = shows({k: [k] for k in range(1, 7)})
    assert run.persisting(run.evaluations, in_each(steps_differ), in_last(steps_differ)) == ([], [])
    assert run.persisting([], in_each(look), in_last(look)) == ([], [])


def test_a_proven_sign_stands_while_its_effect_holds_and_no_longer():
    proof = in_each(shows({k: "a" if k <= 9 else "" for k in range(1, 13)}))
    run = run_of(range(1, 13), "running", **{"val/loss": FLAT[:12]})
    holds = in_last(shows(dict.fromkeys(range(1, 13), "ab")))
    signs, stretch = run.persisting(run.evaluations, proof, holds)
    assert (signs, len(stretch)) == (["a"], 12)
    broken = in_last(shows({k: "" if k == 11 else "a" for k in range(1, 13)}))
    assert run.persisting(run.evaluations, proof, broken) == ([], [])
    falling = run_of(range(1, 13), "running", **{"val/loss": 3 - 0.1 * np.arange(12)})
    assert falling.persisting(falling.evaluations, proof, holds) == ([], [])


@pytest.mark.parametrize("code", ["PRD001", "PRD002", "PRD004", "PRD007"])
def test_what_has_not_settled_is_not_checked(code):
    moments, t = (), np.random.default_rng(0).normal(size=100)
    if code in ("PRD004", "PRD007"):
        moments = (Moments.of(t, t),)
    kind, matrix = ("regression", None) if moments else ("classes", Confusion.of(np.eye(5, dtype=int) * 40))
    evaluations = tuple(Evaluation("val", "m", k, kind, 200, confusion=matrix, moments=moments) for k in (1, 2, 3))
    for end, checked in {"running": False, "finished": True}.items():
        keeper = check_run(Run.of(evaluations=evaluations, exit=end), [find_rule(code)])
        assert not keeper.findings
        assert bool(keeper.not_checked) != checked

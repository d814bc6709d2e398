"""PRD011: fires on a head at its bound beside one that works, a note where it may have no information."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.run import Evaluation, Moments, Run

RULE = find_rule("PRD011")
RNG = np.random.default_rng(0)
T, U, E, F = RNG.normal(size=(4, 400))
WORKS = Moments.of(T, 0.8 * T + 0.3 * E)
BOUND = Moments.of(np.abs(U), np.maximum(0.0, E - 2.4))
SHRUNK = Moments.of(U, 0.01 * F)


def findings(run):
    return check_run(run, [RULE]).findings


def ended(*moments, looks=3, end="finished", split="val", task="q", baseline=None):
    own = [Evaluation(split, task, s, "regression", 400, moments=moments) for s in range(1, looks + 1)]
    if baseline:
        own.append(Evaluation(split, task, looks, "regression", 400, moments=baseline, baseline="ridge"))
    return Run.of("r", evaluations=tuple(own), exit=end)


def test_a_head_at_its_bound_is_named():
    (found,) = findings(ended(WORKS, BOUND))
    assert found.message == (
        "val/q: output 1 sits at its bound 0 for 99.2 % of the inputs, while other outputs work; "
        "so in each of the 3 evaluations since step 1"
    )
    assert (found.severity, found.subject, found.step) == ("warning", "val/q", 1)


def test_a_narrow_head_is_a_note_until_a_baseline_shows_skill():
    (found,) = findings(ended(WORKS, SHRUNK))
    assert found.severity == "note"
    assert "output 1 has 0.01 of its target's spread" in found.message
    skilled, blind = Moments.of(U, U + F), Moments.of(U, F)
    (found,) = findings(ended(WORKS, SHRUNK, baseline=(WORKS, skilled)))
    assert found.severity == "warning"
    assert "the baseline ridge has skill there" in found.message
    (found,) = findings(ended(WORKS, SHRUNK, baseline=(WORKS, blind)))
    assert found.severity == "note"


@pytest.mark.parametrize(
    "run",
    [
        ended(WORKS, Moments.of(U, 0.1 * F)),
        ended(WORKS, Moments.of(U, 0.3 * U + 0.2 * F)),
        ended(WORKS, WORKS),
        ended(SHRUNK, SHRUNK),
        ended(WORKS),
        ended(SHRUNK),
        ended(WORKS, Moments.of(np.maximum(0.0, E - 2.4), np.maximum(0.0, E - 2.4))),
        ended(WORKS, BOUND, end="running"),
    ],
    ids=["no information", "weak", "both", "neither", "one", "one stuck", "rare events", "running"],
)
def test_healthy_neighbours_are_silent(run):
    assert not findings(run)


def test_heads_may_be_tasks_of_one_split():
    works, stuck = ended(WORKS, task="a"), ended(BOUND, task="b")
    both = replace(works, evaluations=(*works.evaluations, *stuck.evaluations))
    (found,) = findings(both)
    assert found.subject == "val/b"
    assert "its output sits at its bound" in found.message
    apart = replace(works, evaluations=(*works.evaluations, *ended(BOUND, task="b", split="test").evaluations))
    assert not findings(apart)


@given(scale=st.floats(1e-4, 1e4), offset=st.floats(-100, 100))
@settings(max_examples=20, deadline=None)
def test_units_do_not_matter(scale, offset):
    level, guess = scale * (np.abs(U) + offset), scale * (np.maximum(0.0, E - 2.4) + offset)
    (found,) = findings(ended(WORKS, Moments.of(level, guess)))
    assert found.severity == "warning"

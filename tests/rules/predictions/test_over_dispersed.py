"""PRD008: fires where predictions vary more than they know, silent on shrinkage, skill and few pairs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.run import Evaluation, Moments, Run

RULE = find_rule("PRD008")


def findings(run):
    return check_run(run, [RULE]).findings


def predictions(r, s, n=400, seed=0, b=0.0):
    """Target and prediction whose moments have exactly this correlation, ratio of sds and shift."""
    rng = np.random.default_rng(seed)
    t, e = rng.normal(size=n), rng.normal(size=n)
    t = (t - t.mean()) / t.std()
    e -= e.mean() + t * (t @ e) / n
    return t, s * (r * t + math.sqrt(1 - r * r) * e / e.std()) + b


def ended(*outputs, looks=3, end="finished"):
    moments = tuple(Moments.of(t, p) for t, p in outputs)
    n = len(outputs[0][0])
    evaluations = tuple(Evaluation("val", "height", k + 1, "regression", n, moments=moments) for k in range(looks))
    return Run.of("r", evaluations=evaluations, exit=end)


def test_noise_is_named_with_what_a_refit_would_win():
    (found,) = findings(ended(predictions(0.2, 1.0)))
    assert found.message == (
        "val/height: the predictions' sd is 1 of the target's where their correlation of 0.2 supports 0.2 "
        "(slope 0.2, 0.063 to 0.34); an affine refit would raise R2 from -0.60 to 0.04; "
        "so in each of the 3 evaluations since step 1"
    )
    assert (found.severity, found.subject, found.step) == ("warning", "val/height", 1)


@pytest.mark.parametrize(
    "pair",
    [
        predictions(0.5, 0.5),
        predictions(0.8, 1.3),
        predictions(0.3, 0.55),
        predictions(0.0, 0.2),
        predictions(0.45, 1.0, n=40),
        predictions(0.3, 0.9, n=15),
        (np.arange(100.0), np.zeros(100)),
        (np.zeros(100), np.arange(100.0)),
    ],
    ids=["shrunk", "steep", "wide", "small", "few", "fewer", "constant", "flat"],
)
def test_healthy_neighbours_are_silent(pair):
    assert not findings(ended(pair))


def test_it_needs_no_correlation_at_all():
    assert findings(ended(predictions(0.0, 0.9)))
    assert findings(ended(predictions(-0.3, 0.9)))


def test_the_spread_of_a_target_that_is_zero_but_once_is_not_known():
    rng = np.random.default_rng(4)
    once = np.zeros(400)
    once[50] = 0.06
    keeper = check_run(ended((once, 0.0025 * rng.gamma(1.0, size=400))), [RULE])
    assert not keeper.findings
    assert "10 independent" in keeper.not_checked["PRD008"].reason
    often = np.where(rng.random(400) < 0.3, rng.gamma(2.0, size=400), 0.0)
    assert findings(ended((often, rng.permutation(often))))


def test_only_settled_ones_and_only_the_output_that_does():
    sound, wide = predictions(0.8, 0.8), predictions(0.1, 1.0, seed=1)
    (found,) = findings(ended(sound, wide))
    assert "output 1: the predictions' sd is 1 of" in found.message
    assert not findings(ended(wide, end="running"))
    assert not findings(ended(wide, looks=2, end="killed"))


def test_autocorrelated_records_count_for_fewer_pairs():
    noise = np.cumsum(np.random.default_rng(2).normal(size=(2, 60)), axis=1)
    keeper = check_run(ended((noise[0], noise[1])), [RULE])
    assert not keeper.findings
    assert "10 independent" in keeper.not_checked["PRD008"].reason


@given(scale=st.floats(1e-5, 1e5), offset=st.floats(-1e3, 1e3), r=st.sampled_from([0.0, 0.2]))
@settings(max_examples=30, deadline=None)
def test_units_do_not_matter(scale, offset, r):
    t, p = predictions(r, 1.0)
    (found,) = findings(ended((scale * (t + offset), scale * (p + offset))))
    assert found.evidence[0].value == pytest.approx(r, abs=1e-3)


def test_it_begins_where_the_spread_outgrows_the_correlation():
    """Wide by a factor of 1.9 costs as much as it does at 2.1: the finding begins there."""
    t, e = np.random.default_rng(0).normal(size=(2, 400))
    wide = [Moments.of(t, k * (0.6 * t + 0.8 * e)) for k in (0.6, 1.14, 2.4, 2.4, 2.4)]
    own = [Evaluation("val", "h", s, "regression", 400, moments=(m,)) for s, m in enumerate(wide, 1)]
    (found,) = check_run(Run.of(evaluations=tuple(own), exit="finished"), [find_rule("PRD008")]).findings
    assert found.step == 2
    mild = tuple(Evaluation("val", "h", s, "regression", 400, moments=(wide[1],)) for s in (1, 2, 3))
    assert not check_run(Run.of(evaluations=mild, exit="finished"), [find_rule("PRD008")]).findings

"""PRD004: fires where an affine refit would repair the scale, silent on shrinkage, noise and no information."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.run import Evaluation, Moments, Run

RULE = find_rule("PRD004")


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


def test_the_measured_collapse_names_the_gain_of_the_refit():
    (found,) = findings(ended(predictions(0.75, 0.29, 180)))
    assert found.message == (
        "val/height: the predictions' sd is 0.29 of the target's where their correlation calls for 0.75 "
        "(slope 2.59, 2.14 to 3.03); an affine refit would raise R2 from 0.35 to 0.56; "
        "so in each of the 3 evaluations since step 1"
    )
    assert (found.severity, found.subject, found.step) == ("warning", "val/height", 1)
    assert found.evidence[0].interval[0] > 2


def test_the_refit_gives_what_the_message_says():
    t, p = predictions(0.75, 0.29)
    slope, offset = np.polyfit(p, t, 1)
    refit = Moments.of(t, slope * p + offset)
    assert refit.r2 == pytest.approx(Moments.of(t, p).r ** 2)


@pytest.mark.parametrize(
    "pair",
    [
        predictions(0.5, 0.5),
        predictions(0.4, 0.4, b=2.0),
        predictions(0.77, 0.66),
        predictions(0.0, 0.03),
        predictions(0.1, 0.02, n=144),
        predictions(-0.5, 0.1),
        predictions(0.3, 1.4),
        predictions(0.75, 0.29, n=25),
        predictions(0.1, 0.02, n=20_000),
        (np.arange(100.0), np.zeros(100)),
        (np.zeros(100), np.arange(100.0)),
    ],
    ids=["shrunk", "shifted", "dropout", "blind", "chance", "opposite", "noise", "few", "trivial", "constant", "flat"],
)
def test_healthy_neighbours_are_silent(pair):
    assert not findings(ended(pair))


def test_autocorrelated_tracks_without_skill_are_silent():
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(60):
        noise = rng.normal(size=(2, 144))
        for i in range(1, 144):
            noise[:, i] += 0.89 * noise[:, i - 1]
        alarms += bool(findings(ended((noise[0], 0.03 * noise[1]))))
    assert alarms <= 1


@pytest.mark.parametrize("n", [24, 40, 64, 99])
def test_evaluations_too_short_for_shifts_to_reach_the_level_are_judged_by_fishers_z(n):
    (found,) = findings(ended(predictions(0.95, 0.19, n)))
    assert "(slope 5, " in found.message
    assert not findings(ended(predictions(0.95, 0.95, n)))
    alarms = sum(bool(findings(ended(predictions(0.0, 0.05, n, seed)))) for seed in range(20))
    assert alarms == 0


def test_short_evaluations_without_skill_are_silent():
    rng, alarms = np.random.default_rng(5), 0
    for _ in range(200):
        t, p = rng.normal(size=(2, 40))
        alarms += bool(findings(ended((t, 0.02 * p))))
    assert alarms <= 4  # 1 % each


def test_few_independent_pairs_are_not_checked():
    t = np.cumsum(np.random.default_rng(0).normal(size=60))
    keeper = check_run(ended((t, 0.1 * t)), [RULE])
    assert not keeper.findings
    assert "10 independent" in keeper.not_checked["PRD004"].reason


def growing(scales):
    looks = [predictions(0.9, s, 64, seed) for seed, s in enumerate(scales)]
    evaluations = [
        Evaluation("val", "h", k, "regression", 64, moments=(Moments.of(t, p),)) for k, (t, p) in enumerate(looks, 1)
    ]
    flat = 1 + 0.2 * np.random.default_rng(0).normal(size=len(looks))
    return Run.of("r", evaluations=tuple(evaluations), series={"val/loss": flat}, exit="finished")


def test_a_scale_that_still_grows_is_on_its_way_while_the_run_goes_on():
    assert not findings(growing(np.linspace(0.05, 0.9, 14)))
    (found,) = findings(growing(np.linspace(0.05, 0.3, 14)))
    assert found.rang_at == 14
    (early,) = findings(growing(np.full(14, 0.2)))
    assert early.rang_at < 14


def test_only_some_outputs_and_only_settled_ones():
    sound, small = predictions(0.8, 0.8), predictions(0.8, 0.2, seed=1)
    (found,) = findings(ended(sound, small))
    assert "output 1: the predictions' sd is 0.2 of" in found.message
    assert not findings(ended(small, end="running"))
    assert not findings(ended(small, looks=2, end="killed"))


def test_without_the_sample_it_is_not_checked():
    t, p = predictions(0.75, 0.29)
    bare = Moments(400, 0.0, 0.0, 1.0, 0.29**2, 0.75 * 0.29, -3, 3, -1, 1, t[:0], p[:0])
    keeper = check_run(Run.of(evaluations=(Evaluation("val", "h", 1, "regression", 400, moments=(bare,)),)), [RULE])
    assert not keeper.findings
    assert "20 pairs" in keeper.not_checked["PRD004"].reason


@given(scale=st.floats(1e-6, 1e6), offset=st.floats(-1e3, 1e3), r=st.sampled_from([0.5, 0.9]))
@settings(max_examples=30, deadline=None)
def test_units_do_not_matter(scale, offset, r):
    t, p = predictions(r, r / 4)
    (found,) = findings(ended((scale * (t + offset), scale * (p + offset))))
    assert found.evidence[0].value == pytest.approx(4, rel=1e-3)


def healthy_run(seed):
    """Sound or skilless fits: any skill, shrinkage near r, white or persistent records, short or long."""
    rng = np.random.default_rng(seed)
    n, rho, skill = int(rng.choice([30, 144, 600])), rng.choice([0.0, 0.7, 0.9]), rng.choice([0.0, 0.2, 0.5, 0.8])
    noise = rng.normal(size=(2, n))
    for i in range(1, n):
        noise[:, i] += rho * noise[:, i - 1]
    noise /= noise.std(axis=1, keepdims=True)
    t, evaluations = noise[0], []
    for k in range(int(rng.integers(3, 12))):
        spread = skill * rng.uniform(0.75, 1.3) if skill else rng.uniform(0.01, 0.2)
        error = 0.9 * noise[1] + 0.44 * rng.normal(size=n)
        p = spread * (skill * t + math.sqrt(1 - skill**2) * error) + rng.uniform(-0.05, 0.05)
        evaluations.append(Evaluation("val", "h", k + 1, "regression", n, moments=(Moments.of(t, p),)))
    return Run.of("r", evaluations=tuple(evaluations), exit="finished")


def test_healthy_runs_are_silent(record_property):
    alarms = [seed for seed in range(60) if findings(healthy_run(seed))]
    record_property("figure", f"PRD004: {len(alarms)} of 60 healthy synthetic runs rang")
    assert len(alarms) <= 1

"""OBJ009: fires on losses that one answer for all would have, silent on skill, on shrinkage and in other units."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.ingredients import classified
from tocsin.engine import check_run, find_rule
from tocsin.run import Evaluation, Moments, Run, Series

RULE = find_rule("OBJ009")


def findings(run):
    return check_run(run, [RULE]).findings


def values(r=0.0, s=0.8, n=400, seed=0, rho=0.0):
    rng = np.random.default_rng(seed)
    t, e = rng.normal(size=(2, n))
    for i in range(1, n):
        t[i], e[i] = rho * t[i - 1] + math.sqrt(1 - rho**2) * t[i], rho * e[i - 1] + math.sqrt(1 - rho**2) * e[i]
    return t, s * (r * t + math.sqrt(1 - r * r) * e)


def mse(t, p):
    return float(((p - t) ** 2).mean())


def regression(t, p, *, name="val/loss/signal_mse", logged=None, baselines=(), looks=3, **fields):
    def one(step, prediction, baseline=""):
        m = (Moments.of(t, prediction),)
        return Evaluation("val", "signal", step, "regression", t.size, moments=m, baseline=baseline)

    evaluations = [one(k, p) for k in range(1, looks + 1)] + [one(looks, b, f"b{i}") for i, b in enumerate(baselines)]
    value = mse(t, p) if logged is None else logged
    return Run.of("r", series={name: [value] * looks}, evaluations=tuple(evaluations), **fields)


def classes(skill, logged, priors=(0.6, 0.3, 0.1), n=800, name="val/loss/kind_ce", **fields):
    rng = np.random.default_rng(0)
    evaluations = tuple(classified(rng, k, skill, priors=priors, n=n, task="kind") for k in (1, 2, 3))
    return Run.of("r", series={name: [logged] * 3}, evaluations=evaluations, **fields)


def test_worse_than_predicting_the_mean_or_zero():
    (found,) = findings(regression(*values()))
    assert found.message == (
        "val/loss/signal_mse is 1.5 where the best constant costs 0.9902 (MSE), and predicting zero 0.9916; the "
        "predictions save -74 to -29 %; so in each of the 3 evaluations since step 1"
    )
    assert (found.severity, found.subject, found.step) == ("warning", "val/loss/signal_mse", 1)


def test_a_regression_that_stays_at_the_mean_is_a_note():
    t, p = values(s=0.01)
    (found,) = findings(regression(t, p))
    assert found.severity == "note"
    assert "and predicting zero" in findings(regression(t, p, logged=1.01 * float(np.mean(t**2))))[0].message


@pytest.mark.parametrize(("s", "severity"), [(0.25, "note"), (0.6, "warning")])
def test_above_the_constant_by_chance_is_a_note(s, severity):
    """2 % and 26 % above it, of 400 samples: only the second is worse beyond its interval."""
    t, p = values(s=s)
    assert mse(t, p) >= 1.02 * t.var()
    (found,) = findings(regression(t, p))
    assert found.severity == severity


def test_a_baseline_tells_whether_there_was_anything_to_learn():
    t, p = values(s=0.01)
    rng = np.random.default_rng(5)
    informed, blind = 0.5 * t + 0.5 * rng.normal(size=t.size), 0.1 * rng.normal(size=t.size)
    (found,) = findings(regression(t, p, baselines=[informed]))
    assert found.severity == "warning"
    assert not findings(regression(t, p, baselines=[blind]))


def test_classes_at_the_entropy_of_their_priors():
    (found,) = findings(classes(0.0, 0.9))
    assert "is 0.9 where the best constant costs 0.8" in found.message
    assert "(cross-entropy)" in found.message
    assert found.severity == "warning"
    assert not findings(classes(2.0, 0.9)), "over-confident, but its decisions are right"
    assert not findings(classes(0.0, 0.8))


def test_smoothed_and_weighted_losses_are_given_their_highest_reading():
    assert findings(classes(0.0, 0.93))
    assert not findings(classes(0.0, 0.93, config={"label_smoothing": 0.2}))
    assert not findings(classes(0.0, 1.05, config={"class_weights": [1.0, 2.0, 6.0]}))


@pytest.mark.parametrize(
    "run",
    [
        regression(*values(0.5, 0.5)),
        regression(*values(0.25, 0.25, n=2000)),
        regression(*values(), logged=0.01),
        regression(*values(), logged=900.0),
        regression(*values(), name="val/loss/signal"),
        regression(*values(), looks=2, exit="killed"),
        regression(*values(), exit="running"),
        regression(np.full(100, 3.0), np.zeros(100)),
        classes(0.0, 1.5, name="val/loss/kind"),
        classes(0.0, 0.9, n=30),
    ],
    ids=[
        "shrunk", "weak but there", "smaller units", "larger units", "unknown loss", "few looks", "not settled",
        "constant target", "unknown loss of classes", "few samples",
    ],
)  # fmt: skip
def test_healthy_neighbours_are_silent(run):
    assert not findings(run)


def test_a_task_that_is_switched_off_is_left_alone():
    run = regression(*values())
    for name, value in (("weight/signal_mse", [0.0]), ("train/loss/signal_mse", [1.0] * 10 + [0.0] * 90)):
        assert not findings(Run.of("r", series={**run.series, name: value}, evaluations=run.evaluations))


def test_unknown_losses_are_not_checked():
    keeper = check_run(Run.of(series={"val/loss": [1.0] * 9}), [RULE])
    assert "reference/" in keeper.not_checked["OBJ009"].reason


def given_run(loss, reference=1.0, **fields):
    return Run.of("r", series={"val/loss/signal": loss, "reference/val/loss/signal": [reference]}, **fields)


def test_a_reference_that_the_user_gives():
    (found,) = findings(given_run([1.7, 1.65, 1.62, 1.61, 1.61]))
    assert found.message == (
        "val/loss/signal is 1.61 where the best constant costs 1 (as given); so in all 5 values since step 1"
    )
    assert found.severity == "warning"
    (late,) = findings(given_run([0.5, 0.6, 1.2, 1.21, 1.2, 1.22]))
    assert late.step == 3
    assert not findings(given_run([1.7, 1.2, 0.9, 0.7, 0.6]))
    assert not findings(given_run([1.7, 1.6]))
    assert not findings(given_run([1.7, 1.5, 1.3], exit="running"))


def test_it_rings_while_the_run_goes_on_and_heals():
    t, p = values()
    good = 0.9 * t
    evaluations, losses = [], []
    for k in range(1, 41):
        said = p if k <= 20 else good
        evaluations.append(Evaluation("val", "signal", k, "regression", t.size, moments=(Moments.of(t, said),)))
        losses.append(mse(t, said))
    config = {"loss": {"signal": "mse"}}
    run = Run.of("r", series={"val/loss/signal": losses}, evaluations=evaluations, config=config, exit="finished")
    (found,) = findings(run)
    assert found.rang_at is not None
    assert found.healed_at is not None
    assert found.severity == "note"


def test_autocorrelated_records_of_a_weak_skill_do_not_ring():
    alarms = sum(bool(findings(regression(*values(0.5, 0.5, n=144, seed=k, rho=0.85)))) for k in range(60))
    assert alarms <= 1


@given(scale=st.floats(1e-4, 1e4), seed=st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_units_of_target_and_loss_together_do_not_matter(scale, seed):
    t, p = values(seed=seed)
    (found,) = findings(regression(scale * t, scale * p))
    assert found.evidence[0].value == pytest.approx(scale**2 * mse(t, p))


def test_evaluations_logged_by_epoch_are_found():
    t, p = values()
    m = (Moments.of(t, p),)
    evaluations = tuple(Evaluation("val", "x", 10 * k, "regression", 400, epoch=k, moments=m) for k in (1, 2, 3))
    loss = Series.of("", [mse(t, p)] * 3, step=[11, 21, 31], epoch=[1, 2, 3])
    assert findings(Run.of("r", series={"val/loss/x_mse": loss}, evaluations=evaluations))

"""OPT006: gradients that fade towards the front of a network that stands still."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from optimisation_loop import adam, mlp, roots, rung, sgd
from tocsin.engine import check_run, judge
from tocsin.rules.optimisation.vanishing_gradient import vanishing_gradient as OPT006
from tocsin.run import Confusion, Evaluation, Moments, Parameter, Run, Series

STEPS = 200
AT = np.arange(1, STEPS + 1, 8)
FALLING = 0.3 + 2 * np.exp(-np.arange(STEPS) / 40)


def run_of(grads, updates, loss=None, optimizer="SGD", role="", seed=0):
    """One RMS of the gradient and one update ratio a layer."""
    rng = np.random.default_rng(seed)
    flat = 2.3 * np.exp(0.02 * rng.standard_normal(STEPS))
    series = {"train/loss": flat if loss is None else loss, "count/optimizer": np.arange(1, STEPS + 1)}
    for k, (g, u) in enumerate(zip(grads, updates, strict=True)):
        noise = np.exp(0.2 * rng.standard_normal(AT.size))
        series[f"grad/norm/{k}.weight"] = Series.of("", 32 * g * noise, step=AT)
        series[f"update/ratio/{k}.weight"] = Series.of("", u * noise, step=AT)
    table = tuple(Parameter(f"{k}.weight", 1024, True, True, role=role) for k in range(len(grads)))
    return Run.of(series=series, parameters=table, environment={"optimizers": [optimizer]}, exit="finished")


def found_in(run):
    return judge(OPT006, run, {})[0]


FADING, SLOW = 10.0 ** np.arange(-8, 0), 10.0 ** np.arange(-10, -2)


def test_sgd():
    (found,) = check_run(run_of(FADING, SLOW), [OPT006]).findings
    assert (found.severity, found.step) == ("warning", 1)
    assert found.message == (
        "the gradient of the first 2 of 8 weights (0.weight ...) is 1e+06 [7.5e+05, 1.3e+06] times smaller than that "
        "of the last 2 (7.weight), and its updates 1e+06 times: all optimizer steps moved the front by at most 2e-07 "
        "of its size; the training loss changed by -1.0% [-2.1%, +0.2%]"
    )


def test_adam_moves_the_front_all_the_same():
    assert [f.severity for f in found_in(run_of(FADING, np.full(8, 1e-3), optimizer="Adam"))] == ["warning"]


def test_predictions_that_say_nothing_are_harm_whatever_the_loss_does():
    """The priors take long to learn, or an accuracy jumps from one constant class to a larger one."""
    rng = np.random.default_rng(0)
    slow = 0.69 - 0.04 * np.arange(STEPS) / STEPS + 0.01 * rng.standard_normal(STEPS)
    run = run_of(FADING, np.full(8, 1e-3), slow, optimizer="Adam")
    assert found_in(run) == []
    t, e = rng.normal(size=(2, 300))
    for said, rings in ((np.full(300, 0.1), True), (1e-6 * t, True), (0.1 * e, True), (0.6 * t + 0.5 * e, False)):
        moments = (Moments.of(t, said),)
        after = replace(run, evaluations=(Evaluation("val", "main", STEPS, "regression", 300, moments=moments),))
        assert [f.severity for f in found_in(after)] == ["warning"] * rings
        assert all(f.message.endswith("and the predictions say nothing of the targets") for f in found_in(after))
    constant = Confusion.of([[0, 60], [0, 90]])
    evaluation = Evaluation("val", "main", STEPS, "classes", 150, confusion=constant)
    assert found_in(replace(run, evaluations=(evaluation,)))


def test_a_front_that_stands_while_the_loss_falls_is_a_note():
    assert [f.severity for f in found_in(run_of(FADING, SLOW, FALLING))] == ["note"]


@given(st.permutations(range(8)), st.floats(1.0, 2.5))
@settings(max_examples=30, deadline=None)
def test_law_a_gap_within_the_limit_is_silent_in_any_order(order, decades):
    """Eight layers that span at most 2.5 decades, whichever is where."""
    grads = 10.0 ** (np.array(order) / 7 * decades - 5)
    assert found_in(run_of(grads, SLOW)) == []


class TestHealthyNeighbours:
    def test_a_run_that_learns_with_adam(self):
        assert found_in(run_of(FADING, np.full(8, 1e-3), FALLING, "Adam")) == []

    def test_small_everywhere(self):
        assert found_in(run_of(np.full(8, 1e-9), np.full(8, 1e-9))) == []

    def test_lower_rates_at_the_front_on_purpose(self):
        assert found_in(run_of(np.full(8, 1e-3), 10.0 ** np.linspace(-7, -3, 8))) == []

    def test_no_order_in_depth(self):
        assert found_in(run_of([1e-8, 1e-1, 1e-3, 1e-6, 1e-5, 1e-2, 1e-8, 1e-1], SLOW)) == []

    def test_embeddings_are_left_out(self):
        assert judge(OPT006, run_of(FADING, SLOW, role="embedding"), {})[1] is not None


@pytest.mark.parametrize("choose", [sgd(0.05), adam(1e-3)], ids=["sgd", "adam"])
def test_nine_real_sigmoids(tmp_path, choose):
    assert "OPT006" in roots(rung(tmp_path / "r", choose, net=lambda: mlp(9, nn.Sigmoid)))


def test_nine_real_rectifiers_are_silent(tmp_path):
    report = rung(tmp_path / "r", adam(1e-3), net=lambda: mlp(9))
    assert "OPT006" not in {f.code for f in report.findings}

"""OPT009: rates that cannot have moved the parameters; small rates that need not are silent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimisation_loop import adam, roots, rung
from tocsin.engine import check_run, judge
from tocsin.rules.optimisation.insufficient_travel import insufficient_travel as OPT009
from tocsin.run import Parameter, Run, Series

STEPS = 400


def run_of(rates, *, optimizer="AdamW", loss=None, size=10_000, norm=7.0, **series):
    flat = 2.3 + 0.05 * np.random.default_rng(0).standard_normal(STEPS)
    known = {
        "lr/0": rates if isinstance(rates, Series) else Series.of("", np.atleast_1d(rates)),
        "param/norm": Series.of("", [norm, norm], step=[1, STEPS]),
        "count/optimizer": np.arange(1, STEPS + 1),
        "train/loss": flat if loss is None else loss,
        **series,
    }
    table = (Parameter("weight", size, True, True),)
    return Run.of(series=known, parameters=table, environment={"optimizers": [optimizer]}, exit="finished")


def found_in(run):
    return judge(OPT009, run, {})[0]


def test_a_thousandth_of_the_rate():
    (found,) = check_run(run_of(1e-6), [OPT009]).findings
    assert (found.severity, found.step) == ("error", 1)
    assert found.message == (
        "400 optimizer steps at a learning rate of at most 1e-06 can have moved the parameters by 0.018 of their size "
        "(at most 3.2 learning rates a step, 0.00128 in all); the training loss changed by -0.4% [-1.1%, +0.4%]"
    )


def test_a_rate_of_zero_needs_no_loss():
    run = run_of(0.0)
    (found,) = found_in(replace(run, series={k: s for k, s in run.series.items() if k != "train/loss"}))
    assert "is 0 in all 400 completed optimizer steps" in found.message


@given(st.lists(st.floats(1e-9, 1e-3), min_size=1, max_size=40), st.integers(1, 10))
@settings(max_examples=40, deadline=None)
def test_law_the_bound_is_the_sum_over_steps(rates, every):
    """Against the plain loop over steps; each rate holds until the next was recorded, and all count."""
    at = 1 + every * np.arange(len(rates))
    now = [max(k for k, step in enumerate(at) if step <= max(s, at[0])) for s in range(1, STEPS + 1)]
    share = 3.2 * sum(rates[k] for k in now) / 0.07
    found = found_in(run_of(Series.of("", rates, step=at)))
    assert bool(found) == (share < 0.03) or abs(share - 0.03) < 1e-9


class TestHealthyNeighbours:
    def test_the_loss_falls(self):
        assert found_in(run_of(1e-6, loss=0.3 + 2 * np.exp(-np.arange(STEPS) / 90))) == []

    def test_a_warm_up_that_ends(self):
        rates = Series.of("", np.minimum(1, np.arange(1, STEPS + 1) / 300) * 1e-3)
        assert found_in(run_of(rates)) == []

    def test_one_group_at_zero_is_freezing(self):
        assert found_in(run_of(0.0, **{"lr/1": Series.of("", [1e-3])})) == []

    def test_a_noisy_loss_excludes_nothing(self):
        noise = 2.3 * np.exp(0.9 * np.random.default_rng(1).standard_normal(STEPS))
        assert found_in(run_of(1e-6, loss=noise)) == []

    def test_an_unknown_optimizer_is_not_checked(self):
        assert "no bound on the steps of shampoo" in judge(OPT009, run_of(1e-6, optimizer="Shampoo"), {})[1].reason

    def test_a_trained_model_may_have_nothing_to_learn(self):
        run = replace(run_of(1e-6), config={"pretrained": True})
        assert [f.severity for f in found_in(run)] == ["note"]

    def test_a_metric_that_improves(self):
        run = run_of(1e-6, **{"val/accuracy": Series.of("", [0.3, 0.5, 0.7], step=[100, 200, 400])})
        assert found_in(run) == []


@pytest.mark.parametrize(("norm", "rings"), [(1e-3, True), (10.0, False)])
def test_sgd_moves_by_its_applied_gradients(norm, rings):
    applied = Series.of("", np.full(50, norm), step=np.arange(1, STEPS, 8))
    run = run_of(0.01, optimizer="SGD", **{"grad/applied_norm": applied})
    assert bool(found_in(run)) == rings


@pytest.mark.parametrize("rate", [1e-6, 0.0])
def test_in_a_real_run(tmp_path, rate):
    assert "OPT009" in roots(rung(tmp_path / "r", adam(rate)))


def test_a_real_run_at_a_sane_rate_is_silent(tmp_path):
    report = rung(tmp_path / "r", adam(1e-2))
    assert not {"OPT004", "OPT005", "OPT006", "OPT007", "OPT009"} & {f.code for f in report.findings}


@pytest.mark.parametrize(
    ("accuracy", "rings"),
    [(np.linspace(0.05, 0.12, 12), True), (np.linspace(0.05, 0.4, 12), False), (np.linspace(0.9, 0.98, 12), False)],
    ids=["wanders where guesses are", "leaves the guess", "is no guess"],
)
def test_an_accuracy_that_drifts_among_guesses_has_not_improved(accuracy, rings):
    drift = Series.of("", accuracy, step=np.linspace(30, STEPS, 12).astype(int))
    assert bool(found_in(run_of(1e-6, **{"val/accuracy": drift}))) == rings

"""OPT012: outputs at the bounds and nothing learned; a sure classifier is silent."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run
from tocsin.rules.optimisation.saturated_activation import saturated_activation as OPT012
from tocsin.run import Run, Series

N = 400
AT = np.arange(1, N + 1, 8)


def run_of(share, loss=None):
    rng = np.random.default_rng(0)
    flat = 2.3 * np.exp(0.02 * rng.standard_normal(N))
    share = np.broadcast_to(np.asarray(share, float), AT.shape)
    named = {"act/saturated_frac/tanh": Series.of("", share, step=AT)}
    return Run.of(series={**named, "train/loss": flat if loss is None else loss})


def found_in(run):
    return check_run(run, [OPT012]).findings


def test_it_rings_from_where_it_began():
    (found,) = found_in(run_of(np.where(AT > 40, 0.97, 0.1)))
    assert (found.severity, found.step, found.subject) == ("warning", 41, "tanh")
    assert found.message == (
        "97% of the outputs of tanh are within 1 % of the range of a bound at step 393 (97% to 97% in the last "
        "samples), so in 45 samples since step 41; the training loss has stood still since"
    )


@given(share=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_law_by_share(share):
    assert bool(found_in(run_of(share))) == (share > 0.9)


class TestHealthyNeighbours:
    def test_a_classifier_that_is_sure_of_itself(self):
        loss = 0.01 + 0.69 * np.exp(-np.arange(N) / 30)
        assert found_in(run_of(np.linspace(0, 0.99, AT.size), loss)) == []

    def test_gates_that_are_shut_while_the_loss_falls(self):
        assert found_in(run_of(1.0, 1 + np.exp(-np.arange(N) / 200))) == []

    def test_a_noisy_loss_proves_nothing(self):
        noisy = 2.3 * np.exp(0.9 * np.random.default_rng(1).standard_normal(N))
        assert found_in(run_of(1.0, noisy)) == []

    def test_a_warm_up_is_waited_for(self):
        keeper = check_run(run_of(1.0).prefix(200), [OPT012])
        assert keeper.findings == []
        assert "256" in keeper.not_checked["OPT012"].reason

"""OPT011: a layer that is 0 for every input under a loss that stands still; sparse and living layers are silent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tocsin
from tocsin.engine import check_run
from tocsin.rules.optimisation.dead_relu import dead_relu as OPT011
from tocsin.run import Parameter, Run, Series

N = 400
AT = np.arange(1, N + 1, 8)


def run_of(dead, loss=None, **fields):
    rng = np.random.default_rng(0)
    flat = 2.3 * np.exp(0.02 * rng.standard_normal(N))
    dead = np.broadcast_to(np.asarray(dead, float), AT.shape)
    return Run.of(
        series={"act/dead_frac/relu": Series.of("", dead, step=AT), "train/loss": flat if loss is None else loss},
        **fields,
    )


def falling(floor=0.2):
    return floor + 2 * np.exp(-np.arange(N) / 100)


def found_in(run):
    return check_run(run, [OPT011]).findings


def test_a_layer_that_dies_rings_from_there():
    (found,) = found_in(run_of(np.where(AT > 80, 1.0, 0.4)))
    assert (found.severity, found.step, found.subject) == ("error", 81, "relu")
    assert found.message == (
        "100% of the units of the ReLU relu are 0 for every sample of the batch at step 393, about as many in each of "
        "40 samples since step 81; the training loss has stood still since"
    )


@given(dead=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_law_by_share(dead):
    """Never up to nine tenths; always a warning or worse above, where nothing is learned."""
    assert bool(found_in(run_of(dead))) == (dead > 0.9)


class TestHealthyNeighbours:
    def test_half_the_units_silent(self):
        assert found_in(run_of(0.5)) == []

    def test_a_sparse_code_that_learned_and_converged(self):
        loss = np.where(np.arange(N) < 60, 2.3 - np.arange(N) / 30, 0.3)
        assert found_in(run_of(0.95, loss)) == []

    def test_a_branch_that_nothing_uses_yet(self):
        """Dead, but the loss falls: a note."""
        assert [f.severity for f in found_in(run_of(1.0, falling()))] == ["note"]

    def test_a_short_silence(self):
        dead = np.full(AT.size, 0.4)
        dead[10:15] = 1.0
        assert found_in(run_of(dead)) == []

    def test_a_layer_that_died_after_learning_is_a_warning(self):
        loss = np.where(np.arange(N) < 100, 2.3 - np.arange(N) / 80, 1.4)
        assert [f.severity for f in found_in(run_of(np.where(AT > 120, 1.0, 0.4), loss))] == ["warning"]


@pytest.mark.parametrize(("size", "norm", "severity"), [(64, 0.0, "error"), (64, 0.1, "note"), (2, 0.0, "note")])
def test_a_dead_layer_that_cuts_off_a_part_of_the_network_needs_no_flat_loss(size, norm, severity):
    """The biases behind it learn the priors, so the loss falls."""
    run = run_of(1.0, falling(), parameters=(Parameter("a", size, True, True), Parameter("b", 64, True, True)))
    gradients = {"grad/norm/a": np.full(AT.size, norm), "grad/norm/b": np.ones(AT.size), "grad/norm": np.ones(AT.size)}
    series = {**run.series, **{name: Series.of(name, v, step=AT) for name, v in gradients.items()}}
    (found,) = found_in(Run.of(series=series, parameters=run.parameters))
    assert found.severity == severity
    assert found.message.endswith("50% of the trainable entries never got a gradient") == (severity == "error")


def train(folder, bias):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn = torch.nn
    net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    nn.init.constant_(net[2].bias, bias)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-2)
    with tocsin.watch(net, optimizer, run_dir=folder, every=8, say=lambda _: None) as run:
        for x in torch.randn(160, 64, 8):
            loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.losses(total=loss)
    return {f.code: f.severity for f in run.report.roots if f.severity != "note"}


def test_real_dead_layer_is_the_root_of_what_does_not_move(tmp_path):
    assert train(tmp_path / "run", bias=-50.0) == {"OPT011": "error"}


def test_real_living_network(tmp_path):
    assert train(tmp_path / "run", bias=0.0) == {}

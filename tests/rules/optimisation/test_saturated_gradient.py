"""OPT003: clamped or made-up gradients in several large tensors; ties that a healthy gradient has are silent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tocsin
from tocsin.engine import check_run, judge
from tocsin.rules.optimisation.saturated_gradient import saturated_gradient as OPT003
from tocsin.run import Parameter, Run

N, SIZE = 40, 1024


def run_of(top, *, tensors=3, size=SIZE, series=None, zeros=0.0, raw=1.0):
    """``tensors`` tensors whose share at the largest magnitude is ``top``, shape (n,) or (n, tensors)."""
    top = np.asarray(top, dtype=float)
    top = np.repeat(top[:, None], tensors, axis=1) if top.ndim == 1 else top
    made = {}
    for k in range(tensors):
        made[f"grad/at_max_frac/{k}.weight"] = top[:, k]
        made[f"grad/zero_frac/{k}.weight"] = np.full(len(top), zeros)
        made[f"grad/norm/{k}.weight"] = np.full(len(top), raw)
    parameters = tuple(Parameter(f"{k}.weight", size, True, True) for k in range(tensors))
    return Run.of(series=made | (series or {}), parameters=parameters)


def found_in(run):
    return judge(OPT003, run, {})[0]


def test_clamped_gradients_ring_from_their_first_sample():
    top = np.where(np.arange(N) < 10, 1 / SIZE, 0.3)
    (found,) = check_run(run_of(top), [OPT003]).findings
    assert (found.severity, found.step, found.rang_at) == ("warning", 11, 32)
    assert found.message == (
        "30% of the non-zero gradient entries of 0.weight have exactly the largest magnitude at step 40 (a continuous "
        "gradient has one); 3 of 3 tensors are so, in 30 of 30 samples since step 11 [89%, 100%]: a clamp, or a value "
        "put in for inf"
    )
    assert found.evidence[0].limit == 0.05


@given(top=st.floats(0, 1), size=st.integers(256, 20_000), zeros=st.floats(0, 0.9))
@settings(max_examples=50, deadline=None)
def test_law_effect_and_evidence(top, size, zeros):
    """It never rings at or below the share, always well above it, and never where all entries have one size."""
    found = found_in(run_of(np.full(N, top), size=size, zeros=zeros))
    if top <= 0.05 or top == 1:
        assert found == []
    elif top > 0.25:
        assert len(found) == 1


class TestHealthyNeighbours:
    def test_continuous_gradients(self):
        assert found_in(run_of(np.full(N, 1 / SIZE))) == []

    def test_one_tensor_alone(self):
        """The last layer under an L1 loss."""
        top = np.full((N, 3), 1 / SIZE)
        top[:, 2] = 0.5
        assert found_in(run_of(top)) == []

    def test_small_tensors(self):
        _, why = judge(OPT003, run_of(np.full(N, 0.5), size=255), {})
        assert why is not None

    def test_sign_method(self):
        assert found_in(run_of(np.ones(N))) == []

    def test_entries_of_one_size_put_in_for_inf_ring(self):
        assert len(found_in(run_of(np.ones(N), raw=np.inf, series={"grad/nonfinite": np.full(N, 9.0)}))) == 1

    def test_subnormal_gradients_repeat_their_few_values(self):
        tiny = 2.0**-24 * 3 * np.sqrt(0.3 * SIZE)
        assert found_in(run_of(np.full(N, 0.3), raw=tiny)) == []
        assert len(found_in(run_of(np.full(N, 0.3), raw=tiny, series={"amp/scale": np.full(N, 1024.0)}))) == 1

    def test_gradients_that_are_not_finite(self):
        assert found_in(run_of(np.full(N, 0.3), series={"grad/applied_nonfinite": np.ones(N)})) == []

    def test_a_clamp_that_is_met_early_and_now_and_then(self):
        early = np.where(np.arange(N) < 6, 0.3, 1 / SIZE)
        seldom = np.where(np.arange(N) % 3 == 0, 0.3, 1 / SIZE)
        assert check_run(run_of(early), [OPT003]).findings == []
        assert check_run(run_of(seldom), [OPT003]).findings == []

    def test_sparse_gradients_give_too_few_entries(self):
        """Nearly all entries are 0, so five non-zero ones cannot show a mass at the top."""
        assert found_in(run_of(np.full(N, 0.2), zeros=1 - 5 / SIZE)) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_odd_numbers_do_not_break_it(bad):
    run = run_of(np.full(N, bad))
    found, why = judge(OPT003, run, {})
    assert not found
    assert why.reason == "0 samples with an optimizer step, 8 are needed"


def train(folder, clip, *, loss="square", autocast=False):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn = torch.nn
    net = nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 32))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    with tocsin.watch(net, optimizer, run_dir=folder, every=1, say=lambda _: None) as run:
        for _ in range(40):
            x = torch.randn(64, 32)
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                left = net(x).float() - x.cumsum(1)
            optimizer.zero_grad()
            (left.square() if loss == "square" else left.abs()).mean().backward()
            clip(net.parameters())
            optimizer.step()
            run.losses(total=left.detach().square().mean())
    return [f.severity for f in run.findings if f.code == "OPT003"]


def test_real_clip_by_value(tmp_path):
    torch = pytest.importorskip("torch")
    assert train(tmp_path / "run", lambda p: torch.nn.utils.clip_grad_value_(p, 0.01)) == ["warning"]


@pytest.mark.parametrize("loss", ["square", "absolute"])
@pytest.mark.parametrize("autocast", [False, True])
def test_real_clip_by_norm_is_silent(tmp_path, loss, autocast):
    torch = pytest.importorskip("torch")
    assert (
        train(tmp_path / "run", lambda p: torch.nn.utils.clip_grad_norm_(p, 0.01), loss=loss, autocast=autocast) == []
    )

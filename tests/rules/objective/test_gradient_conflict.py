"""OBJ005: a task that another one undoes is a warning; a conflict without harm a note; agreement is silent."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tocsin
from loops import quiet
from tocsin.engine import check_run, judge
from tocsin.record import read
from tocsin.rules.objective.gradient_conflict import gradient_conflict as OBJ005
from tocsin.run import Run, Series


def run_of(cosine, *, ratio=1.0, learns=(True, False), n=400, every=8, seed=0, names=("depth", "kind"), **fields):
    """Two terms; ``learns`` tells which fall, ``ratio`` is |g_second| / |g_first|, ``cosine`` a mean or all samples."""
    rng, t = np.random.default_rng(seed), np.arange(n)
    values = [1.0 + 0.02 * rng.standard_normal(n) + (2 * np.exp(-t / 80) if falls else 2.0) for falls in learns]
    at = np.arange(1, n + 1, every)
    cos = np.clip(cosine + 0.1 * rng.standard_normal(at.size), -1, 1) if np.ndim(cosine) == 0 else cosine
    a, b = names
    series = {"train/loss": sum(values), f"train/loss/{a}": values[0], f"train/loss/{b}": values[1]}
    series[f"loss/trunk_cos/{a}|{b}"] = Series.of("", cos, at)
    series[f"loss/trunk_norm/{a}"] = Series.of("", np.ones(at.size), at)
    series[f"loss/trunk_norm/{b}"] = Series.of("", np.full(at.size, ratio), at)
    return Run.of(series=series, **fields)


def findings(run):
    return judge(OBJ005, run, {})[0]


def test_a_task_that_the_other_undoes():
    (found,) = check_run(run_of(-0.7), [OBJ005]).findings
    assert (found.severity, found.subject, found.step) == ("warning", "depth|kind", 1)
    assert found.message == (
        "The gradients of kind and depth at the trunk oppose each other: mean cosine -0.69 [-0.74, -0.65] over 25 "
        "samples from step 201 to 393, 69% of that of kind is cancelled: kind has improved by 0.1%, depth by 60.8%"
    )


def test_both_learning_is_a_note():
    assert [f.severity for f in findings(run_of(-0.7, learns=(True, True)))] == ["note"]


@pytest.mark.parametrize(
    "run",
    [
        run_of(0.3),
        run_of(0.0),
        run_of(-0.7, ratio=4.0, learns=(False, True), names=("kl", "recon")),
        run_of(-0.7, n=100),
        run_of(np.where(np.arange(50) % 2, -0.9, 0.9)),
    ],
    ids=["agree", "orthogonal", "a regulariser", "few samples", "by turns"],
)
def test_neighbours_are_silent(run):
    assert findings(run) == []


def test_a_small_opponent_cancels_little():
    (found,) = findings(run_of(-0.7, ratio=0.1, learns=(False, True)))
    assert found.severity == "note"  # depth keeps 93 % of its gradient; it is kind that loses, and kind learns
    assert "of that of kind is cancelled" in found.message


def test_terms_passed_after_backward_are_not_checked():
    run = run_of(-0.7)
    bare = {name: s for name, s in run.series.items() if "trunk" not in name}
    (found, why) = judge(OBJ005, Run.of(series=bare), {})
    assert found == []
    assert "call run.losses before backward" in why.reason


@given(cosine=st.floats(-0.9, 0.9), seed=st.integers(0, 20))
@settings(max_examples=50, deadline=None)
def test_law_it_rings_only_below_zero(cosine, seed):
    for found in findings(run_of(cosine, seed=seed)):
        assert cosine < 0
        assert found.evidence[0].interval[1] < 0


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_live_the_cosine_is_that_of_the_gradients(tmp_path, sign):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(net.parameters(), 0.01)
    wanted = []
    with tocsin.watch(net, optimizer, run_dir=tmp_path, every=1, say=quiet) as run:
        for x in torch.randn(8, 16, 4):
            out = net(x)
            first, second = (out - 1).square().mean(), (out - sign).abs().mean()
            grads = [torch.autograd.grad(t, net[2].weight, retain_graph=True)[0].flatten() for t in (first, second)]
            wanted.append(float(torch.cosine_similarity(*grads, dim=0)))
            run.losses(total=first + second, first=first, second=second)
            optimizer.zero_grad()
            (first + second).backward()
            optimizer.step()
    cosines = read(tmp_path).get("loss/trunk_cos/first|second")
    np.testing.assert_allclose(cosines.value, wanted[::4], atol=1e-5)

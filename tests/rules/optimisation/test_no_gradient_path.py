"""OPT002: a cut branch rings as the cause of its frozen tensors; what is unused, routed, or comes later does not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tocsin
from loops import batches, quiet
from tocsin.engine import check_run, judge
from tocsin.record import read
from tocsin.rules.optimisation.no_gradient_path import no_gradient_path as OPT002
from tocsin.run import Parameter, Run, Series

SIZES = {"branch.weight": 500, "trunk.weight": 4000, "head.weight": 500}


def run_of(n=200, *, without="branch.weight", had=0, again=10**6, ran=1.0, norm=None, sizes=SIZES, role="", **fields):
    """Samples at each step; ``without`` had a gradient in the first ``had`` and each
    ``again``-th sample; else none, or one of this ``norm``."""
    at = np.arange(1, n + 1)
    series = {"grad/norm": np.ones(n), "count/optimizer": at, "train/loss": np.ones(n)}
    for name in sizes:
        given_ = np.where((name != without) | (at <= had) | (at % again == 0), 1.0, 0.0 if norm is None else 1.0)
        series[f"grad/count/{name}"] = given_
        size = np.where((name == without) & (at > had) & (at % again > 0), 0.0 if norm is None else norm, 0.5)
        series[f"grad/norm/{name}"] = Series.of("", size[given_ > 0], at[given_ > 0])
    if ran is not None:
        series[f"module/ran/{without.rpartition('.')[0]}"] = Series.of("", np.full(n - 1, ran), at[1:])
    table = tuple(
        Parameter(k, v, True, True, k.rpartition(".")[0], role=role if k == without else "") for k, v in sizes.items()
    )
    return Run.of(series=series, parameters=table, **{"exit": "running", **fields})


def findings(run):
    return judge(OPT002, run, {})[0]


def test_a_cut_branch():
    (found,) = check_run(run_of(exit="finished"), [OPT002]).findings
    assert (found.severity, found.subject, found.step, found.rang_at) == ("error", "branch.weight", 0, 128)
    assert found.message == (
        "branch.weight (1 of 3 tensors, 500 of 5,000 trainable entries) got no gradient in 200 of 200 samples so far, "
        "200 optimizer steps (in less than 2% of all, 95 %): their modules run in training, but no gradient comes "
        "back: the path to the loss is cut"
    )


def test_a_cut_trunk_rings_early():
    (found,) = check_run(run_of(without="trunk.weight"), [OPT002]).findings
    assert (found.severity, found.rang_at) == ("error", 32)


def test_exact_zeros_are_no_gradient():
    (found,) = findings(run_of(norm=0.0))
    assert "got exactly 0" in found.message
    assert findings(run_of(norm=1e-30)) == []


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        (run_of(ran=0.0), "unused"),
        (run_of(role="embedding"), "routed"),
        (run_of(had=30), "lost"),
        (run_of(ran=None, sizes={**SIZES, "trunk.weight": 9000}, exit="finished"), "unknown"),
    ],
)
def test_what_may_be_meant_is_a_note(run, kind):
    (found,) = findings(run)
    assert found.severity == "note"
    assert found.subject.endswith(f"({kind})")


@pytest.mark.parametrize(
    "run",
    [run_of(90), run_of(200, again=60), run_of(7, exit="finished"), run_of(200, without="none.weight")],
    ids=["its turn may come", "off no longer than before", "few samples", "all have one"],
)
def test_neighbours_are_silent(run):
    assert findings(run) == []


@given(had=st.integers(0, 40), n=st.integers(20, 300), sizes=st.permutations([500, 4000, 30]))
@settings(max_examples=40, deadline=None)
def test_law_whatever_has_a_gradient_now_is_never_named(had, n, sizes):
    table = dict(zip(SIZES, sizes, strict=True))
    for found in findings(run_of(had + n, had=had, sizes=table)):
        assert found.message.startswith("branch.weight (1 of 3")
        assert found.step == (had + 1 if had else 0)


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 3), nn.Linear(16, 3)
        self.pooler = nn.Linear(16, 16)

    def forward(self, x, cut):
        hidden = self.trunk(x).tanh()
        hidden = hidden.detach() if cut == "trunk" else hidden
        second = self.second(hidden)
        return self.first(hidden), second.detach() if cut == "second" else second


@pytest.mark.parametrize("cut", ["trunk", "second", ""])
def test_live_what_ran_is_told_from_what_did_not(tmp_path, cut):
    torch.manual_seed(0)
    net = TwoHeads()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with tocsin.watch(net, optimizer, run_dir=tmp_path, every=1, say=quiet) as run:
        for x, y in batches(110):
            a, b = net(x, cut)
            loss = nn.functional.cross_entropy(a, y) + nn.functional.cross_entropy(b, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.losses(total=loss)
    report = tocsin.check(read(tmp_path))
    mine = {f.subject: f for f in report.findings if f.code == "OPT002"}
    assert mine["pooler (unused)"].severity == "note"
    assert {s for s, f in mine.items() if f.severity != "note"} == ({cut} if cut else set())
    if cut:
        frozen = [f for f in report.findings if f.code == "OPT001" and cut in f.message and "pooler" not in f.message]
        assert all(mine[cut].accounts_for(f) for f in frozen)

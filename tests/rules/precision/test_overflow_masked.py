"""AMP002: masked overflows ring; overflows that the scaler sees, and single blips, do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tocsin
from tocsin.engine import check_run, judge
from tocsin.rules.precision.overflow_masked import overflow_masked as AMP002
from tocsin.run import Run, Series
from tocsin.stats import wilson


def run_of(overflow, skipped=None, scale=None, *, every=1, ended="running", applied=None):
    """One optimizer step a call: whether the raw gradient overflowed, whether the scaler skipped, its scale."""
    overflow = np.asarray(overflow, dtype=float)
    n = overflow.size
    skipped = np.zeros(n) if skipped is None else np.asarray(skipped, dtype=float)
    steps = np.arange(1, n + 1)[::every]
    series = {
        "grad/nonfinite": Series.of("grad/nonfinite", 7 * overflow[::every], steps),
        "count/optimizer": np.cumsum(1 - skipped),
        "count/skipped": np.cumsum(skipped),
        "amp/scale": np.full(n, 2.0**24) if scale is None else scale,
    }
    if applied is not None:
        series["grad/applied_nonfinite"] = Series.of("grad/applied_nonfinite", applied[::every], steps)
    return Run.of(series=series, exit=ended)


def found_in(run):
    return judge(AMP002, run, {})[0]


def test_masked_overflow_rings_at_the_first_look():
    keeper = check_run(run_of(np.arange(100) >= 5), [AMP002])
    (found,) = keeper.findings
    assert (found.severity, found.step, found.rang_at) == ("error", 6, 32)
    assert found.message == (
        "94 of 94 samples since step 6 (100% [96%, 100%]) had NaN or inf in the raw gradient, yet the optimizer "
        "stepped on finite numbers each time and none was skipped: something replaces them before the scaler looks, "
        "and its scale of 1.678e+07 never fell"
    )
    assert found.evidence[0].interval == wilson(94, 94)


@given(st.lists(st.booleans(), min_size=4, max_size=80))
@settings(max_examples=50, deadline=None)
def test_law_a_scaler_that_skips_every_overflow_is_never_blamed(overflow):
    """Whatever overflows: if each is skipped, the rule is silent, to the end of the run."""
    assert found_in(run_of(overflow, skipped=overflow, ended="finished")) == []


@given(st.lists(st.booleans(), min_size=4, max_size=80))
@settings(max_examples=50, deadline=None)
def test_law_the_share_counts_from_the_first_masked_sample(overflow):
    """The message's share is the plain count; the last sample waits for the next scale."""
    found = found_in(run_of(overflow))
    judged = overflow[:-1]
    first = judged.index(True) if True in judged else None
    hits = sum(judged)
    loud = first is not None and hits >= 3 and wilson(hits, len(judged) - first)[0] > 0.01
    assert [f.severity for f in found] == (["error"] if loud else [])
    assert all(f.message.startswith(f"{hits} of {len(judged) - first} samples since step {first + 1} ") for f in found)


class TestHealthyNeighbours:
    def test_nineteen_early_overflows_that_are_skipped(self):
        over = np.arange(120) < 19
        scale = 2.0**24 * 0.5 ** np.minimum(np.arange(1, 121), 19)
        assert check_run(run_of(over, over, scale, ended="finished"), [AMP002]).findings == []

    def test_one_masked_blip_is_a_note_at_the_end(self):
        over = np.arange(100) == 40
        assert found_in(run_of(over)) == []
        (found,) = found_in(run_of(over, ended="finished"))
        assert (found.severity, found.step) == ("note", 41)

    def test_rare_masking_below_the_share(self):
        over = np.arange(5000) % 1500 == 100
        assert found_in(run_of(over)) == []

    def test_masked_before_the_scaler_took_over(self):
        over = np.arange(100) < 10
        skipped = np.arange(100) == 20
        assert found_in(run_of(over, skipped, ended="finished")) == []

    def test_overflow_that_reached_the_optimizer_is_not_masked(self):
        over = np.ones(60)
        assert found_in(run_of(over, applied=over, ended="finished")) == []

    def test_a_loss_that_is_not_finite_is_another_fault(self):
        run = run_of(np.ones(60), ended="finished")
        series = {**run.series, "train/loss": Series.of("train/loss", np.full(60, np.nan))}
        assert found_in(Run.of(series=series, exit="finished")) == []

    def test_batches_cleared_by_hand(self):
        """`if not loss.isfinite(): continue`: no optimizer step at all in that call."""
        run = run_of(np.arange(60) % 3 == 0)
        stepped = np.cumsum(np.arange(60) % 3 != 0)
        series = {**run.series, "count/optimizer": Series.of("count/optimizer", stepped)}
        assert found_in(Run.of(series=series, exit="finished")) == []

    def test_without_a_scaler_it_is_not_checked(self):
        run = run_of(np.ones(60))
        _, why = judge(AMP002, Run.of(series={k: s for k, s in run.series.items() if k != "amp/scale"}), {})
        assert "amp/scale" in why.reason

    def test_no_optimizer_step_is_not_checked(self):
        run = run_of(np.ones(60))
        series = {**run.series, "count/optimizer": Series.of("count/optimizer", np.zeros(60))}
        assert judge(AMP002, Run.of(series=series), {})[1] is not None


def test_sparse_samples_and_accumulation():
    """Four calls an optimizer step; a sample closes with the step that used the gradient."""
    n = 160
    series = {
        "grad/nonfinite": Series.of("grad/nonfinite", [5.0] * 20, range(4, n, 8)),
        "count/optimizer": np.arange(1, n + 1) // 4,
        "count/skipped": np.zeros(n),
        "amp/scale": np.full(n, 65536.0),
    }
    (found,) = found_in(Run.of(series=series))
    assert found.step == 4
    assert found.message.startswith("20 of 20 samples since step 4 ")


def train(folder, sanitise, *, calls=60, accumulate=1, before=False):
    """A small network with float16 linear layers on the CPU under a scale that overflows."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn = torch.nn
    net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24)
    with tocsin.watch(net, optimizer, run_dir=folder, scaler=scaler, every=1, say=lambda _: None) as run:
        for k in range(calls):
            x = torch.randn(32, 8)
            with torch.autocast("cpu", dtype=torch.float16):
                loss = (net(x).float() - x.sum(1, keepdim=True)).square().mean()
            if before:
                run.losses(total=loss)
            scaler.scale(loss / accumulate).backward()
            if (k + 1) % accumulate == 0:
                for p in net.parameters() if sanitise else ():
                    p.grad = torch.nan_to_num(p.grad, **sanitise)
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
            if not before:
                run.losses(total=loss)
    return run.findings


@pytest.mark.parametrize(
    "sanitise", [{"nan": 0.0, "posinf": 1.0, "neginf": -1.0}, {"nan": 0.0, "posinf": 0.0, "neginf": 0.0}]
)
@pytest.mark.parametrize(("accumulate", "before"), [(1, False), (1, True), (4, False)])
def test_real_sanitiser_before_the_scaler(tmp_path, sanitise, accumulate, before):
    calls = 60 if accumulate == 1 else 160
    findings = train(tmp_path / "run", sanitise, calls=calls, accumulate=accumulate, before=before)
    (found,) = [f for f in findings if f.code == "AMP002"]
    assert (found.severity, found.step) == ("error", accumulate)
    assert all(found.accounts_for(f) for f in findings if f.code == "OPT001")


@pytest.mark.parametrize("before", [False, True])
def test_real_scaler_left_alone_is_silent(tmp_path, before):
    assert [
        f.code for f in train(tmp_path / "run", None, before=before) if f.code in ("AMP002", "OPT001", "OPT003")
    ] == []

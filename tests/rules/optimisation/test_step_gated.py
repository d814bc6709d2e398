"""OPT013: gradients that nothing used ring; accumulation, skipped steps, guards and extra passes do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, judge
from tocsin.rules.optimisation.step_gated import step_gated as OPT013
from tocsin.run import Run


def run_of(cleared, done, *, backward=None, skipped=None, **fields):
    """Counters at every call."""
    n = len(cleared)
    series = {"count/cleared": cleared, "count/optimizer": done, "train/loss": np.ones(n)}
    series["count/backward"] = np.arange(1, n + 1) if backward is None else backward
    if skipped is not None:
        series["count/skipped"] = skipped
    return Run.of(series=series, **fields)


def gated(gate, n=128, begin=0, **fields):
    """From call ``begin`` on only every ``gate``-th batch makes a step; the others are lost a call later."""
    k = np.arange(n)
    step = (k < begin) | (k % gate == 0)
    lost = np.r_[0, np.cumsum(~step)[:-1]]
    return run_of(lost, np.cumsum(step), **fields)


def findings(run):
    return judge(OPT013, run, {})[0]


def test_a_gate_rings_at_the_first_look():
    keeper = check_run(gated(10), [OPT013])
    (found,) = keeper.findings
    assert (found.severity, found.step, found.rang_at) == ("error", 0, 32)
    assert found.message == (
        "114 of 128 backward passes so far (89% [80%, 94%]) were cleared before any optimizer step used them: 13 steps "
        "in 128 calls"
    )


def test_a_gate_that_comes_later_begins_there():
    (found,) = findings(gated(10, n=512, begin=400))
    assert 401 <= found.step <= 403
    assert found.severity == "error"


def test_declared_accumulation_is_named():
    (found,) = findings(gated(4, config={"gradient_accumulation_steps": 4}))
    assert found.message.endswith("; gradient_accumulation_steps = 4 (config), but nothing is accumulated")


@pytest.mark.parametrize(
    "run",
    [
        run_of(np.zeros(128), np.arange(128) // 8),
        run_of(np.zeros(128), np.zeros(128), skipped=np.arange(1, 129)),
        run_of(5 * np.arange(128), np.arange(1, 129), backward=6 * np.arange(1, 129)),
        gated(2, n=30),
    ],
    ids=["honest accumulation", "each step skipped", "adversarial examples", "too short"],
)
def test_neighbours_are_silent(run):
    assert findings(run) == []


def test_steps_left_out_because_the_loss_is_no_number_are_no_gate():
    """Every second batch has a NaN in its loss, and no step is taken on it; with finite losses the same rings."""
    guarded, wasted = gated(2), gated(2)
    k = np.arange(128)
    guarded.series["train/loss"] = Run.of(series={"train/loss": np.where(k % 2 == 0, 1.0, np.nan)}).series["train/loss"]
    assert findings(wasted)
    assert not findings(guarded)


def test_a_rare_guard_is_silent():
    dropped = np.cumsum(np.random.default_rng(0).random(400) < 0.1)
    assert findings(run_of(dropped, np.arange(1, 401) - dropped)) == []


@given(gate=st.integers(2, 40), n=st.integers(64, 400))
@settings(max_examples=40, deadline=None)
def test_law_the_wider_the_gate_the_more_is_wasted(gate, n):
    (found,) = findings(gated(gate, n=n))
    low, high = found.evidence[0].interval
    assert low < 1 - 1 / gate + 2 / n
    assert high > 1 - 1 / gate - 2 / n
    assert found.severity == ("error" if low > 0.5 else "warning")

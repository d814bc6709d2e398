"""EVL008: fires where the ends of cycles are best and the run ends elsewhere; a note where it ends with one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.rules.evaluation.schedule_phase_best import _chance
from tocsin.run import Run, Series

RULE = find_rule("EVL008")


def findings(run):
    return check_run(run, [RULE]).findings


def cycled(looks=26, per=4, gain=0.08, slope=0.004, noise=0.0, seed=0, rates=True, config=None, name="val/accuracy"):
    phase = (np.arange(looks) % per + 1) / per
    score = 0.6 + slope * np.arange(looks) + gain * phase + noise * np.random.default_rng(seed).normal(size=looks)
    score = 2 - score if "loss" in name else score
    step = 10 * np.arange(1, looks + 1)
    every = np.arange(10 * looks)
    rate = 1e-3 * (1.02 + np.cos(np.pi * (every % (10 * per)) / (10 * per))) if rates else 1e-3 / (1 + every)
    series = {name: Series.of("", score, step=step), "lr/0": Series.of("", rate, step=every + 1)}
    return Run.of("r", series=series, exit="finished", config=config or {})


def test_a_run_that_ends_between_two_annealings():
    (found,) = findings(cycled(noise=0.003))
    assert found.message.startswith(
        "val/accuracy: the best evaluations of 5 cycles of the learning rate lie at their ends (mean phase "
    )
    assert "the run ended at phase 0.4" in found.message
    assert (found.severity, found.step) == ("warning", 50)


def test_the_end_of_a_cycle_is_a_note():
    (found,) = findings(cycled(looks=28))
    assert found.severity == "note"


def test_a_patience_shorter_than_a_cycle():
    (found,) = findings(cycled(looks=28, config={"early_stopping": {"patience": 2}}))
    assert found.severity == "warning"
    assert "patience = 2 (config) is shorter than a cycle" in found.message
    (found,) = findings(cycled(looks=28, config={"scheduler": {"patience": 2}, "patience": 10}))
    assert found.severity == "note"


def test_losses_count_too():
    (found,) = findings(cycled(name="val/loss"))
    assert found.subject == "val/loss"


@pytest.mark.parametrize(
    "run",
    [
        cycled(gain=0.0),
        cycled(gain=0.0, slope=0.02),
        cycled(gain=0.0, noise=0.05),
        cycled(gain=0.005),
        cycled(rates=False),
        cycled(looks=14),
        cycled(per=2, looks=20),
        cycled(gain=-0.08),
    ],
    ids=["flat", "improving", "noise", "small", "one cycle", "few", "too few a cycle", "worst at the ends"],
)
def test_healthy_neighbours_are_silent(run):
    assert not findings(run)


def test_the_chance_is_exact():
    quarters = [np.array([0.25, 0.5, 0.75, 1.0])] * 4
    assert _chance(quarters, 4.0) == pytest.approx(4**-4)
    assert _chance(quarters, 3.75) == pytest.approx(5 / 256)
    assert _chance(quarters, 1.0) == 1


@given(seed=st.integers(0, 10_000), slope=st.floats(0, 0.02))
@settings(max_examples=40, deadline=None)
def test_noise_and_steady_progress_are_silent(seed, slope):
    assert not [f for f in findings(cycled(gain=0.0, noise=0.02, slope=slope, seed=seed)) if f.severity != "note"]

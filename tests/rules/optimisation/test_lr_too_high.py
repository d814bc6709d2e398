"""OPT010 lr-too-high."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import faulty, real_curves
from tocsin.findings import Finding, NotChecked
from tocsin.rules.optimisation.lr_too_high import lr_too_high
from tocsin.run import Run, Series
from tocsin.turns import leap, outbursts, spike_points


def ring(run: Run) -> list[Finding]:
    return [lr_too_high.ring(run, f) for f in lr_too_high.check(run) if isinstance(f, Finding)]


def diverged(end: float, seed: int = 0, **more) -> Run:
    noise = np.exp(0.03 * np.random.default_rng(seed).standard_normal(500))
    level = np.r_[4 + 5 * np.exp(-np.arange(100) / 30), np.full(400, end)]
    return Run.of(series={"train/loss": level * noise, **more}, exit="finished")


@pytest.mark.parametrize(("end", "severity"), [(11, "warning"), (2e4, "error"), (7.5, "note"), (4.2, None)])
def test_how_far_it_rose_makes_the_severity(end, severity):
    assert [f.severity for f in ring(diverged(end))] == ([severity] if severity else [])


def test_the_turn_is_where_the_loss_was_lowest():
    (finding,) = ring(faulty.build("blown-up", 0))
    assert 700 <= finding.step <= 1100
    assert "the learning rate stood at 100 % of its peak" in finding.message


def test_evaluations_decide_in_between():
    at = np.arange(50, 501, 50)
    worse = Series.of("", np.linspace(4, 8, 10), step=at)
    assert [f.severity for f in ring(diverged(7.5, **{"val/loss": worse}))] == ["warning"]
    better = Series.of("", np.linspace(8, 4, 10), step=at)
    assert ring(diverged(7.5, **{"val/loss": better})) == []


def test_a_solved_task_makes_it_a_note():
    solved = Series.of("", [0.985, 0.984, 0.985], step=[100, 300, 500])
    assert [f.severity for f in ring(diverged(11, **{"val/accuracy": solved}))] == ["note"]


def test_a_rate_that_had_come_down_is_not_the_cause():
    rate = np.r_[np.full(50, 1e-2), np.full(450, 1e-4)]
    assert ring(diverged(11, **{"lr/0": rate})) == []


def test_a_term_that_grows_by_design_makes_it_a_note():
    falling = np.exp(-np.arange(500) / 100)
    assert [f.severity for f in ring(diverged(11, **{"train/loss/rec": falling}))] == ["note"]


@pytest.mark.parametrize("curve", real_curves.HEALTHY)
def test_silent_on_real_healthy_curves(curve):
    run = real_curves.HEALTHY[curve]()
    assert ring(run) == []


def test_a_loss_that_comes_down_again_is_silent():
    level = np.r_[np.linspace(2, 0.5, 100), np.linspace(3, 0.6, 200)]
    assert ring(Run.of(series={"train/loss": level})) == []


def test_reinforcement_learning_is_not_checked():
    (outcome,) = lr_too_high.check(diverged(11, **{"train/reward": np.ones(500)}))
    assert isinstance(outcome, NotChecked)


def by_epoch(train, accuracy, **more) -> Run:
    return Run.of(series={"train/loss": train, "val/accuracy": accuracy, **more}, exit="finished")


GUESS = [0.103, 0.086, 0.073, 0.098, 0.086, 0.103, 0.098, 0.088]
THROWN = [7785.8, 1562.1, 532.0, 205.6, 83.7, 54.2, 35.5, 23.6]


def test_weights_thrown_off_by_the_first_steps():
    (finding,) = ring(by_epoch(THROWN, GUESS))
    assert (finding.severity, finding.step) == ("warning", 1)
    assert "reaches 7.79e+03 (step 1), though val/accuracy never exceeds 0.103 and a guess as good loses about 2.3" in (
        finding.message
    )
    percent = by_epoch(THROWN, 100 * np.array(GUESS))
    assert [f.message for f in ring(percent)] == [finding.message]


@pytest.mark.parametrize(
    ("train", "accuracy", "more"),
    [
        (THROWN, [0.1, 0.2, 0.3, 0.35, 0.4, 0.42, 0.43, 0.44], {}),  # it learns
        (147 * np.linspace(1.03, 0.97, 8), GUESS, {}),  # the sum of a batch, at a guess
        (THROWN, [0.004] * 8, {}),  # accuracy of a regression, or of whole words
        ([30.0, 9, 4, 2, 1, 0.5, 0.3, 0.2], GUESS, {}),  # below the loss of a guess: it learns something
        (THROWN, GUESS, {"train/accuracy": np.linspace(0.1, 0.9, 8)}),  # training learns, the evaluation is at fault
        (THROWN[::2], GUESS[:2], {}),
    ],
)
def test_other_large_losses_are_silent(train, accuracy, more):
    assert ring(by_epoch(train, accuracy, **more)) == []


@pytest.mark.parametrize(
    ("loss", "severity"),
    [
        ([2.3, 2.1, 4e3, 5e6], "error"),
        ([2.3, 2.1, 40.0, 50.0], "warning"),
        ([2.3, 2.1, 40.0, 5.0], None),
        ([2.3, 2.1, 14.0, 15.0], None),
        ([2.3, 900.0], None),
        ([2.3, 2.0, 1.9, 2.6, 4.8, 9.7, 22.0, 60.0], "warning"),
        ([2.3, 2.0, 1.9, 2.6, 4.8, 9.7, 22.0, 60.0, np.nan], "note"),
        ([1e24, 3e25], "error"),
        ([1e12, 2e12], None),
    ],
)
def test_growth_by_orders_in_few_records(loss, severity):
    assert [f.severity for f in ring(Run.of(series={"train/loss": loss}))] == ([severity] if severity else [])


def test_an_absurd_loss_counts_in_reinforcement_learning_too():
    run = Run.of(series={"train/loss": [3.6e23, 2.1e24, 1.2e26, 6.1e25], "episode_reward": [-752.0, -617, -248, -492]})
    (finding,) = ring(run)
    assert (finding.severity, finding.step) == ("error", 1)
    assert finding.message.endswith("ends at 6.1e+25, a size whose gradient float32 cannot square")


def test_growth_with_better_evaluations_or_a_falling_term_is_no_divergence():
    grows = {"train/loss": np.geomspace(1, 300, 30)}
    better = Series.of("", np.linspace(0.2, 0.8, 6), step=np.arange(5, 31, 5))
    assert ring(Run.of(series={**grows, "val/f1": better})) == []
    (finding,) = ring(Run.of(series={**grows, "train/loss/rec": np.geomspace(3, 1, 30)}))
    assert finding.severity == "note"
    (finding,) = ring(Run.of(series=grows))
    assert finding.severity == "error"


def test_spikes_that_heal_are_a_note_and_single_hard_batches_are_nothing():
    y = 1 + 0.01 * np.random.default_rng(0).standard_normal(1000)
    for at in (200, 400, 600, 800):
        y[at : at + 4] = [9, 6, 4, 2.5]
    (finding,) = ring(Run.of(series={"train/loss": y}))
    assert (finding.severity, finding.step, finding.subject) == ("note", 201, "spikes")
    assert list(spike_points(y)) == [200, 400, 600, 800]
    y[:] = 1 + 0.01 * np.random.default_rng(0).standard_normal(1000)
    y[[200, 400, 600, 800]] = 9
    assert ring(Run.of(series={"train/loss": y})) == []


def test_spikes_against_a_plain_loop():
    rng = np.random.default_rng(3)
    y = np.exp(0.3 * rng.standard_t(2, 400))
    plain = []
    for i in range(50, 399):
        limits = []
        for k in (i - 1, i, i + 1):
            before = y[max(0, k - 50) : k]
            spread = 1.4826 * np.median(np.abs(before - np.median(before)))
            limits.append(y[k] > np.median(before) + max(10 * spread, abs(np.median(before))))
        if limits[1] and limits[2] and not (limits[0] and i > 50):
            plain.append(i)
    assert list(spike_points(y)) == plain


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-4, 1e4))
def test_law_the_unit_of_the_loss_does_not_matter(seed, unit):
    run = diverged(11, seed)
    scaled = replace(run.series["train/loss"], value=unit * run.series["train/loss"].value)
    found, same = ring(run), ring(replace(run, series={"train/loss": scaled}))
    assert [(f.step, f.severity) for f in found] == [(f.step, f.severity) for f in same] != []


def test_a_first_evaluation_that_none_comes_near():
    run = faulty.build("knowledge-thrown-away", 1)
    (finding,) = ring(run)
    assert finding.severity == "warning"
    assert "the first evaluation, at step 250, is the best by far (val/loss 0.22 then 0.4" in finding.message
    calm = {name: s for name, s in run.series.items() if name != "val/wer"}
    assert ring(replace(run, series=calm)) == []
    loss = run.series["train/loss"]
    falls = {**run.series, "train/loss": replace(loss, value=0.8 * np.exp(-np.arange(40) / 10))}
    assert ring(replace(run, series=falls)) == []


@pytest.mark.parametrize(
    ("at", "n", "severity"),
    [([5, 9, 12], 20, "warning"), ([5, 9], 400, "note"), ([5], 20, None), ([16, 17, 18, 19], 20, None)],
)
def test_values_by_orders_above_the_rest(at, n, severity):
    loss = 140 + 5 * np.random.default_rng(1).standard_normal(n)
    loss[at] = 1e13
    found = [f for f in ring(Run.of(series={"train/loss": loss})) if f.subject == "bursts"]
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_a_loss_that_falls_to_next_to_nothing_or_grows_has_no_bursts():
    falling = np.geomspace(3, 1e-9, 50)
    assert not len(outbursts(falling)[0])
    assert not len(outbursts(falling[::-1])[0])
    assert not len(outbursts(np.zeros(50))[0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-6, 1e6), st.integers(10, 200))
def test_law_bursts_do_not_depend_on_the_unit_or_the_sign(seed, unit, n):
    rng = np.random.default_rng(seed)
    y = np.exp(np.clip(3 * rng.standard_t(2, n), -60, 60))
    at, level = outbursts(y)
    other, scaled = outbursts(-unit * y)
    assert list(at) == list(other)
    assert scaled == pytest.approx(unit * level)


def leapt(*values: float, learns: bool = False) -> Run:
    n = 300
    tail = 0.2 + 2 * np.exp(-np.arange(n) / 60) if learns else 2.3 + 0.02 * np.sin(np.arange(n))
    loss = np.r_[values, tail if np.isfinite(values[-1]) else np.full(n, np.nan)]
    score = np.linspace(0.3, 0.95, 10) if learns else 0.1 + 0.01 * np.cos(np.arange(10))
    at = np.linspace(len(values) + 10, loss.size, 10).astype(int)
    return Run.of(series={"train/loss": loss, "val/accuracy": Series.of("", score, step=at)}, exit="finished")


def test_a_loss_that_leaps_into_nan_is_divergence_and_begins_before_the_first_step():
    (finding,) = ring(leapt(1.24, 3.6e13, np.inf, np.nan))
    assert (finding.severity, finding.step) == ("error", 0)
    assert finding.message == (
        "train/loss leapt from 1.24 to inf by step 3, and no number since: the first steps are far too large for these "
        "weights and inputs"
    )
    assert "AMP003" in finding.explains


def test_a_leap_to_where_nothing_is_learned():
    (finding,) = ring(leapt(197, 3512, 25978, 6.6e7, 187))
    assert finding.severity == "warning"
    assert "it ends at 2.2" in finding.message
    assert "val/accuracy is a guess" in finding.message


def test_a_leap_that_is_learned_from_and_nan_without_one_are_something_else():
    assert ring(leapt(197, 3512, 25978, 6.6e7, 187, learns=True)) == []
    assert [f.severity for f in ring(leapt(2.3, 2.2, 2.4, 2.1, np.nan))] == []
    assert ring(leapt(2.3, 230.0, 2.3)) == []


def thrown(norm: float, top: float, end: float) -> Run:
    """The norm rises to ``norm`` times its first value within 24 steps, the loss to ``top``, then falls to ``end``."""
    at = np.arange(1, 401, 8)
    step = np.arange(400)
    loss = end + np.where(step < 40, top - end, 0) * np.exp(-(((step - 20) / 8.0) ** 2)) + 0.01 * np.sin(step)
    loss[:3] = 2.3
    growth = Series.of("", 7 * np.minimum(norm, 1 + (norm - 1) * (at - 1) / 24), step=at)
    return Run.of(series={"train/loss": loss, "param/norm": growth, "count/optimizer": step + 1}, exit="finished")


@pytest.mark.parametrize(
    ("norm", "top", "end", "severity"),
    [(11, 9.0, 1.7, "warning"), (11, 9.0, 0.3, "note"), (11, 2.5, 1.7, None), (2, 9.0, 1.7, None)],
    ids=["blown up", "made up for", "a small network that grows", "a hard stretch"],
)
def test_weights_that_the_first_steps_replaced(norm, top, end, severity):
    found = [f for f in ring(thrown(norm, top, end)) if "norm of the parameters" in f.message]
    assert [(f.severity, f.step) for f in found] == ([(severity, 0)] if severity else [])


def test_an_end_below_the_start_counts_for_nothing_where_nothing_was_learned():
    guesses = Series.of("", [0.09, 0.1, 0.11, 0.1], step=[100, 200, 300, 400])
    run = thrown(11, 9.0, 0.3)
    (finding,) = ring(replace(run, series={**run.series, "val/accuracy": replace(guesses, name="val/accuracy")}))
    assert finding.severity == "warning"


def test_the_message_names_norm_and_loss():
    (finding,) = ring(thrown(11, 9.0, 1.7))
    assert finding.message == (
        "the norm of the parameters went from 7 (step 1) to 77 by step 25, train/loss from 2.3 to 9.01 (step 21); it "
        "ends at 1.7"
    )


def test_a_term_that_was_thrown_off_counts_where_learned_weights_lower_the_total():
    """The total is weighed down; one term leaps and recovers, the other never comes down."""
    quiet, leaping = thrown(11, 2.5, 0.3), thrown(11, 9.0, 0.3)
    stuck = Series.of("", np.full(400, 2.77))
    terms = {"train/loss/kind": leaping.series["train/loss"], "train/loss/level": stuck}
    (finding,) = ring(replace(quiet, series={**quiet.series, **terms}))
    assert (finding.severity, finding.step) == ("warning", 0)
    assert "train/loss/kind from 2.3 to 9" in finding.message
    assert "train/loss/level ends at 2.77" in finding.message
    small = {"train/loss/kind": 0.05 * terms["train/loss/kind"].value, "train/loss/level": stuck}
    assert not any(
        "norm of" in f.message for f in ring(replace(quiet, series={**quiet.series, **Run.of(series=small).series}))
    )


def test_a_slow_growth_of_the_weights_is_no_throw():
    run = thrown(11, 9.0, 1.7)
    slow = Series.of("", np.linspace(7, 77, 50), step=np.arange(1, 401, 8))
    found = ring(replace(run, series={**run.series, "param/norm": replace(slow, name="param/norm")}))
    assert not any("norm of the parameters" in f.message for f in found)


@given(unit=st.floats(1e-6, 1e6), factor=st.floats(1.5, 1e5))
@settings(max_examples=40, deadline=None)
def test_law_a_leap_is_a_thousandfold_in_any_unit(unit, factor):
    found = leap(Series.of("train/loss", unit * np.r_[1.0, factor, np.full(30, np.nan)]))
    assert (found is not None) == (unit * factor >= 1e3 * unit)
    assert found is None or found.gone

"""GEN001 overfit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import real_curves
from tocsin import early_rises
from tocsin.engine import check_run
from tocsin.findings import Finding, NotChecked
from tocsin.rules.generalisation.overfit import overfit
from tocsin.run import Run, Series

PER = 20


def ring(run: Run, **options) -> list[Finding]:
    return [overfit.ring(run, f) for f in overfit.check(run, **options) if isinstance(f, Finding)]


def every_look(run: Run) -> list[Finding]:
    """All that rings at any evaluation and at the end."""
    prefixes = [run.prefix(int(step)) for step in run.series["val/loss"].step]
    return [f for part in [*prefixes, run] if part.get("train/loss") for f in ring(part)]


def made(train_of_epoch, val, seed: int = 0, noise: float = 0.05, **more) -> Run:
    """A run whose training loss follows ``train_of_epoch`` (n,) with batch noise, evaluated at each epoch's end."""
    rng, n = np.random.default_rng(seed), len(val)
    level = np.interp(np.arange(1, n * PER + 1) / PER, np.arange(n + 1), np.r_[train_of_epoch[0], train_of_epoch])
    at = PER * np.arange(1, n + 1)
    series = {f"val/{k}": Series.of("", v, step=at) for k, v in {"loss": val, **more}.items()}
    series["train/loss"] = Series.of("", level * np.exp(noise * rng.standard_normal(n * PER)))
    return Run.of(series=series, exit="finished")


EPOCH = np.arange(1, 31)
FALLING = 0.05 + 1.5 * np.exp(-EPOCH / 6)
RISING = 1 + np.exp(-EPOCH / 2) + 0.03 * EPOCH


def test_a_real_fine_tuning_run():
    run = real_curves.hf_overfit()
    (finding,) = ring(run)
    assert (finding.severity, finding.step, finding.subject) == ("warning", 401, "g0/loss")
    assert finding.message == (
        "g0/loss rose from its minimum 1.11 (step 401, evaluation 2 of 31) to 2.55 (+129 %) while train/loss went from "
        "1.11 to 0.0549; beyond noise since step 4010"
    )
    low, high = finding.evidence[1].interval
    assert 0 < low < high
    assert "Use the weights of step 401" in finding.remedies[0].text


def test_it_rings_as_soon_as_the_rise_is_proven_and_stays():
    run = real_curves.hf_overfit()
    steps = [int(s) for s in run.series["g0/loss"].step[1:]]
    rang = [step for step in steps if ring(run.prefix(step))]
    assert rang == [step for step in steps if step >= 3609]


def test_live_looks_fix_the_step_of_the_minimum():
    run = made(FALLING, RISING)
    keeper = check_run(run, [overfit])
    (finding,) = keeper.findings
    assert finding.step == PER * (int(np.argmin(RISING)) + 1)
    assert finding.healed_at is None


def test_a_metric_that_still_improves_makes_it_a_note():
    accuracy = 0.6 + 0.01 * EPOCH
    (finding,) = ring(made(FALLING, RISING, acc=accuracy))
    assert finding.severity == "note"
    assert finding.message.endswith("; val/acc still improves: the loss, not the decisions, gets worse")
    (finding,) = ring(made(FALLING, RISING, acc=accuracy, f1=accuracy[::-1]))
    assert finding.severity == "warning"


def test_a_solved_task_makes_it_a_note():
    (finding,) = ring(made(FALLING, RISING, acc=0.985 + 0 * EPOCH))
    assert finding.severity == "note"
    assert finding.message.endswith("; val/acc stands at 0.97 and more: the loss, not the decisions, gets worse")
    (finding,) = ring(made(FALLING, RISING, acc=0.985 + 0 * EPOCH, f1=0.9 - 0.01 * EPOCH))
    assert finding.severity == "warning"


@pytest.mark.parametrize("curve", real_curves.HEALTHY)
def test_silent_on_real_healthy_curves(curve):
    assert every_look(real_curves.HEALTHY[curve]()) == []


def test_silent_when_the_training_loss_rises_too():
    assert every_look(made(0.2 + 0.03 * EPOCH, RISING)) == []


def test_silent_when_the_training_loss_falls_by_a_slope_but_by_no_effect():
    train = 0.3 - 0.0002 * EPOCH
    assert every_look(made(train, RISING, noise=1e-4)) == []
    assert ring(made(0.3 - 0.008 * EPOCH, RISING, noise=1e-4))


def test_one_lucky_evaluation_late_in_the_rise_is_not_the_minimum():
    epoch = np.arange(1, 61)
    val = 1 + 2 * np.exp(-epoch / 4) + 0.02 * np.maximum(epoch - 15, 0)
    val *= np.exp(0.1 * np.random.default_rng(0).standard_normal(60))
    val[52] = 0.9 * val.min()
    (finding,) = ring(made(0.05 + 1.5 * np.exp(-epoch / 20), val))
    assert finding.step < PER * 30
    assert finding.severity == "warning"


def test_silent_on_component_losses():
    run = made(FALLING, 1 + np.exp(-EPOCH / 6))
    part = Series.of("", RISING, step=PER * EPOCH)
    assert every_look(replace(run, series={**run.series, "val/loss/box": part})) == []


def test_silent_below_the_rise_that_matters_and_on_six_evaluations():
    assert every_look(made(FALLING, 1 + 0.1 * np.exp(-EPOCH) + 0.001 * EPOCH)) == []
    assert every_look(made(FALLING[:6], RISING[:6])) == []


def test_silent_at_a_warm_restart():
    phase = (EPOCH - 1) % 10
    level = np.exp(-EPOCH / 15) * (1.4 - 0.06 * phase)
    assert every_look(made(level, 1.2 * level)) == []


def test_a_second_descent_heals_it():
    val = np.r_[RISING[:20], np.linspace(RISING[19], 0.8, 44)]
    train = np.interp(np.arange(64), np.arange(30) * 2.2, FALLING)
    assert any(ring(made(train[:k], val[:k])) for k in range(8, 21))
    assert ring(made(train, val)) == []


def test_without_an_evaluation_loss_it_is_not_checked():
    (outcome,) = overfit.check(Run.of(series={"train/loss": [3, 2, 1], "val/loss/box": [1, 2, 3]}))
    assert isinstance(outcome, NotChecked)
    assert "val/loss" in outcome.reason


def test_plateaus_with_noise_seldom_ring(record_property):
    """Each run is looked at after every evaluation; noise as between evaluations of a small set (lag-1 up to .5)."""
    rng, alarms, runs = np.random.default_rng(3), 0, 60
    for _ in range(runs):
        n, rho, sigma = int(rng.choice([10, 20, 40])), rng.choice([0, 0.5]), rng.choice([0.01, 0.05])
        noise = rng.standard_normal(n)
        for i in range(1, n):
            noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho**2) * noise[i]
        k = np.arange(n)
        val = (0.5 + 1.5 * np.exp(-k / (0.1 * n))) * np.exp(sigma * noise)
        alarms += bool(every_look(made(0.3 + 1.7 * np.exp(-k / (0.1 * n)) + 0.2 * np.exp(-k / n), val)))
    record_property("figure", f"GEN001: {alarms} false alarms in {runs} noisy plateaus")
    assert alarms <= 2


def by_epoch(train, val) -> Run:
    return Run.of(series={"train/loss": np.asarray(train, float), "val/loss": np.asarray(val, float)}, exit="finished")


SHORT_TRAIN = [0.61, 0.35, 0.22, 0.13, 0.08, 0.05, 0.03, 0.02]


def test_eight_epochs_with_a_clear_rise_are_enough():
    (finding,) = ring(by_epoch(SHORT_TRAIN, [0.52, 0.41, 0.46, 0.55, 0.63, 0.72, 0.8, 0.86]))
    assert (finding.severity, finding.step) == ("warning", 2)
    assert "train/loss went from 0.35 to 0.02" in finding.message


def test_a_steady_rise_of_few_epochs_is_a_note_and_a_small_or_broken_one_nothing():
    val = [0.52, 0.41, 0.44, 0.55, 0.57, 0.6]
    (finding,) = ring(by_epoch(SHORT_TRAIN[:6], val))
    assert finding.severity == "note"
    assert "rose in each of the 4 evaluations after step 2" in finding.message
    assert "too few evaluations" in finding.message
    assert ring(by_epoch(SHORT_TRAIN[:6], [0.52, 0.41, 0.412, 0.415, 0.42, 0.425])) == []
    assert ring(by_epoch(SHORT_TRAIN[:6], [0.52, 0.41, 0.46, 0.44, 0.53, 0.52])) == []


ORDERED_TRAIN = [0.211, 0.17, 0.141, 0.122, 0.116, 0.096]
ORDERED_VAL = [0.34, 0.361, 0.393, 0.458, 0.425, 0.485]
FALLING_SCORE = Series.of("", [0.858, 0.857, 0.849, 0.845, 0.85, 0.844])


def test_an_order_that_chance_seldom_makes_is_a_warning():
    train, val = np.linspace(0.6, 0.2, 9), [0.5, 0.4, 0.43, 0.42, 0.45, 0.46, 0.48, 0.52, 0.51]
    (finding,) = ring(by_epoch(train, val))
    assert (finding.severity, finding.step) == ("warning", 2)
    assert "rose after evaluation 2 of 9 (step 2), from 0.4 to 0.51 (+27 %)" in finding.message
    assert finding.message.endswith("chance orders them so with p = 0.00087")
    assert ring(replace(by_epoch(train, val), exit="running")) == []
    assert ring(by_epoch(1 + 0.1 * train, val)) == []
    assert [f.severity for f in ring(by_epoch(ORDERED_TRAIN, ORDERED_VAL))] == ["note"]


def test_a_metric_that_gets_worse_in_order_seconds_it():
    run = by_epoch(ORDERED_TRAIN, ORDERED_VAL)
    (finding,) = ring(replace(run, series={**run.series, "val/accuracy": FALLING_SCORE}))
    assert finding.severity == "warning"
    noise = Series.of("", [0.858, 0.849, 0.857, 0.85, 0.845, 0.857])
    assert [f.severity for f in ring(replace(run, series={**run.series, "val/accuracy": noise}))] == ["note"]


def test_three_evaluations_after_the_lowest_are_a_note():
    train = [0.631, 0.526, 0.449, 0.371, 0.287, 0.219, 0.158]
    (finding,) = ring(by_epoch(train, [0.563, 0.523, 0.495, 0.457, 0.469, 0.508, 0.554]))
    assert (finding.severity, finding.step) == ("note", 4)
    assert ring(by_epoch(train, [0.563, 0.523, 0.495, 0.457, 0.46, 0.47, 0.48])) == []


def two(val, train=(0.048, 0.001), **more) -> Run:
    return Run.of(series={"train/loss": train, "val/loss": val, **more}, exit="finished")


def test_two_evaluations_far_apart_ring_where_another_sign_agrees():
    (finding,) = ring(two([0.038, 0.092]))
    assert finding.severity == "note"
    (finding,) = ring(two([0.038, 0.092], **{"test/loss": [0.037, 0.085]}))
    assert finding.severity == "warning"
    assert finding.message.endswith("while train/loss went from 0.048 to 0.001; test/loss rose to 2.3 times its value")
    scores = {"train/acc": [0.3, 0.99], "val/acc": [0.494, 0.5]}
    (finding,) = ring(two([0.038, 0.092], **scores))
    assert finding.severity == "warning"
    assert "train/acc went from 0.3 to 0.99, val/acc from 0.494 to 0.5" in finding.message
    scores["val/acc"] = [0.494, 0.62]
    assert [f.severity for f in ring(two([0.038, 0.092], **scores))] == ["note"]
    assert ring(two([0.038, 0.05])) == []
    assert ring(two([0.038, 0.092], train=(0.048, 0.03))) == []


def test_a_large_and_steady_rise_of_few_epochs_is_a_warning():
    train, val = [0.5, 0.25, 0.1, 0.05, 0.02], [0.41, 0.46, 0.63, 0.75, 0.9]
    run = by_epoch(train, val)
    assert [f.severity for f in ring(run)] == ["warning"]
    better = Series.of("", [0.82, 0.83, 0.84, 0.85, 0.86])
    assert [f.severity for f in ring(replace(run, series={**run.series, "val/f1": better}))] == ["note"]
    assert [f.severity for f in ring(by_epoch(train[:3], val[:3]))] == ["note"]


TRAIN_SCORE = [0.52, 0.55, 0.59, 0.66, 0.79, 0.85, 0.9]
HELD_SCORE = [0.5, 0.5, 0.5, 0.55, 0.55, 0.45, 0.4]
MEMORISING = [1.44, 1.16, 0.8, 0.63, 0.57, 0.47, 0.38]
PAST_BEST = [1.54, 0.81, 0.71, 0.7, 0.75, 0.73, 0.77]


def scored(train=TRAIN_SCORE, held=HELD_SCORE, val=PAST_BEST) -> Run:
    run = by_epoch(MEMORISING, val)
    score = {"train/accuracy": Series.of("", train), "val/accuracy": Series.of("", held)}
    return replace(run, series={**run.series, **score})


def test_a_score_that_training_alone_reaches():
    (finding,) = ring(scored())
    assert (finding.severity, finding.subject) == ("warning", "val/accuracy")
    assert (
        "train/accuracy rose from 0.52 to 0.85 while val/accuracy went from 0.5 to 0.45: a gap of 0.4"
        in finding.message
    )
    assert 0.15 < finding.evidence[1].interval[0] < 0.4
    percent = scored(100 * np.array(TRAIN_SCORE), 100 * np.array(HELD_SCORE))
    assert [f.message for f in ring(percent)] == [finding.message]


@pytest.mark.parametrize(
    "changed",
    [
        {"held": [0.5, 0.52, 0.55, 0.58, 0.6, 0.62, 0.62]},
        {"train": [0.8, 0.82, 0.84, 0.86, 0.88, 0.9, 0.9]},
        {"val": [1.54, 0.81, 0.71, 0.7, 0.69, 0.68, 0.67]},
        {"held": [0.2, 0.9, 0.3, 0.1, 0.8, 0.1, 0.2]},
        {"held": [0.8, 0.79, 0.8, 0.81, 0.8, 0.79, 0.8]},
    ],
)
def test_a_gap_that_closes_is_small_or_unsure_is_silent(changed):
    assert ring(scored(**changed)) == []


def test_a_metric_that_both_splits_have_stands_for_the_loss():
    rounds = 500 * np.arange(1, 25)
    fall = Series.of("", 0.16 * np.exp(-np.arange(24) / 5), step=rounds)
    climb = Series.of("", 0.42 + 0.02 * np.arange(24), step=rounds)
    (finding,) = ring(Run.of(series={"train/logloss": fall, "val/logloss": climb, "val/auc": 0.8 + 0 * rounds}))
    assert (finding.severity, finding.subject, finding.step) == ("warning", "val/logloss", 500)
    assert "while train/logloss went from 0.16 to 0.0016" in finding.message
    (finding,) = ring(Run.of(series={"val/logloss": fall, "val_1/logloss": climb}))
    assert finding.subject == "val_1/logloss"
    assert ring(Run.of(series={"val/logloss": climb, "val_1/logloss": climb})) == []


def test_a_training_loss_that_bends_is_seen_to_fall():
    epoch = np.arange(1, 101)
    train = 1.25 + 4.9 * np.exp(-epoch / 25)
    val = 3.8 + 2 * np.exp(-epoch / 8) + 0.018 * np.maximum(0, epoch - 30)
    val *= np.exp(0.015 * np.random.default_rng(2).standard_normal(100))
    assert [f.severity for f in ring(by_epoch(train, val))] == ["warning"]


def test_the_sum_of_terms_where_there_is_no_total():
    terms = {f"train/loss/{t}": FALLING / k for k, t in enumerate(("box", "cls", "dfl"), 1)}
    held = {"val/loss/box": RISING, "val/loss/cls": RISING / 2, "val/loss/dfl": np.exp(-EPOCH / 6)}
    (finding,) = ring(Run.of(series={**terms, **held}, exit="finished"))
    assert (finding.severity, finding.subject) == ("warning", "val/loss")
    assert finding.message.startswith("val/loss (the sum of its terms) rose from its minimum 2.14")
    assert [e.source for e in finding.evidence][:3] == list(held)
    calm = {"val/loss/box": RISING, "val/loss/cls": 9 * np.exp(-EPOCH / 6)}  # one term of the sum
    assert ring(Run.of(series={**terms, **calm}, exit="finished")) == []
    with_total = {**terms, **held, "train/loss": FALLING, "val/loss": 1 + np.exp(-EPOCH / 6)}
    assert ring(Run.of(series=with_total, exit="finished")) == []


STEP_UP = np.r_[0.45, 0.3, 0.2, 0.13, 0.1, 0.085, 0.075, 0.07, 0.072, 0.09]
WANDERS = np.array([0.124, 0.118, 0.127, 0.112, 0.121, 0.116, 0.125])
HALVES = 0.3 * np.exp(-np.arange(17) / 3.5)


def test_evaluations_that_step_up_and_wander():
    (finding,) = ring(by_epoch(HALVES, np.r_[STEP_UP, WANDERS]))
    assert (finding.severity, finding.step) == ("warning", 8)
    assert finding.message.endswith("the last 5 stand at 1.54 times the lowest 5 in a row")
    assert finding.evidence[-1].interval[0] > 1
    better = Series.of("", np.linspace(0.6, 0.9, 17))
    run = by_epoch(HALVES, np.r_[STEP_UP, WANDERS])
    assert [f.severity for f in ring(replace(run, series={**run.series, "val/acc": better}))] == ["note"]
    assert not [f for f in ring(by_epoch(0.2 + HALVES, np.r_[STEP_UP, WANDERS])) if f.severity != "note"]


def test_a_stand_needs_each_of_the_last_third_and_ten_evaluations():
    def of(y):
        return early_rises.stand(Series.of("val/loss", y))

    assert of(np.r_[STEP_UP, WANDERS]).proven
    assert of(np.r_[STEP_UP, WANDERS[:-1], 0.08]) is None
    assert of(np.r_[STEP_UP[5:], WANDERS[:4]]) is None
    assert of(-np.r_[STEP_UP, WANDERS]) is None
    noisy = np.r_[STEP_UP[:5], 0.12, 0.05, 0.11, 0.06, 0.1, 1.7 * WANDERS * np.array([1, 3, 1, 3, 1, 3, 1])]
    assert not of(noisy).proven


def test_how_many_steps_up_it_finds(record_property):
    def stepped(seed, n):
        rng, k = np.random.default_rng(seed), np.arange(n)
        level = 1 + 1.5 * np.exp(-k / (0.1 * n)) + (k > 0.45 * n)
        return by_epoch(0.05 + 1.5 * np.exp(-k / (0.3 * n)), level * np.exp(0.1 * rng.standard_normal(n)))

    found = [sum(bool(ring(stepped(seed, n))) for seed in range(30)) for n in (17, 40)]
    record_property("figure", f"GEN001: {found} of 30 steps to twice the level, 17 and 40 evaluations with 10% noise")
    assert found[0] >= 20
    assert found[1] >= 27


def test_an_evaluation_loss_that_runs_away():
    val = [4.434, 0.9413, 1.078, 1.307, 3.223, 1.429, 19.96, 2.087, 2.102, 418.2]
    (finding,) = ring(by_epoch(np.linspace(0.54, 0.33, 10), val))
    assert (finding.severity, finding.step) == ("warning", 2)
    for other in (val[:-1], [*val[:-1], 2.0]):
        assert not [f for f in ring(by_epoch(np.linspace(0.54, 0.33, len(other)), other)) if f.severity != "note"]
    assert not [f for f in ring(by_epoch(np.linspace(0.54, 0.5, 10), val)) if f.severity != "note"]


def alone(val, **more) -> Run:
    return Run.of(series={"val/loss": val, **more}, exit="finished")


def test_evaluations_alone_that_only_get_worse():
    (finding,) = ring(alone([0.01, 0.026, 0.056, 0.108]))
    assert (finding.severity, finding.step) == ("warning", 1)
    assert "(+980 %), and no training loss is recorded to tell overfitting from divergence" in finding.message
    assert len(ring(alone(0.5 * np.geomspace(1, 1.8, 9)))) == 1


@pytest.mark.parametrize(
    "run",
    [
        alone([0.01, 0.026, 0.056]),
        alone([0.01, 0.026, 0.012, 0.108]),
        alone([0.01, 0.016, 0.02, 0.025]),
        alone([0.01, 0.026, 0.056, 0.108], **{"val/accuracy": [0.5, 0.6, 0.7, 0.8]}),
        alone([0.01, 0.026, 0.056, 0.108], **{"train/reward": [1.0, 2, 3, 4]}),
        alone([0.01, 0.026, 0.056, 0.108], **{"val/loss/rec": [0.009, 0.008, 0.007, 0.006]}),
        alone([0.01, 0.026, 0.056, 0.108], **{"train/loss/rec": [0.009, 0.008, 0.007, 0.006]}),
        alone([-4.0, -3.0, -2.0, -1.0]),
        replace(alone([0.01, 0.026, 0.056, 0.108]), exit="running"),
    ],
)
def test_other_evaluations_alone_are_not_checked(run):
    (outcome,) = overfit.check(run)
    assert isinstance(outcome, NotChecked)


def test_one_evaluation_is_not_checked():
    (outcome,) = overfit.check(by_epoch([0.6, 0.3], [0.5, np.nan]))
    assert isinstance(outcome, NotChecked)


def risen(seed: int, n: int, noise: float, size: float) -> Run:
    rng, k = np.random.default_rng(seed), np.arange(n)
    val = 1 + np.exp(-k / (0.08 * n)) + size * np.maximum(0, k - 0.3 * n) / (0.7 * n)
    return made(0.05 + 1.5 * np.exp(-k / (0.3 * n)), val * np.exp(noise * rng.standard_normal(n)), seed)


@pytest.mark.parametrize(
    ("n", "noise", "size", "least"), [(8, 0.02, 0.3, 12), (20, 0.1, 0.5, 12), (42, 0.18, 0.5, 13), (60, 0.2, 1.0, 27)]
)
def test_how_many_rises_it_finds(record_property, n, noise, size, least):
    found = sum(bool(ring(risen(seed, n, noise, size))) for seed in range(30))
    record_property("figure", f"GEN001: {found} of 30 rises by {size} over {n} evaluations with {noise:.0%} noise")
    assert found >= least


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-6, 1e6), st.integers(8, 30))
def test_law_the_unit_of_the_loss_does_not_matter(seed, unit, n):
    rng = np.random.default_rng(seed)
    val = RISING[:n] * np.exp(0.05 * rng.standard_normal(n))
    run = made(FALLING[:n], val, seed)
    scaled = {k: replace(s, value=s.value * unit) for k, s in run.series.items()}
    found, same = ring(run), ring(replace(run, series=scaled))
    assert [(f.step, f.severity) for f in found] == [(f.step, f.severity) for f in same]
    lowest = PER * (int(np.argmin(val)) + 1)
    assert all(f.step == lowest for f in found) or n >= 20  # from 20 on the minimum is that of a running median

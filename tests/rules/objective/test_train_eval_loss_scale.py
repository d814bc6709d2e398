"""OBJ006 train-eval-loss-scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import real_curves
from tocsin.findings import Finding, NotChecked
from tocsin.rules.objective.train_eval_loss_scale import train_eval_loss_scale
from tocsin.run import Run, Series

PER, EPOCHS = 20, 14
EPOCH = np.arange(1, EPOCHS + 1)


def ring(run: Run, **options) -> list[Finding]:
    return [
        train_eval_loss_scale.ring(run, f)
        for f in train_eval_loss_scale.check(run, **options)
        if isinstance(f, Finding)
    ]


def made(
    val_of_level, seed: int = 0, tau: float = 5, floor: float = 0.5, noise: float = 0.1, train_of_level=None
) -> Run:
    """A training loss logged at every step, and ``val_of_level(level, epoch)`` at each epoch's end."""
    rng = np.random.default_rng(seed)
    x = np.arange(1, EPOCHS * PER + 1) / PER
    level = floor + np.exp(-x / tau)
    train = level if train_of_level is None else train_of_level(level)
    val = val_of_level(level[PER - 1 :: PER], EPOCH) * np.exp(0.01 * rng.standard_normal(EPOCHS))
    series = {
        "train/loss": train * np.exp(noise * rng.standard_normal(x.size)),
        "val/loss": Series.of("", val, step=PER * EPOCH),
    }
    return Run.of(series=series, exit="finished")


def sampled(val_of_level, seed: int) -> Run:
    """60 evaluations, one each 20 steps."""
    rng = np.random.default_rng(1000 + seed)
    level = 0.3 + np.exp(-np.arange(1, 60 * PER + 1) / (20 * PER))
    val = val_of_level(level[PER - 1 :: PER], np.arange(1, 61))
    train = level * np.exp(0.15 * rng.standard_normal(level.size))
    return Run.of(series={"train/loss": train, "val/loss": Series.of("", val, step=PER * np.arange(1, 61))})


def epoch_means(run: Run) -> Run:
    """The same run with the training loss logged once an epoch."""
    means = run.series["train/loss"].value.reshape(EPOCHS, PER).mean(axis=1)
    return replace(run, series={**run.series, "train/loss": Series.of("", means, step=PER * EPOCH)})


def test_report_001_is_no_overfitting():
    run = real_curves.report_001()
    (finding,) = ring(run)
    assert (finding.step, finding.severity, finding.subject) == (1, "warning", "val/loss")
    assert finding.message == (
        "val/loss is 8.78 times train/loss from the first evaluation on (1.95 against 0.217 at step 1), with a scatter "
        "of 1.6 % over 10 evaluations, and both move in proportion: another reduction, accumulation or other terms, "
        "not overfitting"
    )
    assert (finding.evidence[0].value, finding.evidence[1].value) == (1.95422, 0.21666)
    low, high = finding.evidence[0].interval
    assert 8 < low < 8.78 < high < 10


def test_once_it_holds_it_stays_unchanged():
    run = real_curves.report_001()
    found = [ring(run.prefix(k)) for k in range(1, 15)]
    assert [len(f) for f in found] == [0] * 9 + [1] * 5
    assert len({f[0].message for f in found if f}) == 1


@pytest.mark.parametrize("factor", [1 / 16, 1 / 4, 2, 8, 50])
@pytest.mark.parametrize("logged", ["steps", "epochs"])
def test_factors_of_reduction_and_accumulation(factor, logged):
    run = made(lambda level, _: factor * level)
    (finding,) = ring(run if logged == "steps" else epoch_means(run))
    assert finding.severity == "warning"
    assert ("train/loss is" if factor < 1 else "val/loss is") in finding.message


def test_a_moderately_larger_training_loss_is_a_note():
    (finding,) = ring(made(lambda level, _: level / 2))
    assert finding.severity == "note"
    assert finding.message.endswith("or strong augmentation or dropout")


@pytest.mark.parametrize("factor", [1 / 8, 4, 8])
@pytest.mark.parametrize("sampling", [0.1, 0.2])
def test_evaluations_of_few_samples_hide_no_factor(factor, sampling):
    """64 samples of a squared error scatter by 18 %: far beyond ``scatter``, yet around a constant."""
    rang, silent = 0, 0
    for seed in range(5):
        few = np.exp(sampling * np.random.default_rng(seed).standard_normal(60))
        rang += len(ring(sampled(lambda level, _, few=few: factor * level * few, seed)))
        silent += not ring(sampled(lambda level, at, few=few: (1 + (factor - 1) * at / 30) * level * few, seed))
    assert (rang, silent) == (5, 5)


@pytest.mark.parametrize("sampling", [0.02, 0.05, 0.1, 0.2])
def test_silent_on_a_constant_difference_and_on_dropout_under_sampling_noise(sampling):
    for seed in range(5):
        few = np.exp(sampling * np.random.default_rng(seed).standard_normal(60))
        for val in (lambda level, _, few=few: (level + 2.0) * few, lambda level, _, few=few: level / 1.4 * few):
            assert ring(sampled(val, seed)) == []


def test_a_smooth_fall_counts_as_movement():
    """About a straight line an exponential is all autocorrelation, and a trend's interval holds 0."""
    assert all(ring(made(lambda level, _: 8 * level, seed, tau=8, floor=0.3, noise=0.2)) for seed in range(3))


# ---- nearest healthy neighbours


@pytest.mark.parametrize("logged", ["steps", "epochs"])
@pytest.mark.parametrize(
    "val",
    [
        lambda level, _: 1.05 * level,
        lambda level, _: level / 1.4,  # dropout in training
        lambda level, _: level + 1.0,  # a constant difference
        lambda level, epoch: level * (1 + 0.15 * epoch),  # a gap that grows from the first epoch
        lambda level, epoch: 3 - 0 * level + 0 * epoch,  # flat
    ],
    ids=["equal", "dropout", "difference", "growing", "flat"],
)
def test_silent_on_gaps_that_are_not_a_factor(val, logged):
    for seed in range(5):
        run = made(val, seed)
        assert ring(run if logged == "steps" else epoch_means(run)) == []


def test_silent_when_both_curves_are_flat():
    assert ring(made(lambda level, _: 4 * level, tau=0.05)) == []


def test_silent_on_the_lag_of_a_fast_falling_epoch_mean():
    """A pure exponential, 2.5-fold each epoch: its epoch means stand 1.6 times above the loss at the epoch's end."""
    run = epoch_means(made(lambda level, _: level, tau=1.1, floor=0.0, noise=0.0))
    ratio = run.series["train/loss"].value / run.series["val/loss"].value
    assert ratio.min() > 1.5
    assert ring(run) == []


def test_silent_on_a_factor_that_sets_in_later():
    assert ring(made(lambda level, epoch: np.where(epoch <= 2, 1, 9) * level)) == []


@pytest.mark.parametrize("curve", real_curves.HEALTHY)
def test_silent_on_real_healthy_curves(curve):
    assert ring(real_curves.HEALTHY[curve]()) == []


def test_silent_on_negative_losses_and_on_four_evaluations():
    run = made(lambda level, _: 8 * level)
    assert ring(run.prefix(4 * PER)) == []
    below = {name: replace(s, value=s.value - 30) for name, s in run.series.items()}
    assert ring(replace(run, series=below)) == []


def test_without_an_evaluation_loss_it_is_not_checked():
    (outcome,) = train_eval_loss_scale.check(Run.of(series={"train/loss": [3, 2, 1]}))
    assert isinstance(outcome, NotChecked)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3), st.sampled_from(["val/loss", "train/loss"]))
def test_law_scaling_one_loss_far_enough_always_rings_and_scaling_both_never(seed, unit, which):
    run = made(lambda level, _: 1.02 * level, seed, noise=0.03)
    both = {name: replace(s, value=s.value * unit) for name, s in run.series.items()}
    assert ring(replace(run, series=both)) == []
    one = {**run.series, which: replace(run.series[which], value=run.series[which].value * 32)}
    found = ring(replace(run, series=one))
    assert [f.step for f in found] == [PER]


TRAIN = [0.031, 0.027, 0.024, 0.021, 0.022, 0.019]
SCORE = [99.05, 99.12, 99.2, 99.32, 99.27, 99.39]
SUMMED = [1.777, 1.558, 1.683, 1.553, 1.508, 1.579]
AS_GOOD = [99.07, 99.27, 99.22, 99.18, 99.31, 99.31]


def scored(val=SUMMED, held=AS_GOOD, n=6) -> list:
    series = {"train/loss": TRAIN, "val/loss": val, "train/acc": SCORE, "val/acc": held}
    run = Run.of(series={name: np.array(values[:n], float) for name, values in series.items()}, exit="finished")
    return [o for o in train_eval_loss_scale.check(run) if isinstance(o, Finding)]


def test_a_loss_many_times_that_of_training_at_the_same_errors():
    (finding,) = scored()
    assert (finding.severity, finding.step) == (None, 1)
    assert "val/loss is 68.5 times train/loss" in finding.message
    assert "0.78 % against 0.8 %" in finding.message
    assert scored(held=[97.1, 97.2, 97.2, 97.1, 97.3, 97.3]) == []  # overfitted: it errs more
    assert scored(val=[0.04, 0.04, 0.05, 0.04, 0.04, 0.05]) == []
    assert scored(n=4) == []


def in_epochs(train_of, val_of, first: float = 1) -> Run:
    """20 steps an epoch whose numbers are recorded; training and evaluation losses by the time in epochs."""
    x = np.arange(1, EPOCHS * PER + 1) / PER
    epoch = np.ceil(x) + first - 1
    train = train_of(x) * np.exp(0.05 * np.random.default_rng(0).standard_normal(x.size))
    ends = PER * EPOCH
    series = {
        "train/loss": Series.of("", train, epoch=epoch),
        "val/loss": Series.of("", val_of(EPOCH), step=ends, epoch=epoch[ends - 1]),
    }
    return Run.of(series=series, exit="finished")


def learning(x):
    return 0.02 + 2 * np.exp(-x)


def overfitting(x):
    return 0.15 + 2 * np.exp(-x)


def test_in_the_first_epoch_nothing_is_overfitted():
    (found,) = ring(in_epochs(lambda x: learning(x) / PER, overfitting))
    assert (found.severity, found.subject, found.step) == ("warning", "val/loss", PER)
    assert "times train/loss in the first epoch" in found.message
    assert found.message.endswith("another reduction, accumulation or other terms, not overfitting")
    assert not ring(in_epochs(learning, overfitting))


@pytest.mark.parametrize(
    "run",
    [
        in_epochs(lambda x: learning(x) / PER, overfitting, first=2),
        in_epochs(lambda x: learning(x) / PER, overfitting, first=np.nan),
        in_epochs(lambda x: 0.001 * (1 + np.exp(-x)), lambda e: 0.11 + 0.01 * np.exp(-e)),
        in_epochs(lambda x: 0.001 * (1 + np.exp(-x)), lambda e: 0.1 + 0.01 * e),
        in_epochs(lambda x: 2 * np.exp(-4 * x) + 0.001, lambda e: 0.5 + np.exp(-e)),
    ],
    ids=["resumed", "unknown epochs", "fine-tuned", "fine-tuned to the worse", "learned within an epoch"],
)
def test_silent_where_samples_may_have_been_seen(run):
    assert not [f for f in ring(run) if "first epoch" in f.message]

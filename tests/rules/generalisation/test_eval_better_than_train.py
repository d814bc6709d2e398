"""GEN006: a note where the evaluation loss stays below the training loss, with what explains it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.engine import check_run, find_rule
from tocsin.run import Run, Series

RULE = find_rule("GEN006")
PER = 50


def findings(run):
    return check_run(run, [RULE]).findings


def trained(ratio, looks=12, noise=0.05, config=None, seed=0, fall=1.0, level=None):
    rng = np.random.default_rng(seed)
    every = np.arange(PER * looks)
    train = (0.5 + fall * np.exp(-every / (2 * PER))) * np.exp(noise * rng.standard_normal(every.size))
    ends = train.reshape(looks, PER)
    held = ratio * (ends[:, -5:] if level is None else ends[:, level]).mean(axis=1)
    series = {"train/loss": train, "val/loss": Series.of("", held, step=PER * np.arange(1, looks + 1))}
    return Run.of("r", series=series, exit="finished", config=config or {})


def test_it_says_that_nothing_explains_it():
    (found,) = findings(trained(0.7, noise=0.0, fall=0.0, config={"lr": 0.1, "dropout": 0.0, "augment": False}))
    assert found.message == (
        "val/loss is 0.7 times the training loss at the end of the same epoch (0.7 to 0.7) in each of the last 6 "
        "evaluations; nothing in the configuration makes training harder"
    )
    assert (found.severity, found.step) == ("note", 7 * PER)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"model": {"dropout": 0.1}}, "dropout"),
        ({"attention_dropout": 0.1}, "dropout"),
        ({"train": {"label_smoothing": 0.1}}, "label smoothing"),
        ({"augmentation": "randaugment"}, "augmentation"),
        ({"mixup": 0.2}, "augmentation"),
        ({"drop_path": 0.1}, "stochastic depth"),
    ],
)
def test_it_says_what_explains_it(config, what):
    (found,) = findings(trained(0.7, config=config))
    assert f"; {what} makes training harder (" in found.message
    assert len(found.evidence) == 2


@pytest.mark.parametrize(
    "run",
    [
        trained(1.1),
        trained(1.0, noise=0.2),
        trained(0.97, noise=0.0),
        trained(0.7, looks=6),
        trained(0.9, noise=0.0, fall=20.0, level=slice(0, PER)),
    ],
    ids=["above", "equal", "near", "few", "below the mean of the epoch"],
)
def test_healthy_neighbours_are_silent(run):
    assert not findings(run)


def test_losses_of_adversaries_and_means_of_epochs_are_left_alone():
    run = trained(0.7)
    once = Series.of("", run.series["val/loss"].value * 1.5, step=run.series["val/loss"].step)
    keeper = check_run(Run.of(series={"train/loss": once, "val/loss": run.series["val/loss"]}), [RULE])
    assert not keeper.findings
    assert "3 training losses" in keeper.not_checked["GEN006"].reason


@given(scale=st.floats(1e-3, 1e3), ratio=st.floats(0.3, 0.85))
@settings(max_examples=20, deadline=None)
def test_the_unit_of_the_loss_does_not_matter(scale, ratio):
    run = trained(ratio, noise=0.02)
    scaled = {n: Series.of("", scale * s.value, step=s.step) for n, s in run.series.items()}
    (found,) = findings(Run.of(series=scaled, exit="finished"))
    assert found.evidence[0].interval[1] < 0.95

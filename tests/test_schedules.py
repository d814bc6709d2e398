"""What a run says about its learning rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tocsin import schedules
from tocsin.run import Run, Series


@pytest.mark.parametrize(
    ("fields", "value", "source"),
    [
        ({"config": {"optimizer": {"lr": 3e-4}}}, 3e-4, "config:optimizer.lr"),
        ({"config": {"learning_rate": "5e-5"}}, 5e-5, "config:learning_rate"),
        ({"environment": {"command": "python train.py --lr 1e-3 --wd 0.1"}}, 1e-3, "the command"),
        ({"environment": {"command": "train.py optimizer.lr=.002"}}, 0.002, "the command"),
        ({"environment": {"command": "train.py --learning-rate=2e-5"}}, 2e-5, "the command"),
        ({"path": Path("sweep/lr_0.01_bs32/log.csv")}, 0.01, "the run's name"),
        ({"path": Path("runs/resnet-lr3e-4/events")}, 3e-4, "the run's name"),
    ],
)
def test_the_nominal_rate(fields, value, source):
    nominal = schedules.nominal_rate(Run.of(**fields))
    assert (nominal.value, nominal.source) == (pytest.approx(value), source)


@pytest.mark.parametrize(
    "fields",
    [
        {"config": {"lr": None, "min_lr": 1e-6, "lr_decay": 0.1}},
        {"config": {"lr": True}},
        {"config": {"lr0": 0.01, "optimizer": "auto"}},
        {"path": Path("lrcn_v2/log.csv")},
        {"environment": {"command": "train.py --lr-decay 0.1 --flr 3"}},
    ],
)
def test_no_nominal_rate(fields):
    assert schedules.nominal_rate(Run.of(**fields)) is None


def test_the_group_with_the_highest_peak_is_the_main_one_and_is_held_to_the_end():
    run = Run.of(series={"lr/0": [1e-5], "lr/1": [1e-3, 5e-4], "train/loss": np.ones(10)})
    rate = schedules.main_rate(run)
    assert (rate.name, list(rate.step), rate.value[-1]) == ("lr/1", [1, 2, 10], 5e-4)
    assert schedules.share_of_peak(run, 10) == 0.5
    foreign = Run.of(series={"lr/0": [1e-3, 5e-4], "train/loss": np.ones(10)}, source="console")
    assert list(schedules.main_rate(foreign).step) == [1, 2]


def test_without_a_rate_nothing_is_known():
    run = Run.of(series={"lr/0": Series.of("", [np.nan]), "train/loss": [1.0]})
    assert schedules.main_rate(run) is None
    assert np.isnan(schedules.share_of_peak(run, 1))


def test_a_warmup_counted_in_steps():
    assert schedules.warmup_length(Run.of(config={"sched": {"warmup_steps": 1000}})) == ("sched.warmup_steps", 1000)
    assert schedules.warmup_length(Run.of(config={"warmup_epochs": 5})) is None

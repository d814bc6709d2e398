"""CFG003 declared-not-applied."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import healthy
from corpus.log_faults_ending import another_rate_than_the_folder_says
from tocsin.findings import Finding, NotChecked
from tocsin.rules.config.declared_not_applied import declared_not_applied
from tocsin.run import Run, Series

AT = np.arange(50, 1001, 50)


def schedule(peak: float, warm: int = 200, step=AT) -> Series:
    return Series.of("lr/0", peak * np.minimum(step / warm, (1000 - step) / (1000 - warm)), step=step)


def logged(rate, name: str = "run", path: str = "", **fields) -> Run:
    series = rate if isinstance(rate, Series) else Series.of("lr/0", np.full(AT.size, rate), step=AT)
    where = Path(path) if path else None
    return Run.of(name, series={"lr/0": series}, path=where, source="jsonl", **fields)


def ring(run: Run, **options) -> list[Finding]:
    return [f for f in declared_not_applied.check(run, **options) if isinstance(f, Finding)]


def test_a_folder_that_says_another_rate():
    (finding,) = ring(another_rate_than_the_folder_says(np.random.default_rng(0)))
    assert finding.message.startswith(
        "lr1e-5 = 1e-5 (name) is declared, but the log's learning rate peaks at 5e-05 (step 60), 5 times that"
    )
    assert finding.evidence[1].limit == 1e-5


@pytest.mark.parametrize(
    "fields",
    [
        {"config": {"optimizer": {"lr": "1e-5"}}},
        {"config": {"learning_rate": [1e-5]}},
        {"environment": {"command": "python train.py --learning-rate 1e-5"}},
        {"environment": {"command": ["train.py", "optimizer.lr=1e-5"]}},
        {"name": "bert_lr_1e-05_bs32"},
        {"path": "sweep/lr=0.00001/metrics.csv"},
    ],
)
@pytest.mark.parametrize("rate", [5e-5, 2e-6, schedule(5e-5)])
def test_each_source_and_shape(fields, rate):
    (finding,) = ring(logged(rate, **fields))
    assert finding.severity is None
    assert ring(logged(1e-5, **fields)) == []
    assert ring(logged(schedule(1e-5), **fields)) == []


def test_sources_that_contradict_each_other():
    command, config = {"command": "t.py --lr 5e-5"}, {"lr": 1e-5}
    (finding,) = ring(logged(5e-5, config=config, environment=command))
    assert finding.severity == "note", "an override is what a command line is for"
    assert "lr = 5e-5 (command line) agrees with the log" in finding.message
    (finding,) = ring(logged(1e-5, config=config, environment=command))
    assert finding.severity is None, "the flag did not arrive"
    assert finding.evidence[0].source == "environment:command"


@pytest.mark.parametrize(
    ("config", "rate"),
    [
        ({"lr": 1e-4, "world_size": 8}, 8e-4),
        ({"lr": 1e-4, "num_gpus": 2, "gradient_accumulation_steps": 4}, 8e-4),
        ({"lr": 1e-3, "batch_size": 64, "world_size": 8}, 2e-3),
        ({"lr": 1e-4, "devices": 4}, 2e-4),
        ({"blr": 1.5e-4, "batch_size": 64}, 9e-4),
        ({"lr": 0.02, "auto_scale_lr": {"enable": True, "base_lr": 0.02}}, 0.01),
        ({"lr0": 0.01, "optimizer": "auto"}, 0.000714),
        ({"lr": 1.0, "optimizer": "Prodigy"}, 3e-4),
        ({"learning_rate": 2.0, "decay_method": "noam", "scheduler": "noam"}, 1e-3),
        ({"backbone": {"lr": 1e-5}, "head": {"lr": 1e-3}}, 1e-3),
        ({"lr": 1e-3, "min_lr": 1e-6, "lr_decay": 0.1, "warmup_lr": 1e-7, "scheduler": {"lr": 7}}, 1e-3),
        ({"lr": 1e-3, "momentum": 0.9}, 1.2e-3),
        ({"lr": None, "epochs": 3}, 1e-3),
        ({"lr": 1e-3, "auto_lr_find": True}, 0.0145),
        ({"lr": 4e-3, "layer_decay": 0.65}, 2e-5),
        ({"lr": 2.0, "optim": {"sched": {"name": "NoamAnnealing"}}}, 1e-3),
        ({"learning_rate": 2.0, "decay_method": "noam"}, 1e-3),
        ({"lr_adam": 1.0, "noam_annealing": {"model_size": 768}}, 1e-3),
        ({"inner_lr": 0.01, "probe": {"head_lr": 0.1}}, 1e-3),
        ({"base_learning_rate": 4.5e-06, "batch_size": 12, "gpus": "0,1,2,3,"}, 4.5e-06 * 48),
        ({"lr": 1e-3, "gpus": [0, 1]}, 2e-3),
        ({"lr": 1e-3, "devices": "0,1,2"}, 3e-3),
        ({"lr": 0.02, "auto_scale_lr": {"enable": False, "base_batch_size": 16}}, 0.02),
        ({"lr": 3e-4}, schedule(1.0)),
    ],
)
def test_scaled_chosen_elsewhere_or_near(config, rate):
    assert ring(logged(rate, config=config)) == []


def test_a_power_of_two_without_a_number_of_devices_is_a_note():
    assert ring(logged(8e-4, config={"lr": 1e-4}))[0].severity == "note"
    assert ring(logged(2e-4, config={"lr": 1e-4}))[0].severity is None
    assert ring(logged(8e-4, config={"lr": 1e-4, "num_gpus": 2}))[0].severity is None


def test_any_parameter_group_may_agree():
    run = logged(1e-5, config={"lr": 1e-3})
    assert ring(run)
    assert ring(replace(run, series={**run.series, "lr/1": Series.of("lr/1", np.full(5, 1e-3))})) == []


def test_what_a_part_of_a_schedule_cannot_tell():
    config = {"lr": 1e-3}
    assert ring(logged(schedule(1e-3, warm=900, step=AT[:8]), config=config)) == [], "inside the warm-up"
    assert ring(logged(schedule(1e-3, step=AT[10:]), config=config)) == [], "begins late"
    few = np.array([400, 700, 900])
    assert ring(logged(schedule(1e-3, warm=1, step=few), config=config)) == [], "the peak lies before the first record"
    assert ring(logged(schedule(5e-3, warm=900, step=AT[:8]), config=config)), "above what was declared all the same"


def test_epochs_that_the_log_counts_to():
    def run(counted, **config):
        losses = {"train/loss": Series.of("train/loss", [2.0, 1.0], epoch=[1, 2])}
        return Run.of(series=losses, config=config, environment={"planned": {"epochs": counted}})

    (finding,) = ring(run(100, epochs=300))
    assert "epochs = 300 (config) is declared, but the log counts to 100 epochs" in finding.message
    assert ring(run(100, epochs=100)) == []
    assert ring(run(24, num_epochs=25)) == [], "counted from 0"
    assert ring(run(100, pretrain={"epochs": 300}, train={"epochs": 100})) == []


@pytest.mark.parametrize(
    "config",
    [
        {"num_train_epochs": 3.0, "max_steps": 500},
        {"epochs": 300, "time": 2.5},
        {"epochs": 40, "fine_tune_epochs": 60},
        {"initial_epochs": 100, "epochs": 10},
    ],
)
def test_epochs_that_another_limit_or_stage_decides(config):
    losses = {"train/loss": Series.of("train/loss", [2.0, 1.0], epoch=[1, 2])}
    assert ring(Run.of(series=losses, config=config, environment={"planned": {"epochs": 100}})) == []
    alone = {"epochs": 7, "time": None, "max_steps": -1, "warmup_steps": 50}
    assert ring(Run.of(series=losses, config=alone, environment={"planned": {"epochs": 100}}))


def test_a_fall_that_begins_within_the_warm_up_hides_the_peak():
    config = {"lr0": 0.01}
    epochs = np.array([1, 2, 3])
    assert ring(logged(Series.of("lr/0", [0.0033, 0.0045, 0.0034], step=epochs), config=config)) == []
    assert ring(logged(Series.of("lr/0", [0.0003, 0.0005, 0.0003], step=epochs), config=config)), "twenty times less"


@pytest.mark.parametrize("more", [{"resume": "last.pt"}, {"resume_from_checkpoint": True}, {"start_epoch": 60}])
def test_a_resumed_log_may_show_the_end_of_a_schedule(more):
    assert ring(logged(1e-3, config={"lr": 0.1, **more})) == []
    assert ring(logged(1.0001, config={"lr": 0.1, **more})), "but no higher rate"
    off = dict.fromkeys(more, False)
    assert ring(logged(1e-3, config={"lr": 0.1, **off}))


def test_a_warm_up_to_a_plateau_has_shown_its_peak():
    plateau = Series.of("lr/0", 2e-4 * np.minimum(AT / 300, 1), step=AT)
    assert ring(logged(plateau, config={"lr": 1e-3}))
    assert ring(logged(plateau, config={"lr": 2e-4})) == []


def test_a_constant_rate_late_in_a_schedule():
    late = Series.of("lr/0", np.full(9, 1e-3), step=np.arange(5000, 5900, 100))
    assert ring(logged(late, config={"lr": 0.1})) == []


def test_a_base_rate_is_there_to_be_scaled():
    assert ring(logged(1e-3, config={"base_lr": 1e-4}))[0].severity == "note"


def test_nothing_to_compare_is_not_checked():
    for run in (Run.of(config={"lr": 1e-3}), logged(1e-3), Run.of(config={"lr": 1e-3}, series={"lr/0": [1e-3]})):
        (outcome,) = declared_not_applied.check(run)
        assert isinstance(outcome, NotChecked)
    assert ring(logged(0.0, config={"lr": 1e-5})) == []


@pytest.mark.parametrize("name", ["classification", "warm-restarts", "foreign-log"])
def test_silent_on_healthy_runs(name):
    assert ring(healthy.build(name, 2)) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 900), st.integers(3, 40), st.sampled_from([1e-5, 3e-4, 0.1]), st.booleans())
def test_law_a_declared_peak_never_rings_whatever_is_logged_of_the_schedule(warm, records, peak, cosine):
    step = np.unique(np.linspace(1000 / records, 1000, records).round().astype(int))
    left = np.clip((1000 - step) / (1000 - warm), 0, 1)
    fall = (1 - np.cos(np.pi * left)) / 2 if cosine else left
    rate = Series.of("lr/0", peak * np.where(step < warm, step / warm, fall), step=step)
    assert ring(logged(rate, config={"lr": peak})) == []

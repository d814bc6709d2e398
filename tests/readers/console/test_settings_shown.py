"""Configurations that a log shows are those of its runs, and no quantities."""

from __future__ import annotations

import pytest

from readers.console.reading import run, runs

STEPS = "epoch 1 train_loss 0.5 lr 0.1\nepoch 2 train_loss 0.25 lr 0.1\n"


@pytest.mark.parametrize(
    "shown",
    [
        "Namespace(lr=0.1, epochs=2, name='a, (b)', gpus=[0, 1])",
        "2021-01-02 10:00:00,000 | INFO | train | Namespace(lr=0.1, epochs=2, name='a, (b)', gpus=[0, 1])",
        "2021-01-02 10:00:00,000 - trainer - INFO - config: {'lr': 0.1, 'epochs': 2, 'name': 'a, (b)', 'gpus': [0, 1]}",
        "Namespace(lr=0.1,\n          epochs=2,\n          name='a, (b)',\n          gpus=[0, 1])",
        "args: {\n  'lr': 0.1,\n  'epochs': 2,\n  'name': 'a, (b)',\n  'gpus': [0, 1]\n}",
        "{'lr': 0.1, 'epochs': 2, 'name': 'a, (b)', 'gpus': [0, 1], 'batch_size': 8}",
        "engine/trainer: lr=0.1, epochs=2, momentum=0.9, name='a (b)', gpus=[0, 1]",
    ],
)
def test_printed_at_once_or_over_lines(shown):
    found = run(f"{shown}\n{STEPS}")
    assert found.config["lr"] == 0.1
    assert found.config["epochs"] == 2
    assert found.config["gpus"] == [0, 1]
    assert set(found.series) == {"train/loss", "lr/0"}
    assert len(found.series["train/loss"]) == 2


def test_a_bracket_that_never_closes_takes_no_lines():
    found = run(f"config: {{'lr': 0.1,\n{STEPS}")
    assert len(found.series["train/loss"]) == 2


def test_lines_of_settings_that_stand_together():
    lines = "batch_size: 64\noptimizer: adam\n| hidden | 32 |\nepochs: 9\nlr: 0.1\n"
    found = run(f"loading: data\n{'x' * 40}\n\n\n{lines}{STEPS}")
    assert found.config["optimizer"] == "adam"
    assert found.environment["planned"]["epochs"] == 9
    assert "loading" not in found.config


def test_several_settings_a_line():
    found = run(f"model_params:17059912\nworld_size:8 accumulation:1\nheads:8 kv_heads:4\nseed:1337\n{STEPS}")
    assert found.config["kv_heads"] == "4"
    assert not found.config_typed


def test_each_launch_has_its_own():
    found = runs(f"Namespace(lr=0.1, epochs=2)\n{STEPS}Namespace(lr=0.01, epochs=2)\n{STEPS}")
    assert [one.config["lr"] for one in found] == [0.1, 0.01]


def test_what_follows_a_failure_is_no_configuration():
    text = "a.b.errors.ChildFailedError: \n time : 1\n host : x\n rank : 0\n exitcode : 2\n error_file: <N/A>\n"
    assert run(text).config == {}


def test_overrides_of_hydra():
    found = run(
        "Error executing job with overrides: ['data=/x', '+model.depth=3', 'lr=0.1']\nError locating target 'a.b'"
    )
    assert found.config == {"data": "/x", "model.depth": "3", "lr": "0.1"}
    assert found.exit == "failed"

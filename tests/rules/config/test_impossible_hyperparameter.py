"""CFG002 impossible-hyperparameter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import healthy
from tocsin.findings import Finding
from tocsin.rules.config.impossible_hyperparameter import impossible_hyperparameter
from tocsin.run import Event, Run, Series


def ring(run: Run, **options) -> list[Finding]:
    found = [f for f in impossible_hyperparameter.check(run, **options) if isinstance(f, Finding)]
    return [impossible_hyperparameter.ring(run, f) for f in found]


def of(**config) -> list[tuple[str, str]]:
    return [(f.subject, f.severity) for f in ring(Run.of(config=config))]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("adam_beta2", -0.6),
        ("adam_beta2", "-0.6"),
        ("beta_2", -0.6),
        ("betas", [0.9, 1.0]),
        ("betas", "(0.9, -0.6)"),
        ("adamBeta1", 1.5),
        ("lr", -3e-4),
        ("learning_rate", float("nan")),
        ("lr0", -0.01),
        ("eps", -1e-8),
        ("momentum", 9.0),
        ("weight_decay", -0.01),
        ("dropout", 1.5),
        ("hidden_dropout_prob", -0.1),
        ("attn_pdrop", 2),
        ("drop_path_rate", 1.1),
        ("label_smoothing", 1.2),
        ("warmup_ratio", 1.5),
        ("warmup_steps", -100),
        ("per_device_train_batch_size", 0),
        ("num_train_epochs", -3),
        ("gradient_accumulation_steps", -4),
        ("temperature", -0.5),
        ("val_ratio", -0.2),
        ("mlm_probability", 15),
    ],
)
def test_outside_its_domain(key, value):
    ((subject, severity),) = of(optimizer={key: value})
    assert (subject, severity) == (f"optimizer.{key}", "error")


@pytest.mark.parametrize(
    "config",
    [
        {"lr": 3e-4, "betas": [0.9, 0.999], "eps": 1e-8, "momentum": 1.0, "weight_decay": 0, "dropout": 0.0},
        {"epochs": -1, "max_steps": -1, "max_grad_norm": 0, "gradient_clip_val": -1, "patience": 0, "num_workers": 0},
        {"lr": None, "batch_size": "auto", "warmup_steps": 0, "eval_batch_size": 0, "dropout": False},
        {"beta1": 4.0, "loss": {"beta_2": 10}, "beta_start": 1e-4, "beta_end": 2e-2, "ema_decay": 0.9999},
        {"diffusion": {"betas": [1e-4, 1.0]}, "eps": [1e-30, 1e-3], "test_size": 1000, "val_ratio": 20},
        {"num_dropout_layers": 3, "warmup_epochs": 5, "epochs": 5, "batch": 0.6, "lr_decay": -1, "step_size": -2},
        {"optimizer": {"groups": {"lr": 0}}, "backbone": {"lr": 0.0}, "min_lr": 0, "lr_scale": -1, "temperature": 0},
        {"warmup_ratio": 0.001, "warmup_iters": 500, "total_epochs": 12, "step": [8, 11]},
        {"mask_ratio": 4, "mc_dropout": 20, "multisample_dropout": 5, "frame_drop_rate": 2, "n_dropout": 3},
        {"beta1": -2.1, "betas": [1, 2, 4], "temperature": -20, "batch_size": 0, "momentum": -1, "eps": -1},
        {"weather": {"temperature": [-5.5, 20.0]}, "loss": {"betas": [1.0, 0.5]}, "ema_rate": 10},
    ],
)
def test_what_is_possible_off_or_another_thing(config):
    assert of(**config) == []


@pytest.mark.parametrize(
    "command", ["python t.py --adam_beta2=-0.6", "python t.py --adam_beta2 -0.6", ["t.py", "adam_beta2=-0.6"]]
)
def test_on_the_command_line(command):
    run = Run.of(environment={"command": command}, series={"lr/0": [1e-3]})
    (finding,) = ring(run)
    assert finding.evidence[0].source == "environment:command"
    assert finding.message.startswith(
        "adam_beta2 = -0.6 (command line): -0.6 is no possible beta, which is from 0 to below"
    )


def test_said_in_the_log_and_refused_by_the_optimizer():
    said = Event("message", "Adam (\nParameter Group 0\n    betas: (0.9, -0.6)\n    eps: 1e-08\n    lr: 0.001\n)")
    (finding,) = ring(Run.of(events=(said,)))
    assert finding.evidence[0].source == "event:message"
    (finding,) = ring(Run.of(events=(Event("exception", "ValueError: Invalid beta parameter at index 1: -0.6"),)))
    assert "beta parameter at index 1 = -0.6 was refused" in finding.message
    assert ring(Run.of(events=(Event("message", "epoch: 3, loss: -1.5, lr: 0.0"),))) == []


def test_a_warm_up_longer_than_the_run():
    assert of(warmup_steps=2000, max_steps=1000) == [("warmup_steps", "warning")]
    assert of(warmup_epochs=10, epochs=5) == [("warmup_epochs", "warning")]
    planned = Run.of(config={"warmup_steps": 2000}, environment={"planned": {"steps": 1000}})
    assert [f.subject for f in ring(planned)] == ["warmup_steps"]
    longer = replace(planned, series={"train/loss": Series.of("train/loss", [1.0], step=[2500])})
    assert ring(longer) == [], "the run went on"
    assert of(warmup_steps=500, epochs=5) == [], "another unit"
    assert of(warmup_steps=10000, max_iters=10, num_steps_per_iter=10000) == [], "iterations of many steps"
    assert of(warmup_steps=5000, n_steps=128, num_steps=20) == [], "a rollout, a sampler"
    assert of(warmup_steps=1000, max_steps=500, gradient_accumulation_steps=8) == [], "may be counted in batches"
    assert of(warmup_epochs=3.0, epochs=1) == [("warmup_epochs", "note")], "a trial under a default"
    assert of(warmup_iters=2000, max_iters=1000) == [("warmup_iters", "warning")]


def test_the_logs_own_learning_rates():
    def logged(values, **more):
        return ring(Run.of(series={"lr/0": values, **more}))

    (finding,) = logged(np.linspace(1e-3, -2e-4, 20))
    assert (finding.severity, finding.step) == ("error", 17)
    assert logged([1e-3, 5e-4, -1e-12]) == [], "rounding at the end of a cosine"
    (finding,) = logged([1e-3, np.nan, np.nan, np.nan])
    assert finding.step == 2
    (finding,) = logged(np.zeros(9))
    assert finding.severity == "warning"
    assert logged(np.zeros(9), **{"train/loss": 1 / np.arange(1.0, 20)}) == [], "rounded: the loss falls"
    assert logged([0.0, 1e-4, 2e-4, 1e-4, 0.0]) == []


def test_names_of_folders_abbreviate():
    assert ring(Run.of("dropout50_momentum09_lr1e-3", series={"lr/0": [1e-3]})) == []


def test_a_declared_rate_of_zero():
    assert of(lr=0) == [("lr", "warning")]
    assert of(learning_rate=0, unet_lr=1e-4) == [], "another one is set"
    assert of(lr=0.0, auto_lr_find=True) == [], "one is sought"
    assert of(lr=0, min_lr=1e-6, weight_decay=0.1) == [("lr", "warning")]
    assert ring(Run.of(config={"lr": 0}, series={"lr/0": [1e-3]})) == []


@pytest.mark.parametrize("name", ["classification", "foreign-log", "warm-restarts", "interrupted-early"])
def test_silent_on_healthy_runs(name):
    assert ring(healthy.build(name, 1)) == []


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=12,
    )
)
def test_law_any_configuration_is_read(value):
    found = ring(Run.of(config={"lr": value, "betas": value, "x": value}))
    assert all(f.message and f.evidence for f in found)

"""CFG001 number-as-string."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.findings import NotChecked
from tocsin.rules.config.number_as_string import _reason, _spelling, number_as_string
from tocsin.run import Event, Run, Series

QUOTED = "it was quoted"
# The traceback of report 004, its paths shortened: the string was eps, not the learning rate.
TRACEBACK = """Traceback (most recent call last):
  File "enhanced_train.py", line 611, in main
    optimizer = optim.AdamW(model.parameters(), lr=config['learning_rate'], eps=config['eps'])
  File "torch/optim/adamw.py", line 56, in __init__
    if not 0.0 <= eps:
TypeError: '<=' not supported between instances of 'float' and 'str'"""


def ring(config, **fields):
    return [number_as_string.ring(Run("r"), f) for f in number_as_string.check(Run.of("r", config=config, **fields))]


def test_yaml_1_1_makes_text_of_an_exponent_without_dot():
    findings = ring(yaml.safe_load("optimizer: {lr: 0.001, eps: 1e-8, betas: [0.9, 0.999]}"))
    assert [(f.subject, f.severity, f.step) for f in findings] == [("optimizer.eps", "warning", 0)]
    assert findings[0].message == (
        'optimizer.eps is the text "1e-8", not a number: '
        "YAML 1.1 takes it for text, its mantissa has no dot (write 1.0e-08)"
    )
    assert findings[0].remedies[0].patch == {"optimizer.eps": 1e-8}
    assert findings[0].evidence[0].source == "config:optimizer.eps"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("lr", "5e-5"),
        ("learning_rate", "1.0e5"),
        ("weightDecay", "0.1"),
        ("warmup_steps", "1_000"),
        ("dropout", "1e-3 "),
    ],
)
def test_spellings_that_ring(key, text):
    (finding,) = ring({"train": {key: text}})
    assert finding.subject == f"train.{key}"
    assert finding.remedies[0].patch == {f"train.{key}": float(text)}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("5e5", "its mantissa has no dot and its exponent has no sign (write 500000.0)"),
        ("1.0e5", "its exponent has no sign"),
        ("-.5", "no digit stands before its dot"),
        ("089", "it has a leading zero (write 89)"),
        ("0.1", "it was quoted, or came from a command line or an environment variable"),
    ],
)
def test_the_reason_is_the_parsers(text, why):
    assert why in ring({"lr": text})[0].message


def test_infinity_is_given_as_text_unless_the_run_died_of_it():
    assert ring({"magnitude_std": "inf"}) == []
    died = {"events": (Event("exception", "TypeError: must be real number, not str"),), "exit": "failed"}
    assert "(write .inf)" in ring({"magnitude_std": "inf"}, **died)[0].message


def test_a_foreign_run_that_trained_may_have_a_program_that_converts():
    fields = {"source": "csv", "series": {"train/loss": Series.of("train/loss", [2.0, 1.0])}}
    (finding,) = ring({"lr": "1e-4"}, **fields)
    assert finding.severity == "note"
    assert "its program may turn it into a number" in finding.message
    (finding,) = ring({"lr": "1e-4"}, events=(Event("exception", TRACEBACK),), exit="failed", **fields)
    assert finding.severity == "error"
    assert ring({"lr": "1e-4"}, source="csv")[0].severity == "warning", "it never trained"


def test_lists_and_containers_of_weights_are_read_too():
    findings = ring({"adam": {"betas": ["0.9", 0.999]}, "loss_weights": {"signal": "1e-1"}, "groups": [{"lr": "1e-3"}]})
    assert [f.subject for f in findings] == ["adam.betas.0", "loss_weights.signal", "groups.0.lr"]


@pytest.mark.parametrize(
    "config",
    [
        {"lr": 1e-3, "batch_size": 32, "steps": "auto", "clip": None, "dropout": True},
        {
            "model_version": "1.0",
            "run_id": "123",
            "seed": "42",
            "date": "2024",
            "weights_path": "1e5",
            "norm_type": "2",
        },
        {"precision": "16", "devices": "1", "name": "7", "lr_schedule": "cosine", "size": "7b", "epochs": "10%"},
        {"env": {"BATCH_SIZE": "32"}, "tags": {"lr": "1e-3"}},
        {"lr": "1e-3" + "0" * 100, "eps": "", "alpha": "e5", "beta": "."},
    ],
)
def test_silent_on_text_that_may_be_text(config):
    assert ring(config) == []


def test_a_source_without_types_is_not_checked():
    (outcome,) = number_as_string.check(Run.of(config={"lr": "1e-3"}, config_typed=False, source="mlflow"))
    assert isinstance(outcome, NotChecked)
    assert "mlflow" in outcome.reason


def test_report_004_names_eps_and_not_the_learning_rate():
    events = (Event("exception", TRACEBACK),)
    config = yaml.safe_load("{learning_rate: 0.0001, optimizer: {eps: 1e-8, weight_decay: 1e-4}}")
    by_key = {f.subject: f for f in ring(config, events=events, exit="failed")}
    assert by_key["optimizer.eps"].severity == "error"
    assert by_key["optimizer.weight_decay"].severity == "warning"
    assert "learning_rate" not in by_key
    assert by_key["optimizer.eps"].message.endswith(
        "; the run died of it (TypeError: '<=' not supported between instances of 'float' and 'str')"
    )
    assert by_key["optimizer.eps"].evidence[1].source == "event:exception"


def test_without_a_key_in_the_traceback_every_text_number_is_suspect():
    events = (Event("exception", "TypeError: can't multiply sequence by non-int of type 'float'"),)
    assert {f.severity for f in ring({"lr": "1e-3", "eps": "1e-8"}, events=events, exit="failed")} == {"error"}


@pytest.mark.parametrize("text", ["ValueError: no such file", "TypeError: 'NoneType' object is not callable"])
def test_another_exception_is_not_joined(text):
    assert [f.severity for f in ring({"lr": "1e-3"}, events=(Event("exception", text),), exit="failed")] == ["warning"]


def test_hostile_nesting_ends():
    config: dict = {}
    config["lr"] = config
    assert ring(config) == []


numbers = st.from_regex(r"[+-]?([0-9]{1,4}(\.[0-9]{0,3})?|\.[0-9]{1,3})([eE][+-]?[0-9]{1,2})?", fullmatch=True)


@settings(max_examples=200, deadline=None)
@given(numbers)
def test_the_reason_agrees_with_pyyaml(text):
    is_number = isinstance(yaml.safe_load(text), int | float)
    assert _reason(text).startswith(QUOTED) == is_number


@settings(max_examples=100, deadline=None)
@given(st.floats(allow_nan=False) | st.integers(-(10**9), 10**9))
def test_the_spelling_offered_is_a_number_of_the_same_value(value):
    assert yaml.safe_load(_spelling(repr(value))) == value


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["lr", "eps", "batch_size", "momentum"]), st.floats(1e-12, 1e12))
def test_a_number_rings_exactly_when_it_is_text(key, value):
    assert ring({"a": {key: value}}) == []
    assert [f.subject for f in ring({"a": {key: repr(value)}})] == [f"a.{key}"]


def test_numpy_numbers_are_numbers():
    assert ring({"lr": np.float64(1e-3), "betas": (0.9, np.float32(0.99))}) == []

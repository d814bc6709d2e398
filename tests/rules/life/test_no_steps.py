"""RUN002 no-steps."""

from __future__ import annotations

import pytest

from corpus.log_faults_ending import MISSING
from tocsin.findings import NotChecked
from tocsin.rules.life.no_steps import no_steps
from tocsin.run import Event, Run, Series

CONFIG = {"lr": 0.02}


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        ({"exit": "finished"}, "note"),
        ({"exit": "finished", "config": {"job": "upload"}}, "note"),
        ({"exit": "finished", "config": CONFIG}, None),
        ({"config": CONFIG}, "warning"),
        ({"environment": {"command": "python train.py"}}, "warning"),
        ({"events": (Event("launch", "python train.py"),)}, "warning"),
        ({"environment": {"planned": {"steps": 50}}, "source": "hf-trainer"}, "warning"),
    ],
)
def test_it_rings(fields, severity):
    (finding,) = no_steps.check(Run.of(**fields))
    assert finding.severity == severity
    assert "0 values" in finding.message


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"config": {"version": 3}},
        {"environment": {"planned": {"steps": 50}}, "source": "console"},
        {"environment": {"command": "python tools/test.py --checkpoint x"}},
        {"environment": {"command": "python prepare_train.py"}},
        {"exit": "running", "config": CONFIG},
        {"exit": "failed", "config": CONFIG},
        {"config": CONFIG, "events": (Event("exception", MISSING),)},
    ],
)
def test_what_is_not_its_business(fields):
    (outcome,) = no_steps.check(Run.of(**fields))
    assert isinstance(outcome, NotChecked)


def test_what_a_recorder_notes_before_any_step_is_no_training():
    series = {n: Series.of(n, [0.1], step=[0]) for n in ("lr/0", "watch/cost_frac", "param/norm")}
    (finding,) = no_steps.check(Run.of(config=CONFIG, exit="finished", series=series))
    assert finding.severity is None


def test_silent_on_one_value_and_on_an_evaluation_only():
    assert list(no_steps.check(Run.of(config=CONFIG, exit="finished", series={"train/loss": [2.0]}))) == []
    only = {"test/accuracy": Series.of("test/accuracy", [0.9], step=[0])}
    assert list(no_steps.check(Run.of(config=CONFIG, exit="finished", series=only))) == []

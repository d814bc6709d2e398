"""RUN003 killed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from corpus.log_faults_ending import MISSING, OUT_OF_MEMORY
from tocsin.findings import NotChecked
from tocsin.rules.life.killed import killed
from tocsin.run import Event, Run, Series

LOSS = {"train/loss": Series.of("train/loss", 1 / np.arange(1, 41), epoch=np.arange(1, 41) / 10)}
SLURM = "slurmstepd: error: *** JOB 7 ON g CANCELLED AT 2024-01-01T00:00:00 DUE TO TIME LIMIT ***"


def outcomes(*events: Event, planned=None, **fields) -> list:
    environment = {"planned": planned} if planned else {}
    return list(killed.check(Run.of(**{"series": LOSS, "events": events, "environment": environment, **fields})))


@pytest.mark.parametrize(
    ("events", "fields", "severity", "said"),
    [
        ((Event("exception", OUT_OF_MEMORY, 40),), {"planned": {"epochs": 12}}, None, "after 4 of 12 epochs (step 40)"),
        ((Event("exception", MISSING, 40),), {"exit": "failed"}, None, "at step 40 the run was ended by FileNotFound"),
        ((Event("exit", SLURM, 40),), {"exit": "killed"}, None, "DUE TO TIME LIMIT"),
        ((), {"exit": "killed"}, None, "without an exit record"),
        ((), {"exit": "failed"}, None, "the run failed"),
        ((Event("truncated", "torn at byte 90", 40),), {}, None, "breaks off"),
        ((Event("truncated", "torn", 40),), {"planned": {"steps": 40}}, "note", "all that was planned"),
        ((Event("early-stop", "patience"),), {"exit": "killed"}, "note", "without an exit record"),
        ((), {"exit": "interrupted"}, "note", "interrupted"),
        ((Event("exception", "KeyboardInterrupt", 40),), {"exit": "failed"}, "note", "interrupted by hand"),
        ((), {"planned": {"steps": 400}}, "note", "40 of 400 steps"),
    ],
)
def test_how_it_ended(events, fields, severity, said):
    (finding,) = outcomes(*events, **fields)
    assert finding.severity == severity
    assert said in finding.message
    assert finding.step == 40


@pytest.mark.parametrize(
    ("events", "fields"),
    [
        ((), {"exit": "finished"}),
        ((Event("truncated", "torn"),), {"exit": "finished"}),
        ((Event("exception", MISSING, 10),), {"planned": {"steps": 40}}),
        ((Event("early-stop", "patience"),), {"planned": {"steps": 400}}),
        ((), {"planned": {"steps": 41}}),
        ((), {"planned": {"steps": 400}, "exit": "running"}),
    ],
)
def test_silent_on_an_end_by_design(events, fields):
    assert outcomes(*events, **fields) == []


def test_without_a_word_on_end_or_plan_it_is_not_checked():
    assert isinstance(outcomes()[0], NotChecked)
    assert isinstance(outcomes(exit="killed", series={})[0], NotChecked)


def test_the_word_of_a_scheduler_in_the_middle_of_the_output():
    said = Event("message", "slurmstepd: error: *** JOB 18 ON n1 CANCELLED AT 2022-06-10T17:11:35 ***", 93)
    run = Run.of(series={"train/loss": Series.of("", [3.0, 2.9, 2.8, 2.7], step=[89, 91, 93, 95])}, events=(said,))
    (finding,) = killed.check(run)
    assert finding.severity is None
    assert "CANCELLED" in finding.message


@pytest.mark.parametrize(
    ("source", "planned", "severity"),
    [("notebook", 5, "note"), ("notebook", None, "note"), ("notebook", 9, None), ("console", 5, None)],
)
def test_the_exception_of_another_cell_beside_a_complete_training(source, planned, severity):
    said = Event("exception", "NameError: name 'x_train' is not defined", 5)
    plan = {"planned": {"steps": planned}} if planned else {}
    run = Run.of(series={"train/loss": [3, 2, 1, 0.5, 0.4]}, events=(said,), environment=plan, exit="failed")
    (finding,) = killed.check(replace(run, source=source))
    assert finding.severity == severity

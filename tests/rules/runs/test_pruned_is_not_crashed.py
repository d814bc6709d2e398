"""CMP007 pruned-is-not-crashed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tocsin
from rules.runs.studies import findings, grid, outcomes, unlike
from tocsin.findings import NotChecked
from tocsin.rules.runs.pruned_is_not_crashed import pruned_is_not_crashed as rule
from tocsin.run import Event, Run

SAID = Event("exception", "optuna.exceptions.TrialPruned: Trial was pruned at epoch 3.", data={"type": "TrialPruned"})
CRASH = Event("exception", "ValueError: loss is nan", data={"type": "ValueError"})


def trial(k: int, said: Event | None = None, ended: str = "finished", **config) -> Run:
    return Run.of(f"t{k}", events=(said,) if said else (), config={"study": "s", **config}, exit=ended)


def test_pruned_trials_counted_as_failures():
    runs = [*(trial(k, SAID, "failed") for k in range(14)), *(trial(k, CRASH, "failed") for k in range(14, 19))]
    (finding,) = findings(rule, *runs, trial(19))
    assert finding.message == (
        "14 of 20 runs (t0, t1, t2, t3, ...) were ended by a pruner and are recorded as failed: 5 of 20 crashed "
        "(25% [11%, 47%]), not 19"
    )
    assert finding.evidence[0].source == "event:exception"


@pytest.mark.parametrize(
    "text", ["TrialPruned", "stopped by hyperband at iteration 10", "Killed by ASHA", "was pruned"]
)
def test_the_searches_own_words(text):
    assert findings(rule, *(trial(k, Event("console", text), "killed") for k in range(3)))


def test_a_state_tells_as_well():
    runs = [replace(trial(k, ended="killed"), environment={"state": "PRUNED"}) for k in range(2)]
    (finding,) = findings(rule, *runs)
    assert finding.evidence[0].source == "environment:state"
    assert findings(rule, *(trial(k, ended="failed", state="pruned") for k in range(2)))


def test_silent_beside_it():
    assert outcomes(rule, *(trial(k, SAID) for k in range(4))) == []  # recorded as what they are
    assert outcomes(rule, trial(0, SAID, "failed"), trial(1)) == []
    said = Event("config", "channels pruned to 50 %: model was slimmed")
    (outcome,) = outcomes(rule, trial(0, said, "failed"), trial(1, CRASH, "failed"))  # pruned weights are no trials
    assert isinstance(outcome, NotChecked)
    assert findings(rule, *unlike(), *grid()) == []


def test_in_a_report():
    report = tocsin.check([trial(k, SAID, "failed") for k in range(3)], select=["CMP007"])
    assert [f.code for f in report.roots] == ["CMP007"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8))
def test_law_pruned_and_crashed_add_up(pruned, crashed, fine):
    told = [SAID] * pruned + [CRASH] * crashed + [None] * fine
    runs = [trial(k, said, "failed" if said else "finished") for k, said in enumerate(told)]
    found = findings(rule, *runs)
    assert bool(found) == (pruned >= 2)
    assert all(f": {crashed} of {len(runs)} crashed" in f.message or crashed == len(runs) for f in found)

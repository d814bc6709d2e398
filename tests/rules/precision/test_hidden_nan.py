"""AMP004 hidden-nan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tocsin
from corpus import faulty
from tocsin.findings import Finding
from tocsin.rules.precision.hidden_nan import hidden_nan
from tocsin.run import Run, Series


def ring(run: Run) -> list[Finding]:
    return [hidden_nan.ring(run, f) for f in hidden_nan.check(run) if isinstance(f, Finding)]


def hidden(first: int = 3, n: int = 30, until: int | None = None, bad: float = np.nan) -> Run:
    loss, norm = np.linspace(2, 1, n), np.full(n, 1.5)
    loss[first:until], norm[first:until] = 0.0, bad
    at = 10 * np.arange(1, n + 1)
    series = {"train/loss": Series.of("", loss, step=at), "grad/norm": Series.of("", norm, step=at)}
    return Run.of(series=series, exit="finished")


@pytest.mark.parametrize(("bad", "word"), [(np.nan, "NaN"), (np.inf, "infinite")])
def test_the_pair_of_the_trainer(bad, word):
    (finding,) = ring(hidden(bad=bad))
    assert (finding.severity, finding.step) == ("error", 40)
    assert finding.message == (
        f"train/loss is logged as exactly 0 in the last 27 of 30 points (90 %), while grad/norm is {word} from step 40 "
        "on: it is NaN, and the log hides it; 260 of 300 steps came after it"
    )


def test_it_is_the_root_and_the_bare_nan_its_symptom():
    for seed in range(3):
        report = tocsin.check(faulty.build("zero-instead-of-nan", seed))
        assert [f.code for f in report.roots if f.severity == "error"] == ["AMP004"]
        assert "AMP003" in {f.code for f in report.findings}
    from_the_start = tocsin.check(hidden(first=0))
    assert {f.code for f in from_the_start.roots} == {"AMP004"}


def test_the_evaluation_loss_tells_too():
    run = hidden()
    series = {"train/loss": run.series["train/loss"], "val/loss": Series.of("", [1.9, np.nan], step=[30, 300])}
    (finding,) = ring(replace(run, series=series))
    assert (finding.severity, finding.step) == ("error", 40)
    assert "val/loss is NaN from step 300 on" in finding.message


def test_the_last_two_points_of_a_run_that_is_over_are_enough():
    series = {"train/loss": [0.2051, 0.0, 0.0], "grad/norm": [np.nan] * 3}
    (finding,) = ring(Run.of(series=series))
    assert (finding.severity, finding.step) == ("error", 1)
    (finding,) = ring(Run.of(series=series, exit="running"))
    assert finding.severity == "note"
    (finding,) = ring(Run.of(series={k: v[:2] for k, v in series.items()}))
    assert finding.severity == "note"


def test_one_that_healed_is_a_note():
    (finding,) = ring(hidden(10, until=14))
    assert finding.severity == "note"


def test_a_real_zero_is_silent():
    run = hidden()
    finite = Series.of("grad/norm", np.full(30, 1e-6), step=run.series["grad/norm"].step)
    assert ring(replace(run, series={**run.series, "grad/norm": finite})) == []


def test_skipped_steps_of_a_scaler_are_silent():
    loss, norm = np.linspace(2, 1, 60), np.full(60, 1.5)
    norm[:8] = np.inf
    assert ring(Run.of(series={"train/loss": loss, "grad/norm": norm, "amp/scale": np.full(60, 1024.0)})) == []
    assert ring(Run.of(series={"train/loss": loss, "grad/norm": norm})) == []


def test_a_drop_to_exactly_zero_without_witness_is_a_warning_and_convergence_is_silent():
    (finding,) = ring(Run.of(series={"train/loss": [1.3] * 10 + [0.0] * 10}))
    assert (finding.severity, finding.step) == ("warning", 11)
    down = np.round(1.3 * 0.5 ** np.arange(30), 4)
    assert ring(Run.of(series={"train/loss": down})) == []
    assert ring(Run.of(series={"train/loss": [1.3] * 10 + [0.0] * 4})) == []
    assert ring(Run.of(series={"train/loss": [0.0] * 20})) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 26), st.integers(27, 200))
def test_law_it_rings_where_the_stretch_began(first, n):
    (finding,) = ring(hidden(first, n))
    assert finding.step == 10 * (first + 1)


@pytest.mark.parametrize(
    ("shown", "zeros", "rings"),
    [
        ([0.0328], 99, True),
        ([1.2431, 0.8125, 0.5037], 60, True),
        ([0.0328], 10, False),
        ([0.0008], 99, False),
        ([0.03], 99, False),  # two decimals: 0.004 would be printed as 0.00
        ([1.2431, 0.8125, 0.5037, 0.3316], 25, False),
    ],
)
def test_almost_all_values_exactly_zero(shown, zeros, rings):
    run = Run.of(series={"train/loss": [*shown, *[0.0] * zeros]}, exit="finished")
    assert [f.severity for f in ring(run)] == ["warning"] * rings
    rewarded = {**run.series, "train/reward": np.ones(5)}
    assert ring(replace(run, series=rewarded)) == []

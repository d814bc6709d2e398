"""OPT008 schedule-never-arrives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import linregress

import tocsin
from corpus import faulty
from tocsin.findings import Finding
from tocsin.rules.optimisation.schedule_never_arrives import _rises_in_a_line, schedule_never_arrives
from tocsin.run import Run, Series

STEP = 10 * np.arange(1, 301)
FLAT = 2.3 + 0.02 * np.random.default_rng(0).standard_normal(300)
FALLING = 0.4 + 1.9 * np.exp(-np.arange(300) / 60)
NEAR_ZERO = (
    np.array([4, 5, 7, 8, 9, 9, 10, 0, 0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 10, 0, 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 10]) * 1e-8
)


def ring(run: Run) -> list[Finding]:
    return [schedule_never_arrives.ring(run, f) for f in schedule_never_arrives.check(run) if isinstance(f, Finding)]


def made(rate, loss=FLAT, **fields) -> Run:
    series = {"lr/0": Series.of("", rate, step=STEP), "train/loss": Series.of("", loss, step=STEP)}
    return Run.of(series=series, **{"exit": "finished", "source": "console", **fields})


def test_a_warmup_in_epochs_says_so():
    (finding,) = ring(faulty.build("warmup-in-epochs", 0))
    assert finding.severity == "warning"
    assert "= 4 % of the 0.0003 that config optimizer.lr asks for" in finding.message
    assert "it moved about once an epoch" in finding.message or "warmup_steps = 1000" in finding.message


def test_a_warmup_that_restarts_as_a_public_log_shows():
    at = 32900 + 50 * np.arange(1, NEAR_ZERO.size + 1)
    loss = 4.1 + 0.17 * np.random.default_rng(1).standard_normal(at.size)
    run = Run.of(series={"lr/0": Series.of("", NEAR_ZERO, step=at), "train/loss": Series.of("", loss, step=at)})
    (finding,) = ring(run)
    assert "starts over 2 times, about every 600 steps: it rises to 1e-07" in finding.message


def test_it_explains_what_follows():
    report = tocsin.check(faulty.build("warmup-that-starts-over", 0))
    assert [f.code for f in report.roots if f.severity != "note"] == ["OPT008"]
    assert "GEN002" in {f.code for f in report.findings}


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        ({"config": {"lr": 1e-3}}, "warning"),
        ({"path": Path("runs/lr_0.001/train.log")}, "warning"),
        ({"environment": {"command": "train.py --lr 1e-3"}}, "warning"),
        ({}, "warning"),
        ({"loss": FALLING}, "note"),
        ({"loss": FALLING, "config": {"lr": 1e-3}}, "warning"),
        ({"config": {"lr": 1e-3}, "exit": "interrupted"}, "note"),
        ({"config": {"lr": 1e-3}, "exit": "killed", "environment": {"planned": {"steps": 5000}}}, "warning"),
        ({"config": {"lr": 1e-3}, "exit": "killed", "environment": {"planned": {"steps": 50_000}}}, "note"),
        ({"exit": "unknown"}, "note"),
        ({"exit": "unknown", "environment": {"planned": {"epochs": 40}}}, "warning"),
        ({"exit": "unknown", "environment": {"planned": {"steps": 3000}}}, "warning"),
        ({"exit": "unknown", "environment": {"planned": {"steps": 30_000}}}, "note"),
    ],
)
def test_still_rising_at_the_end(fields, severity):
    (finding,) = ring(made(1e-4 * STEP / STEP[-1], **fields))
    assert finding.severity == severity
    assert "still rising when the run ended" in finding.message


def few(rate, step, loss=(1.096, 1.084, 1.033), plan: int = 30) -> Run:
    series = {"lr/0": Series.of("", rate, step=step), "train/loss": Series.of("", loss[: len(step)], step=step)}
    return Run.of(series=series, environment={"planned": {"steps": plan}}, exit="unknown", source="console")


def test_three_records_on_one_line_through_the_start():
    (finding,) = ring(few([3.6e-6, 7.6e-6, 1.16e-5], [10, 20, 30]))
    assert finding.severity == "warning"
    assert "still rising when the run ended: 3.6e-06 at step 10, 1.16e-05 at step 30" in finding.message
    assert "once an epoch" not in finding.message
    assert [f.severity for f in ring(few([3.6e-6, 7.6e-6, 1.16e-5], [10, 20, 30], plan=3000))] == ["note"]
    assert ring(few([3.6e-6, 7.6e-6, 1.0e-5], [10, 20, 30])) == []  # no line
    assert ring(few([3.6e-6, 7.6e-6, 7.6e-6], [10, 20, 30])) == []  # it arrived
    assert ring(few([5e-6, 1e-5, 1.5e-5], [500, 510, 520], plan=520)) == []  # not from the start
    assert ring(few([3.6e-6, 7.6e-6], [10, 20], plan=20)) == []


def test_another_rate_than_the_one_asked_for():
    (finding,) = ring(made(np.full(300, 1e-5), config={"lr": 1e-3}))
    assert (finding.severity, "1 % of the 0.001" in finding.message) == ("warning", True)
    (finding,) = ring(made(np.full(300, 1e-5), FALLING, config={"lr": 1e-3}))
    assert finding.severity == "note"
    assert ring(made(np.full(300, 1e-5), config={"lr0": 1e-3, "optimizer": "auto"})) == []


def test_next_to_nothing():
    (finding,) = ring(made(np.full(300, 1e-9)))
    assert "never above 1e-09" in finding.message
    assert ring(made(np.full(300, 5e-7))) == []
    assert ring(made(np.full(300, 1e-8), FALLING)) == []
    assert ring(made(np.zeros(300))) == []


PHASE = np.arange(300) % 60 / 60
HEALTHY = {
    "sgdr": 1e-3 * 0.5 * (1 + np.cos(np.pi * PHASE)),
    "triangles": 1e-3 * (0.01 + 1 - np.abs(2 * PHASE - 1)),
    "restarts with warm-up": 1e-3 * np.minimum(PHASE / 0.1, 0.5 * (1 + np.cos(np.pi * PHASE))),
    "warm-up then constant": 1e-3 * np.minimum(1, np.arange(1, 301) / 250),
    "constant": np.full(300, 1e-3),
    "step decay": 1e-3 * 0.1 ** (np.arange(300) // 100),
    "resumed warm-ups": 1e-3 * np.minimum(1, (np.arange(300) % 100 + 1) / 20),
    "range test": np.geomspace(1e-7, 1e-1, 300),
    "linear decay": 1e-3 * np.linspace(1, 0, 300),
    "layer-wise and small": np.full(300, 6e-4),
}


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("config", [{}, {"lr": 1e-3}])
def test_schedules_that_arrive_are_silent(name, config):
    config = {} if name == "range test" else config
    assert ring(made(HEALTHY[name], config=config)) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.3))
def test_a_line_is_what_scipy_calls_a_line(seed, noise):
    y = np.sort(np.linspace(0.01, 1, 60) * np.exp(noise * np.random.default_rng(seed).standard_normal(60)))
    x = np.arange(60)
    line = linregress(x, y).rvalue ** 2
    if abs(line - 0.95) > 1e-6 and y[0] < 0.5 * y[-1] and x[np.argmax(y >= 0.95 * y.max())] >= 0.85 * 59:
        assert _rises_in_a_line(Series.of("lr/0", y, step=x)) == (line > 0.95)


def test_the_unit_of_the_rate_does_not_matter():
    run = made(1e-4 * STEP / STEP[-1], config={"lr": 1e-3})
    scaled = replace(run.series["lr/0"], value=1000 * run.series["lr/0"].value)
    (one,) = ring(run)
    (other,) = ring(replace(run, series={**run.series, "lr/0": scaled}, config={"lr": 1.0}))
    assert (one.step, one.severity) == (other.step, other.severity)

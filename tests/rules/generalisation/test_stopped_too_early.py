"""GEN003 stopped-too-early."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from corpus import faulty, real_curves
from tocsin.findings import Finding, NotChecked
from tocsin.rules.generalisation.stopped_too_early import stopped_too_early
from tocsin.run import Event, Run, Series

EPOCH = np.arange(1, 21)
STOP = Event("early-stop", "early stopping: no improvement of val_f1 for 3 epochs", 20)


def ring(run: Run) -> list[Finding]:
    return [stopped_too_early.ring(run, f) for f in stopped_too_early.check(run) if isinstance(f, Finding)]


def made(tau: float, n: int = 20, **fields) -> Run:
    epoch = np.arange(1, n + 1)
    loss = 0.2 + 2 * np.exp(-epoch / tau)
    return Run.of(
        series={"val/loss": Series.of("", loss, epoch=epoch), "train/loss": loss}, **{"exit": "finished", **fields}
    )


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        ({}, "note"),
        ({"exit": "unknown"}, "note"),
        ({"events": (STOP,)}, "warning"),
        ({"environment": {"planned": {"epochs": 100}}}, "warning"),
        ({"environment": {"planned": {"epochs": 21}}}, "note"),
        ({"environment": {"planned": {"epochs": 100}}, "exit": "unknown"}, "note"),
        ({"exit": "failed"}, None),
        ({"exit": "killed"}, None),
        ({"events": (Event("early-stop", "stopping_early: wallclock_cap train_time: 600021ms"),)}, None),
    ],
)
def test_what_ended_it_makes_the_severity(fields, severity):
    assert [f.severity for f in ring(made(15, **fields))] == ([severity] if severity else [])


def test_the_gain_is_that_of_the_logarithm():
    step = np.arange(1, 41)
    loss = 5 - 0.8 * np.log(step)
    (finding,) = ring(Run.of(series={"val/loss": loss, "train/loss": loss}, exit="finished"))
    assert f"would gain {0.8 * np.log(1.5):.2g} (at least {0.8 * np.log(1.5):.2g})" in finding.message


def test_a_plateau_and_a_rise_are_silent():
    assert ring(made(2, 40, events=(STOP,))) == []
    rising = Series.of("", 1 + 0.01 * EPOCH)
    assert ring(replace(made(15, events=(STOP,)), series={"val/loss": rising, "train/loss": rising})) == []


def test_a_schedule_that_came_to_its_end_is_silent():
    run = made(15, events=(STOP,))
    annealed = Series.of("lr/0", np.linspace(1e-3, 1e-6, 20))
    assert ring(replace(run, series={**run.series, "lr/0": annealed})) == []


def test_the_training_loss_where_nothing_was_evaluated():
    noise = np.exp(0.05 * np.random.default_rng(0).standard_normal(900))
    loss = (0.2 + 2 * np.exp(-np.arange(900) / 600)) * noise
    (finding,) = ring(Run.of(series={"train/loss": loss}, exit="finished"))
    assert (finding.severity, finding.subject) == ("note", "train/loss")
    (outcome,) = stopped_too_early.check(Run.of(series={"train/loss": loss[:10]}))
    assert isinstance(outcome, NotChecked)


def short(held: list[float], **fields) -> Run:
    """240 training losses that fall, few evaluations beside them."""
    step = np.arange(1, 241)
    train = (0.2 + 2 * np.exp(-step / 150)) * np.exp(0.05 * np.random.default_rng(0).standard_normal(240))
    at = np.linspace(40, 240, len(held)).astype(int)
    val = Series.of("", held, step=at, epoch=np.arange(1, len(held) + 1))
    return Run.of(series={"train/loss": train, "val/loss": val}, **{"exit": "finished", **fields})


def test_few_evaluations_leave_it_to_the_training_loss_unless_they_rose():
    (finding,) = ring(short([2.0, 1.5, 1.1, 0.8], config={"training": {"epochs": 20}}))
    assert (finding.severity, finding.step, finding.subject) == ("warning", 0, "train/loss")
    assert finding.message.endswith("it calls itself finished after 4 of 20 planned epochs")
    assert [f.severity for f in ring(short([2.0, 1.5, 1.1, 0.8]))] == ["note"]
    assert ring(short([2.0, 1.5, 1.1, 1.2], config={"epochs": 20})) == []
    assert ring(short([0.8], config={"epochs": 20})) == []


@pytest.mark.parametrize(("waited", "severity"), [(0, "warning"), (4, "warning"), (5, "note")])
def test_a_stop_that_waited_for_a_lower_loss_is_a_note(waited, severity):
    loss = 0.2 + 2 * np.exp(-np.arange(1, 31) / 15)
    loss[29 - waited] = loss[-1] - 0.01
    (finding,) = ring(Run.of(series={"val/loss": loss, "train/loss": loss}, events=(STOP,), exit="finished"))
    assert finding.severity == severity


@pytest.mark.parametrize("config", [{"epochs": 4}, {"a": {"epochs": 20}, "b": {"epochs": 4}}, {"warmup_epochs": 20}])
def test_a_plan_that_was_kept_or_is_not_known_is_no_warning(config):
    assert [f.severity for f in ring(short([2.0, 1.5, 1.1, 0.8], config=config))] == ["note"]


@pytest.mark.parametrize("curve", real_curves.HEALTHY)
def test_no_warning_on_real_healthy_curves(curve):
    assert all(f.severity == "note" for f in ring(real_curves.HEALTHY[curve]()))


def test_noise_alone_seldom_looks_like_a_fall(record_property):
    rung = 0
    for seed in range(200):
        val = 0.5 * np.exp(0.03 * np.random.default_rng(seed).standard_normal(24))
        rung += bool(ring(Run.of(series={"val/loss": val, "train/loss": val}, exit="finished")))
    record_property("figure", f"GEN003: {rung} of 200 flat noisy runs noted")
    assert rung <= 10


def test_it_finds_them_for_many_seeds():
    assert sum(bool(ring(faulty.build("patience-too-short", seed))) for seed in range(20)) == 20

"""GEN002 never-learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import theilslopes

from corpus import faulty
from tocsin.findings import Finding, NotChecked
from tocsin.rules.generalisation.never_learned import never_learned
from tocsin.run import Event, Run, Series


def ring(run: Run) -> list[Finding]:
    return [never_learned.ring(run, f) for f in never_learned.check(run) if isinstance(f, Finding)]


def flat(n: int = 1000, level: float = 2.303, noise: float = 0.02, seed: int = 0, **more) -> Run:
    loss = level * (1 + noise * np.random.default_rng(seed).standard_normal(n))
    return Run.of(series={"train/loss": loss, **more}, exit="finished")


def epochs(values, n: int = 1000) -> Series:
    return Series.of("", values, step=np.linspace(n / len(values), n, len(values)).astype(int))


def test_a_flat_loss_with_its_interval():
    run = flat()
    (finding,) = ring(run)
    assert (finding.severity, finding.step) == ("warning", 1)
    low, high = finding.evidence[1].interval
    loss = run.series["train/loss"]
    plain = theilslopes(loss.value.reshape(200, 5).mean(axis=1), loss.step.reshape(200, 5).mean(axis=1))
    assert low < 0 < high
    assert low <= 999 * plain.low_slope * 0.99  # widened where the residuals are correlated
    assert high >= 999 * plain.high_slope * 0.99


def test_per_epoch_logs_of_eight_and_more():
    (finding,) = ring(Run.of(series={"train/loss": [0.6934, 0.6931, 0.6932, 0.6931, 0.6933, 0.6931, 0.6932, 0.6932]}))
    assert finding.severity == "warning"
    (outcome,) = never_learned.check(Run.of(series={"train/loss": [0.6931] * 5}))
    assert isinstance(outcome, NotChecked)


@pytest.mark.parametrize(
    ("metric", "values", "severity"),
    [
        ("val/accuracy", [0.1, 0.11, 0.1, 0.1], "warning"),
        ("val/accuracy", [10.1, 9.9, 10.0, 10.2], "warning"),
        ("val/accuracy", [0.7, 0.7, 0.71, 0.7], "note"),
        ("val/accuracy", [0.91, 0.91, 0.9, 0.91], None),
        ("val/accuracy", [0.1, 0.2, 0.3, 0.4], None),
        ("val/loss", [2.3, 2.0, 1.7, 1.5], None),
        ("val/loss", [2.3, 2.3, 2.31, 2.3], "warning"),
    ],
)
def test_evaluations_decide(metric, values, severity):
    found = ring(flat(**{metric: epochs(values)}))
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_a_loss_in_large_noise_is_a_note():
    assert all(f.severity == "note" for seed in range(10) for f in ring(flat(noise=0.3, seed=seed)))


@pytest.mark.parametrize(
    "fields", [{"config": {"load_from": "x.pth"}}, {"source": "hf-trainer-state"}, {"name": "qlora-7b"}]
)
def test_a_run_from_a_trained_model_is_a_note(fields):
    assert [f.severity for f in ring(replace(flat(), **fields))] == ["note"]


def test_a_fall_by_next_to_nothing_counts_where_a_metric_says_so():
    epoch = np.arange(1, 16)
    creeping = {"train/loss": 2.3044 - 1e-4 * epoch + 2e-4 * np.sin(3 * epoch)}
    (finding,) = ring(Run.of(series=creeping))
    assert finding.severity == "note"
    assert "it falls, by next to nothing" in finding.message
    assert ring(Run.of(series={"train/loss": 2.3044 - 1e-3 * epoch + 2e-4 * np.sin(3 * epoch)})) == []
    smooth = {"train/loss": 0.7549 - 5e-6 * 10 * epoch, "test/loss": 0.6272 - 4e-5 * epoch}
    assert [f.severity for f in ring(Run.of(series=smooth))] == ["note"]
    (finding,) = ring(Run.of(series={**creeping, "val/accuracy": 0.088 + 0.01 * (epoch % 2)}))
    assert finding.severity == "warning"
    assert finding.evidence[1].interval[1] < 0
    assert ring(Run.of(series={**creeping, "val/accuracy": 0.7 + 0 * epoch})) == []


def test_five_epochs_are_enough_at_a_guess():
    loss = [2.3027, 2.3026, 2.3027, 2.3026, 2.3026, 2.3027]
    (finding,) = ring(Run.of(series={"train/loss": loss, "val/accuracy": [0.1] * 6}))
    assert finding.severity == "warning"
    for series in (
        {"train/loss": loss},
        {"train/loss": loss, "val/accuracy": [0.7] * 6},
        {"train/loss": [2.32, 2.3, 2.31, 2.3, 2.3, 2.29], "val/accuracy": [0.1] * 6},
        {"train/loss": loss[:4], "val/accuracy": [0.1] * 4},
    ):
        assert ring(Run.of(series=series)) == []


def test_losses_that_climb_from_the_first_record_on():
    train, held = [0.7127, 0.7322, 0.7517, 0.7711], [0.7125, 0.7319, 0.7512, 0.7706]
    (finding,) = ring(Run.of(series={"train/logloss": train, "val/logloss": held}))
    assert (finding.severity, finding.step) == ("warning", 1)
    assert finding.message.startswith("train/logloss and val/logloss rise at each of 4 and 4 records, from 0.7127 to")
    assert ring(Run.of(series={"train/loss": train, "val/loss": held}))
    assert ring(Run.of(series={"train/loss": train, "val/loss": held[::-1]})) == []
    assert ring(Run.of(series={"train/loss": train[:3], "val/loss": held[:3]})) == []
    assert ring(Run.of(series={"train/loss": train, "val/loss": [0.71, 0.711, 0.76, 0.77]})) == []
    assert ring(Run.of(series={"train/loss": train, "val/loss": held, "train/reward": held})) == []


def test_noise_seldom_climbs(record_property):
    rng = np.random.default_rng(5)
    rows = np.exp(0.2 * rng.standard_normal((4000, 2, 4)))
    rang = sum(bool(ring(Run.of(series={"train/loss": a, "val/loss": b}))) for a, b in rows)
    record_property("figure", f"GEN002: {rang} of {len(rows)} pairs of 4 noisy losses climb")
    assert rang <= 2


def test_a_trained_model_that_knows_nothing_is_a_warning():
    tuned = replace(flat(**{"val/accuracy": epochs([0.25, 0.24, 0.25, 0.24])}), source="hf-trainer-state")
    assert [f.severity for f in ring(tuned)] == ["warning"]
    knows = replace(flat(**{"val/accuracy": epochs([0.55, 0.54, 0.55, 0.54])}), source="hf-trainer-state")
    assert [f.severity for f in ring(knows)] == ["note"]


def test_a_short_run_with_evaluations_is_judged():
    at = np.arange(2, 265, 2)
    loss = Series.of("", 2.304 + 0.01 * np.random.default_rng(0).standard_normal(at.size), step=at)
    short = Run.of(series={"train/loss": loss})
    (outcome,) = never_learned.check(short)
    assert isinstance(outcome, NotChecked)
    evaluated = Series.of("", [0.088, 0.086, 0.088, 0.073, 0.088], step=[50, 100, 150, 200, 264])
    (finding,) = ring(replace(short, series={**short.series, "val/accuracy": evaluated}))
    assert finding.severity == "warning"


def test_resumed_and_late_records_are_not_checked():
    for run in (replace(flat(), events=(Event("resume", "resuming from step 9000"),)), late()):
        (outcome,) = never_learned.check(run)
        assert isinstance(outcome, NotChecked)


def late() -> Run:
    loss = flat().series["train/loss"]
    return Run.of(series={"train/loss": replace(loss, step=loss.step + 50_000)})


def test_what_fell_at_once_has_learned():
    run = flat()
    loss = run.series["train/loss"].value.copy()
    loss[:20] *= np.linspace(3, 1, 20)
    assert ring(Run.of(series={"train/loss": loss})) == []


def test_a_loss_at_its_floor_is_silent():
    assert ring(flat(level=0.004)) == []


def test_it_finds_them_for_many_seeds(record_property):
    found = sum(bool(ring(faulty.build("at-chance-all-along", seed))) for seed in range(30))
    record_property("figure", f"GEN002: {found} of 30 runs at chance found")
    assert found >= 27


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 0.9))
def test_law_a_fall_by_a_tenth_is_learning(seed, share):
    run = flat(seed=seed)
    loss = run.series["train/loss"].value * np.linspace(1, 1 - max(share, 0.1), 1000)
    assert ring(Run.of(series={"train/loss": loss})) == []

"""GEN004 plateau."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from corpus import faulty, real_curves
from tocsin.findings import Finding, NotChecked
from tocsin.rules.generalisation.plateau import plateau
from tocsin.run import Run, Series

EPOCH = np.arange(1, 61)


def ring(run: Run) -> list[Finding]:
    return [plateau.ring(run, f) for f in plateau.check(run) if isinstance(f, Finding)]


def made(top: float = 0.62, tau: float = 3, noise: float = 0.002, **fields) -> Run:
    f1 = top - 0.5 * np.exp(-EPOCH / tau) + noise * np.random.default_rng(0).standard_normal(60)
    loss = 0.9 + np.exp(-EPOCH / tau) + noise * np.random.default_rng(1).standard_normal(60)
    return Run.of(series={"val/f1": f1, "val/loss": loss, "train/loss": loss}, **{"exit": "finished", **fields})


def test_without_a_ceiling_it_is_a_note_on_the_loss():
    (finding,) = ring(made())
    assert (finding.severity, finding.subject) == ("note", "val/loss")
    assert 3 <= finding.step <= 25


@pytest.mark.parametrize(
    "fields",
    [
        {"config": {"ceilings": {"val/f1": 0.94}}},
        {"config": {"ceiling": 0.94}},
        {"environment": {"ceilings": {"val/f1": 0.94}}},
    ],
)
def test_below_a_known_ceiling_it_is_a_warning(fields):
    (finding,) = ring(made(**fields))
    assert (finding.severity, finding.subject) == ("warning", "val/f1")
    assert "0.32 below the known ceiling 0.94" in finding.message
    assert finding.evidence[0].limit == 0.94


def test_at_its_ceiling_it_is_a_note():
    (finding,) = ring(made(config={"ceilings": {"val/f1": 0.63}}))
    assert finding.severity == "note"


@pytest.mark.parametrize("fields", [{"top": 0.985}, {"tau": 40}, {"noise": 0.2}])
def test_solved_moving_or_noisy_is_silent(fields):
    assert ring(made(**fields)) == []


def test_what_never_moved_is_not_a_plateau():
    still = Series.of("", 2.3 + 0.01 * np.random.default_rng(0).standard_normal(60))
    assert ring(Run.of(series={"train/loss": still, "val/loss": still})) == []


def test_too_few_points_are_not_checked():
    (outcome,) = plateau.check(Run.of(series={"val/loss": np.ones(8), "train/loss": np.ones(8)}))
    assert isinstance(outcome, NotChecked)


@pytest.mark.parametrize("curve", real_curves.HEALTHY)
def test_no_warning_on_real_healthy_curves(curve):
    assert all(f.severity == "note" for f in ring(real_curves.HEALTHY[curve]()))


def test_it_finds_them_for_many_seeds(record_property):
    found = sum(f.severity == "warning" for s in range(30) for f in ring(faulty.build("flat-below-its-ceiling", s)))
    record_property("figure", f"GEN004: {found} of 30 plateaus below a known ceiling found")
    assert found >= 27


def test_the_unit_does_not_matter():
    run = made()
    scaled = {k: replace(s, value=100 * s.value) for k, s in run.series.items()}
    assert [f.step for f in ring(run)] == [f.step for f in ring(replace(run, series=scaled))]

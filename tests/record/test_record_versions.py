"""Records of every schema version that was ever written stay readable; the fixtures are never regenerated."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from record.sample_record import PARAMETERS
from tocsin import record

FIXTURES = Path(__file__).parent / "fixtures"


def test_version_1():
    run = record.read(FIXTURES / "record-1")
    assert (run.name, run.exit, run.unread) == ("fixture", "finished", ())
    assert (run.config, run.environment) == ({"lr": 1e-3}, {"python": "3"})
    loss, norm = run.series["train/loss"], run.series["grad/norm"]
    assert loss.step.tolist() == list(range(1, 36))
    np.testing.assert_array_equal(loss.value, [1 / step for step in range(1, 31)] + [np.inf] * 5)
    np.testing.assert_array_equal(norm.value, [2.0] * 6 + [np.nan] + [2.0] * 23)
    assert loss.epoch.tolist() == [1.0] * 20 + [2.0] * 15
    assert loss.time[[0, 34]].tolist() == [0.1, 103.5]
    assert [(e.key, e.kind, e.n, e.step) for e in run.evaluations] == [
        ("val/main", "classes", 7, 20),
        ("val/snr", "regression", 3, 20),
    ]
    assert [(e.baseline, dict(e.batchwise), e.auc) for e in run.evaluations] == [("", {}, ())] * 2
    assert run.parameters == tuple(PARAMETERS)


def test_every_fixture_is_of_the_version_that_it_says():
    assert [folder.name for folder in record.find(FIXTURES)] == ["record-1"]

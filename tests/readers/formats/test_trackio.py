from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np

from tocsin.readers.file import File
from tocsin.readers.formats.trackio import READER

FIXTURE = Path(__file__).parents[1] / "fixtures" / "trackio" / "proj.db"


def test_a_project():
    assert READER.sniffs(File(FIXTURE))
    logs = {log.name: log for log in READER.read(File(FIXTURE))}
    assert set(logs) == {"one", "two"}
    run = logs["one"].run()
    assert list(run.series) == ["train/loss", "val/acc"]
    loss = run.series["train/loss"]
    assert list(loss.step) == list(range(0, 60, 10))
    assert list(loss.epoch) == [1, 1, 2, 2, 3, 3]
    assert np.isnan(loss.value[-1])
    assert run.series["val/acc"].value[4] == np.inf
    assert run.config == {"lr": 0.1, "opt": {"name": "sgd"}}
    (alert,) = run.events
    assert (alert.kind, alert.step, alert.text) == ("warning", 50, "warn: Loss NaN: at 5")
    assert run.exit == "unknown"
    assert "someone" not in repr((run.config, run.environment))


def test_databases_before_run_ids(tmp_path):
    path = tmp_path / "old.db"
    rows = [("a", i, json.dumps({"loss": 1.0 / (i + 1)})) for i in range(3)] + [
        ("b", 0, "no json"),
        ("b", -1, '{"loss": "2"}'),
    ]
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE metrics(id INTEGER PRIMARY KEY, timestamp TEXT, run_name TEXT, step INTEGER, metrics TEXT)"
        )
        db.executemany(
            "INSERT INTO metrics(timestamp, run_name, step, metrics) VALUES ('2025-01-01T00:00:00', ?, ?, ?)", rows
        )
    db.close()
    a, b = READER.read(File(path))
    assert [a.name, b.name] == ["a", "b"]
    assert list(a.run().series["train/loss"].value) == [1, 0.5, 1 / 3]
    assert b.unread == ["1 of 2 rows hold no JSON object of metrics"]

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.formats import mlflow_files, mlflow_sqlite
from tocsin.readers.log import Log

FIXTURES = Path(__file__).parents[1] / "fixtures" / "mlflow"
RUNS = ["healthy", "broken", "child", "open"]


def of_folder(folder: Path) -> Log:
    file = File(folder / "meta.yaml")
    assert mlflow_files.READER.sniffs(file)
    (log,) = mlflow_files.READER.read(file)
    return log


def of_database(path: Path) -> dict[str, Log]:
    assert mlflow_sqlite.READER.sniffs(File(path))
    return {log.name: log for log in mlflow_sqlite.READER.read(File(path))}


def stored(where: str) -> dict[str, Log]:
    return of_database(FIXTURES / "mlflow.db") if where == "db" else {name: of_folder(FIXTURES / name) for name in RUNS}


@pytest.mark.parametrize("where", ["files", "db"])
def test_both_stores_tell_the_same(where):
    logs = stored(where)
    assert list(map(str, sorted(logs))) == sorted(RUNS)
    run = logs["healthy"].run()
    loss = run.series["train/loss"]
    assert list(loss.step) == list(range(10))
    assert np.allclose(loss.value[:-1], 1 / np.arange(1, 10))
    assert np.isnan(loss.value[-1])
    assert list(run.series["val/acc"].step) == [4, 9]
    assert list(run.series["grad/norm"].value) == [np.inf, -np.inf]
    assert list(run.series["test/f1"].step) == [9]  # logged without a step, after the last
    assert run.config == {"lr": "0.01", "opt/name": "adam", "seed": "1"}
    assert not run.config_typed
    assert run.environment["command"] == "w.py"
    assert 0 < loss.time[-1] < 60
    assert [logs[name].exit for name in RUNS] == ["finished", "failed", "finished", "running"]
    assert logs["child"].environment["parent"]
    open_loss = logs["open"].run().series["train/loss"]
    assert (list(open_loss.step), list(open_loss.value)) == ([1, 2], [1, 0.5])
    assert "someone" not in repr([(log.environment, log.config, log.events, log.name) for log in logs.values()])


def test_deleted_and_parent_runs_are_said(tmp_path):
    gone = of_folder(FIXTURES / "gone")
    assert gone.unread == ["deleted in MLflow: not read"]
    assert not gone.told
    child = of_folder(FIXTURES / "child").environment["parent"]
    shutil.copytree(FIXTURES / "parent", tmp_path / child)
    shutil.copytree(FIXTURES / "child", tmp_path / "other")
    parent = of_folder(tmp_path / child)
    assert not parent.told
    assert parent.unread == ["holds other runs and no metric of its own"]
    said = [sentence for log in of_database(FIXTURES / "mlflow.db").values() for sentence in log.unread]
    assert said == ["1 runs deleted in MLflow were not read"]


def test_experiments_are_no_runs():
    assert not mlflow_files.READER.sniffs(File(FIXTURES / "experiment.yaml"))


def test_claims_metrics_but_not_artifacts():
    log = of_folder(FIXTURES / "healthy")
    assert FIXTURES / "healthy" / "metrics" in log.claims
    assert not any(claim.name in ("artifacts", "healthy") for claim in log.claims)


@pytest.mark.parametrize(
    ("content", "points", "odd"),
    [
        ("1 2.5 0\n2 2.25 1\n", [(0, 2.5), (1, 2.25)], 0),
        ("1 2.5\n2 2.25\n", [(1, 2.5), (2, 2.25)], 0),
        ("1 2.5 0\nrubbish\n\n2 nan", [(1, 2.5), (2, np.nan)], 1),
        ("1 inf 1\n2 -inf 99999999999999999999999\n3 0 nan\n", [(0, -np.inf), (0, 0), (1, np.inf)], 0),
        ("", [], 0),
    ],
)
def test_lines(tmp_path, content, points, odd):
    folder = tmp_path / "run"
    shutil.copytree(FIXTURES / "open", folder)
    (folder / "metrics" / "loss").write_text(content)
    log = of_folder(folder)
    series = log.run().series.get("train/loss")
    read = [] if series is None else list(zip(series.step, series.value, strict=True))
    assert np.array_equal(np.array(read), np.array(points, float), equal_nan=True)
    assert any("lines are not" in said for said in log.unread) == bool(odd)


def test_links_are_not_followed(tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(FIXTURES / "open", folder)
    (tmp_path / "secret").write_text("1 5 1\n")
    (folder / "metrics" / "stolen").symlink_to(tmp_path / "secret")
    (folder / "metrics" / "loop").symlink_to(folder)
    assert set(of_folder(folder).names) == {"loss"}


def test_a_foreign_schema(tmp_path):
    """Columns of the wrong type, rows of unknown runs, no params and tags at all."""
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as db:
        db.executescript(
            """
            CREATE TABLE runs(run_uuid, name, status, lifecycle_stage);
            CREATE TABLE metrics(key, value, timestamp, run_uuid, step, is_nan);
            INSERT INTO runs VALUES
                ('a', x'ff00', 7, NULL), (NULL, 'n', 'FINISHED', 'active'), ('b', 'b', 'KILLED', 'active');
            INSERT INTO metrics VALUES
                ('loss', 1, 5, 'a', 1, 0), ('loss', 'text', 6, 'a', 2, 0), ('loss', NULL, 7, 'a', 3, 1),
                (NULL, 1, 5, 'a', 1, 0), ('loss', 2, 'x', 'a', 'y', 0), ('loss', 3, 1, 'nobody', 1, 0),
                ('loss', 1, 1, 'b', 1, 0);
            """
        )
    db.close()
    first, second = mlflow_sqlite.READER.read(File(path))
    assert list(first._points["loss", ""].step) == [1, 3, 0]
    assert (first.exit, second.exit) == ("unknown", "killed")
    assert len(first.unread) == 2


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_rubbish_is_a_log_or_a_read_error(tmp_path_factory, metric, meta):
    folder = tmp_path_factory.mktemp("run")
    (folder / "metrics").mkdir()
    (folder / "metrics" / "loss").write_bytes(metric)
    (folder / "meta.yaml").write_bytes(b"run_id: a\nlifecycle_stage: active\nartifact_uri: x\n" + meta)
    with contextlib.suppress(ReadError):
        for log in mlflow_files.READER.read(File(folder / "meta.yaml")):
            log.run()

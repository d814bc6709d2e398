"""MLflow's two stores, each with a healthy run and faulty ones."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import asdict, replace

os.environ |= {"MLFLOW_ALLOW_FILE_STORE": "true", "LOGNAME": "user", "USER": "user"}

import mlflow
from making import case, main, note, of_run
from training import DEAD, HEALTHY, NAN, OVERFIT, Settings, steps

TABLES = ("alembic_version", "experiments", "runs", "metrics", "latest_metrics", "params", "tags")


def log(name: str, settings: Settings, breaks_at: int = 0) -> None:
    of_run(name)
    with mlflow.start_run(run_name=name):
        mlflow.log_params(asdict(settings))
        for s in steps(settings):
            if s.number % 4 == 0:
                mlflow.log_metric("train_loss", s.loss, step=s.number)
                note(train__loss=s.loss)
            if s.held_out:
                mlflow.log_metrics({"val_loss": s.held_out.loss, "val_accuracy": s.held_out.accuracy}, step=s.number)
                note(val__loss=s.held_out.loss, val__accuracy=s.held_out.accuracy)
            if s.number == breaks_at:
                raise RuntimeError("DataLoader worker (pid 4711) is killed by signal: Killed.")


@case("mlflow3/files", console=False)
def files() -> None:
    mlflow.set_tracking_uri("mlruns")
    mlflow.set_experiment("digits")
    log("healthy", HEALTHY)
    log("overfit", OVERFIT)
    log("nan-batch", NAN)


@case("mlflow3/database", console=False)
def database() -> None:
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("digits")
    log("healthy", HEALTHY)
    log("nan-batch", NAN)
    log("dead-units", DEAD)
    try:
        log("crashed", replace(HEALTHY, seed=1), breaks_at=60)
    finally:
        _lighten()


def _lighten() -> None:
    """Only the tables that tell of training; the folder of the run goes out of them."""
    mlflow.set_tracking_uri("")
    with sqlite3.connect("mlflow.db") as store:
        store.execute("pragma foreign_keys = off")
        for (name,) in store.execute("select name from sqlite_master where type = 'table'").fetchall():
            if name not in TABLES and not name.startswith("sqlite_"):
                store.execute(f'drop table "{name}"')
        here = (os.getcwd(),)  # noqa: PTH109
        store.execute("update experiments set artifact_location = replace(artifact_location, ?, '/workspace')", here)
        store.execute("update runs set artifact_uri = replace(artifact_uri, ?, '/workspace')", here)
        store.execute("update tags set value = replace(value, ?, '/workspace')", here)
        store.execute("update tags set value = '/workspace/train.py' where key = 'mlflow.source.name'")
        store.execute("update runs set source_name = ''")
    store.execute("vacuum")
    store.close()


main("mlflow", "torch")

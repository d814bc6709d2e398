"""Findings in the form of the user's own logger. Fakes have the signatures of the real ones; those run if installed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tocsin.findings import Finding, Remedy, Report
from tocsin.integrations.forwarding import Forwarding, MLflow, TensorBoard, WandB

ERROR = Finding(
    "train/loss is NaN from step 5 on in /home/ada/runs", step=5, severity="error", code="AMP003", name="non-finite",
    remedies=(Remedy("Stop there", safe=True), Remedy("Clip")),
)  # fmt: skip
NOTE = Finding("a little odd", severity="note", code="RUN004", name="wasted")
REPORT = Report(runs=("r",), findings=(ERROR, NOTE), clean=("OPT001",))


class Writer:
    """``torch.utils.tensorboard.SummaryWriter`` 2.13."""

    def __init__(self) -> None:
        self.texts: list[Any] = []

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        self.texts.append((tag, text_string, global_step))

    def flush(self) -> None:
        pass


class WandBRun:
    """``wandb.Run`` 0.31."""

    def __init__(self) -> None:
        self.alerts: list[Any] = []
        self.summary: dict[str, str] = {}

    def alert(self, title: str, text: str, level: str | None = None, wait_duration: float | None = None) -> None:
        self.alerts.append((title, text, level))


class Client:
    """``mlflow.MlflowClient`` 3.17."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.texts: dict[str, str] = {}

    def set_tag(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> None:
        assert run_id == "id"
        self.tags[key] = value

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        self.texts[artifact_file] = text


def test_each_finding_goes_once_and_the_report_at_the_end() -> None:
    writer, run, client = Writer(), WandBRun(), Client()
    forward = Forwarding([TensorBoard(writer), WandB(run), MLflow(client, "id")])
    forward.findings([ERROR])
    forward.findings([NOTE, ERROR])
    words = (
        "**error AMP003 non-finite** train/loss is NaN from step 5 on in ~/runs\n\n"
        "- safe fix: Stop there\n- unsafe fix: Clip"
    )
    assert writer.texts == [("tocsin/AMP003", words, 5)]
    assert run.alerts == [("tocsin AMP003 non-finite", words, "ERROR")]
    assert client.tags == {"tocsin.AMP003": "error: train/loss is NaN from step 5 on in ~/runs"}
    forward.report(REPORT)
    verdict = "Not learning: AMP003 non-finite: train/loss is NaN from step 5 on in ~/runs"
    assert writer.texts[1:] == [("tocsin/verdict", verdict, None)]
    assert len(run.alerts) == 1
    assert run.summary == {"tocsin/verdict": verdict}
    assert client.tags["tocsin.verdict"] == verdict
    assert [f["code"] for f in json.loads(client.texts["tocsin.json"])["findings"]] == ["AMP003", "RUN004"]


def test_a_logger_that_raises_is_left_alone_and_said_once() -> None:
    class Offline(WandBRun):
        def alert(self, *_: Any, **__: Any) -> None:
            raise ConnectionError("no network\nat all")

    said: list[str] = []
    writer = Writer()
    forward = Forwarding([WandB(Offline()), TensorBoard(writer)], said.append)
    forward.report(REPORT)
    assert len(writer.texts) == 2
    assert said == ["tocsin: nothing more goes to WandB: ConnectionError('no network\\nat all')"]


def test_the_loggers_of_a_trainer_are_found_among_its_callbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    from tocsin.integrations.hugging_face import sinks

    class TensorBoardCallback:
        tb_writer = Writer()

    class WandbCallback: ...

    class DagsHubCallback(type("MLflowCallback", (), {})): ...  # type: ignore[misc]

    client, active = Client(), SimpleNamespace(info=SimpleNamespace(run_id="id"))
    monkeypatch.setitem(__import__("sys").modules, "wandb", SimpleNamespace(run=WandBRun()))
    mlflow = SimpleNamespace(active_run=lambda: active, MlflowClient=lambda: client)
    monkeypatch.setitem(__import__("sys").modules, "mlflow", mlflow)
    found = sinks([TensorBoardCallback(), WandbCallback(), DagsHubCallback()])
    assert [type(s).__name__ for s in found] == ["TensorBoard", "WandB", "MLflow"]
    assert sinks([object()]) == []


def test_a_real_tensorboard_keeps_the_texts(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(tmp_path))
    forward = Forwarding([TensorBoard(writer)])
    forward.report(REPORT)
    writer.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert set(events.Tags()["tensors"]) == {"tocsin/AMP003/text_summary", "tocsin/verdict/text_summary"}


def test_a_real_wandb_run_takes_the_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    said: list[str] = []
    with wandb.init(mode="offline", dir=str(tmp_path), settings=wandb.Settings(silent=True)) as run:
        Forwarding([WandB(run)], said.append).report(REPORT)
        assert run.summary["tocsin/verdict"].startswith("Not learning")
    assert said == []


def test_a_real_mlflow_run_takes_tags_and_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    client = mlflow.MlflowClient((tmp_path / "mlruns").as_uri())  # what mlflow-skinny has, too
    experiment = client.create_experiment("e", artifact_location=str(tmp_path / "artifacts"))
    run_id = client.create_run(experiment).info.run_id
    said: list[str] = []
    Forwarding([MLflow(client, run_id)], said.append).report(REPORT)
    assert said == []
    assert set(client.get_run(run_id).data.tags) >= {"tocsin.AMP003", "tocsin.verdict"}
    (artifact,) = client.list_artifacts(run_id)
    assert artifact.path == "tocsin.json"

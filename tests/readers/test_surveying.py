"""Bundles: which files are opened, which go together, and that a bundle can be sent to another process."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from readers.fake_formats import READERS, curve, put
from tocsin.readers import surveying
from tocsin.readers.bundles import read_bundle, survey
from tocsin.readers.detection import all_readers, never_a_log, reader_of
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File

LOSS = [2.301, 1.702, 1.283]
EVENTS = "events.out.tfevents.1.host.1.0"


def bundled(path: Path) -> list[list[str]]:
    found = survey(path, readers=READERS).bundles
    return [[log.path.relative_to(path).as_posix() for log in bundle.logs] for bundle in found]


def test_unrelated_folders_are_bundles_of_their_own_in_natural_order(tmp_path: Path):
    for at in (10, 2, 1):
        put(tmp_path / f"run{at}" / "a.csv", "csv", *curve("loss", LOSS))
    assert bundled(tmp_path) == [["run1/a.csv"], ["run2/a.csv"], ["run10/a.csv"]]


def test_folders_that_may_be_of_one_run_go_together(tmp_path: Path):
    put(tmp_path / "a" / "csv" / "version_3" / "m.csv", "csv")
    put(tmp_path / "a" / "tb" / "version_3" / EVENTS, "tensorboard")
    put(tmp_path / "a" / "tb" / "version_4" / EVENTS, "tensorboard")
    put(tmp_path / "b" / "checkpoint-5" / "s.json", "json")
    put(tmp_path / "b" / "runs" / "Dec01" / EVENTS, "tensorboard")
    assert bundled(tmp_path) == [
        ["a/csv/version_3/m.csv", f"a/tb/version_3/{EVENTS}"],
        [f"a/tb/version_4/{EVENTS}"],
        ["b/checkpoint-5/s.json", f"b/runs/Dec01/{EVENTS}"],
    ]


def test_a_study_below_one_log_is_not_one_bundle(tmp_path: Path):
    put(tmp_path / "sweep.log", "console")
    for at in range(70):
        put(tmp_path / f"trial{at}" / "a.csv", "csv")
    assert len(bundled(tmp_path)) == 71


def test_a_bundle_can_be_pickled_and_read_elsewhere(tmp_path: Path):
    put(tmp_path / "a.csv", "csv", *curve("loss", LOSS))
    (bundle,) = survey(tmp_path, readers=READERS).bundles
    (run,) = read_bundle(pickle.loads(pickle.dumps(bundle)), readers=READERS)  # noqa: S301  our own
    assert run.series["train/loss"].value.tolist() == LOSS
    assert bundle.path == tmp_path / "a.csv"


def test_files_like_hundreds_that_were_no_logs_are_not_opened_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for at in range(300):
        (tmp_path / f"{at}.txt").write_text("0 0.5 0.5")
    put(tmp_path / "z.log", "console", *curve("loss", LOSS))
    opened = []
    monkeypatch.setattr(surveying, "reader_of", lambda file, readers: opened.append(file) or reader_of(file, readers))
    found = survey(tmp_path, readers=READERS)
    assert len(opened) == 257
    assert [log.path.name for log in found.bundles[0].logs] == ["z.log"]
    assert found.unread == [f"{tmp_path}: 44 files .txt were not opened, for none of the first 256 like them is a log"]


def test_a_file_alone_takes_the_settings_beside_it_and_nothing_else(tmp_path: Path):
    put(tmp_path / "a.log", "console", *curve("loss", LOSS))
    put(tmp_path / "b.csv", "csv", *curve("loss", LOSS))
    (tmp_path / "args.yaml").write_text("lr: 0.1\n")
    (bundle,) = survey(tmp_path / "a.log", readers=READERS).bundles
    (run,) = read_bundle(bundle, readers=READERS)
    assert (run.name, run.source, run.config, run.path) == ("a.log", "console", {"lr": 0.1}, tmp_path / "a.log")


def test_settings_are_never_a_run_and_beside_several_runs_nobodys(tmp_path: Path):
    put(tmp_path / "params.json", "json", *curve("loss", LOSS))
    assert survey(tmp_path, readers=READERS).bundles == []
    put(tmp_path / "1.csv", "csv", *curve("loss", LOSS))
    put(tmp_path / "2.csv", "csv", *curve("loss", [v + 1 for v in LOSS]))
    (bundle,) = survey(tmp_path, readers=READERS).bundles
    runs = read_bundle(bundle, readers=READERS)
    assert [run.config for run in runs] == [{}, {}]
    assert runs.unread[0].endswith("it does not say to which of the 2 runs beside it it belongs")


def test_the_composed_configuration_of_hydra_is_the_runs(tmp_path: Path):
    put(tmp_path / "a.csv", "csv", *curve("loss", LOSS), "config lr logged")
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text("lr: 1\nmodel: {width: 8}\n")
    (tmp_path / ".hydra" / "hydra.yaml").write_text("hydra: {}\n")
    (bundle,) = survey(tmp_path, readers=READERS).bundles
    (run,) = read_bundle(bundle, readers=READERS)
    assert run.config == {"lr": "logged", "model": {"width": 8}}
    assert run.config_typed


def test_numbers_of_a_source_that_keeps_text_are_numbers_beside_a_typed_one(tmp_path: Path):
    put(tmp_path / "a.log", "console", *curve("loss", LOSS), "config lr 1e-4", "config name x")
    assert [r.config for r in read_bundle(survey(tmp_path, readers=READERS).bundles[0], readers=READERS)] == [
        {"lr": "1e-4", "name": "x"}
    ]
    (tmp_path / "opt.yaml").write_text("wd: 1e-4\n")
    (run,) = read_bundle(survey(tmp_path, readers=READERS).bundles[0], readers=READERS)
    assert (run.config, run.config_typed) == ({"wd": "1e-4", "lr": 1e-4, "name": "x"}, True)


@pytest.mark.parametrize("name", ["a.png", "b.PT", "c.tar.gz", ".hidden", "d.safetensors", "README.md"])
def test_some_extensions_are_never_logs(name: str):
    assert never_a_log(name)


@pytest.mark.parametrize(
    "name", ["train.log", "nohup.out", "a.py", "x.json", "slurm-12.out", "x", "mlflow.db", "r.wandb"]
)
def test_others_may_be(name: str):
    assert not never_a_log(name)


def test_the_readers_are_found_and_ordered():
    found = all_readers()
    assert len(found) > 5
    assert [r.rank for r in found] == sorted(r.rank for r in found)
    assert len({r.source for r in found}) == len(found)


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(tmp_path / "a.csv", "csv", *curve("loss", LOSS))
    (tmp_path / "b.csv").write_text("x")

    def refused(file: File, readers: object) -> object:
        if file.path.name == "b.csv":
            raise ReadError(f"{file.path}: cannot be read (Permission denied)")
        return reader_of(file, READERS)

    monkeypatch.setattr(surveying, "reader_of", refused)
    found = survey(tmp_path)
    assert len(found.bundles) == 1
    assert found.unread == [f"{tmp_path / 'b.csv'}: cannot be read (Permission denied)"]

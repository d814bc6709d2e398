from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readers.formats import wandb_logs as wb
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.formats.wandb_files import READER

SUMMARY = (
    '{"_step": 99, "_runtime": 12.5, "_timestamp": 1.7e9, "_wandb": {"runtime": 12}, "epoch": 4, "train/loss": NaN, '
    '"val": {"acc": 0.5}, "best_f1": "Infinity", "loss": {"min": 0.1}, "img": {"_type": "image-file", "size": 3}}'
)
CONFIG = "wandb_version: 1\n\n_wandb:\n  desc: null\n  value:\n    cli_version: 0.13\nlr:\n  desc: null\n  value: 0.1\n"


def folder_of(tmp_path: Path, summary: str = SUMMARY) -> Path:
    files = tmp_path / "run-1-abc" / "files"
    files.mkdir(parents=True)
    (files / "wandb-summary.json").write_text(summary)
    (files / "config.yaml").write_text(CONFIG)
    (files / "wandb-metadata.json").write_text('{"python": "3.9", "email": "a@b.org", "args": [], "codePath": "t.py"}')
    return files


def test_final_values(tmp_path):
    files = folder_of(tmp_path)
    file = File(files / "wandb-summary.json")
    assert READER.sniffs(file)
    (log,) = READER.read(file)
    run = log.run()
    assert set(run.series) == {"train/loss", "val/acc", "best_f1"}
    assert np.isnan(run.series["train/loss"].value).all()
    assert {int(series.step[0]) for series in run.series.values()} == {99}
    assert run.config == {"lr": 0.1}
    assert run.environment == {"python": "3.9", "command": "python t.py"}
    assert "only final values" in run.unread[0]
    assert files / "output.log" not in log.claims  # the console reader finds the curve there


def test_the_log_beside_it_goes_first(tmp_path):
    files = folder_of(tmp_path)
    log = files.parent / "run-abc.wandb"
    log.write_bytes(b"")
    assert READER.sniffs(File(files / "wandb-summary.json"))
    log.write_bytes(wb.framed([wb.exit_record(0)]))
    assert not READER.sniffs(File(files / "wandb-summary.json"))


@pytest.mark.parametrize(
    "text", ["{}", '{"loss": 1}', "[1]", '{"_step":1,"_runtime":2}\n{"_step":2,"_runtime":3}\n', ""]
)
def test_other_json(tmp_path, text):
    assert not READER.sniffs(File(folder_of(tmp_path, text) / "wandb-summary.json"))


def test_a_torn_or_empty_summary(tmp_path):
    files = folder_of(tmp_path, SUMMARY[:-30])
    with pytest.raises(ReadError, match="torn or malformed"):
        list(READER.read(File(files / "wandb-summary.json")))
    (files / "wandb-summary.json").write_text('{"_step": 1, "_runtime": 2}')
    (files / "config.yaml").write_text("a: [")
    (log,) = READER.read(File(files / "wandb-summary.json"))
    assert len(log.unread) == 3
    assert not log.told


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["_step", "_runtime", "_timestamp", "epoch", "loss", "", "a/b"]), JSON))
def test_any_summary(tmp_path_factory, summary):
    files = folder_of(tmp_path_factory.mktemp("wb"), json.dumps(summary))
    for log in READER.read(File(files / "wandb-summary.json")):
        log.run()

"""Notebooks: what cells printed and showed; an error is a run's only where its cell trained."""

from __future__ import annotations

import json

import pytest

from readers.reading_files import knows, points, run, runs, write
from tocsin.readers.formats.notebook import READER

BARS = (
    "Epoch 1/2\n20/20 [=====] - 1s 50ms/step - loss: 2.5 - val_loss: 2.25\n"
    "Epoch 2/2\n20/20 [=====] - loss: 1.5 - val_loss: 1.75\n"
)
TABLE = (
    "<div><progress></progress></div><table border='1'><thead><tr><th>Epoch</th><th>Training Loss</th>"
    "<th>Validation Loss</th><th>F1</th></tr></thead><tbody><tr><td>1</td><td>No log</td><td>0.75</td><td>0.5</td></tr>"
    "<tr><td>2</td><td>0.5</td><td>0.625</td><td>0.75</td></tr></tbody></table>"
)


def stream(text: str) -> dict:
    return {"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}


def error(line: str) -> dict:
    trace = [f"\x1b[0;31mRuntimeError\x1b[0m  Traceback\n----> 1 {line}\n", "RuntimeError: bad"]
    return {"output_type": "error", "ename": "RuntimeError", "evalue": "bad", "traceback": trace}


def notebook(tmp_path, *cells: list[dict], version: int = 4):
    made = [{"cell_type": "code", "source": ["1"], "outputs": outputs} for outputs in cells]
    content = {"cells": made, "nbformat": 4} if version == 4 else {"worksheets": [{"cells": made}], "nbformat": 3}
    return write(tmp_path / "a.ipynb", json.dumps(content))


@pytest.mark.parametrize("version", [3, 4])
def test_printed_bars(tmp_path, version):
    found = run(READER, notebook(tmp_path, [stream(BARS)], version=version))
    assert points(found, "train/loss") == [(20, 2.5), (40, 1.5)]
    assert points(found, "val/loss") == [(20, 2.25), (40, 1.75)]


def test_pieces_of_a_stream_are_joined(tmp_path):
    found = run(READER, notebook(tmp_path, [stream(BARS[:70]), stream(BARS[70:])]))
    assert len(found.series["val/loss"]) == 2


def test_tables_of_a_trainer(tmp_path):
    shown = {"output_type": "display_data", "data": {"text/html": [TABLE], "text/plain": ["<IPython>"]}}
    found = run(READER, notebook(tmp_path, [shown]))
    assert points(found, "val/loss") == [(1, 0.75), (2, 0.625)]
    assert points(found, "train/loss") == [(2, 0.5)]


def test_frames_of_data_are_no_runs(tmp_path):
    frame = "<table><tr><th></th><th>age</th><th>score</th></tr><tr><td>0</td><td>31</td><td>0.5</td></tr></table>"
    path = notebook(tmp_path, [{"output_type": "execute_result", "data": {"text/html": [frame]}}])
    assert runs(READER, path) == []


def test_two_trainings_are_two_runs(tmp_path):
    assert len(runs(READER, notebook(tmp_path, [stream(BARS)], [stream(BARS)]))) == 2


def test_an_error_in_the_cell_that_trains(tmp_path):
    found = run(READER, notebook(tmp_path, [stream(BARS), error("model.fit(x)")]))
    assert found.exit == "failed"
    assert found.events[-1].data["type"] == "RuntimeError"


@pytest.mark.parametrize("line", ["plt.plot(history)", "model.fit(x)"])
def test_an_error_in_another_cell_is_not_of_the_run(tmp_path, line):
    assert run(READER, notebook(tmp_path, [stream(BARS)], [error(line)])).exit == "unknown"
    assert run(READER, notebook(tmp_path, [error(line)], [stream(BARS)])).exit == "unknown"


def test_a_training_that_never_began(tmp_path):
    assert run(READER, notebook(tmp_path, [stream("hello\n")], [error("trainer.train()")])).exit == "failed"
    assert runs(READER, notebook(tmp_path, [error("plt.plot(a)")])) == []


def test_what_is_no_notebook(tmp_path):
    assert not knows(READER, write(tmp_path / "a.json", '{"a": 1}'))

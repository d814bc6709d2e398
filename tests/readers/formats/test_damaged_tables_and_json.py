"""Damaged, hostile and random files: these readers raise nothing but ``ReadError``, and soon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readers.reading_files import mutated, survives
from tocsin.readers.formats import (
    allennlp,
    dvclive,
    hf_trainer,
    json_history,
    json_lines,
    keras_csv,
    lightning_csv,
    mmdetection,
    table,
    tensorboard_csv,
    ultralytics,
    wandb_csv,
)

ROW = {"epoch": 1.0, "loss": 1.5, "step": 10, "eval_loss": 2.5, "eval_runtime": 1.5, "eval_samples_per_second": 3}
MM = [{"env_info": "x", "config": "total_epochs = 3\noptimizer = dict(lr=1)"},
      {"mode": "train", "epoch": 1, "iter": 50, "lr": 0.1, "loss": 2.5, "time": 0.5, "data_time": 0.1},
      {"mode": "val", "epoch": 1, "iter": 60, "mAP": 0.5}]  # fmt: skip
SAMPLES = {
    hf_trainer: ("trainer_state.json", json.dumps({"max_steps": 9, "log_history": [ROW] * 4}, indent=1)),
    mmdetection: ("a.log.json", "".join(json.dumps(row) + "\n" for row in MM)),
    json_lines: ("a.jsonl", '{"step": 1, "loss": 2.5, "split": "val", "x": {"y": 1}}\n{"type": "failed"}\n' * 4),
    json_history: ("h.json", json.dumps({"a": {"loss": [3, 2], "val_loss": [3, 2]}, "b": [{"epoch": 1, "loss": 2}]})),
    lightning_csv: ("metrics.csv", "epoch,step,train_loss,val_loss\n0,9,1.5,\n0,9,,2.5\n1,19,nan,\n"),
    keras_csv: ("log.csv", "epoch,loss,val_loss\n0,1.5,NA\n1,1.25,2.5\n0,1.5,NA\n"),
    ultralytics: ("results.csv", "   epoch,  train/box_loss,  metrics/mAP,  x/lr0\n  0, 0.5, 0.1, 1\n  1, 4, 2, 1\n"),
    tensorboard_csv: ("run-a-tag-b.csv", "Wall time,Step,Value\n1654943296.5,0,59.5\n1654943298.5,10,NaN\n"),
    wandb_csv: ("w.csv", '"Step","a - loss","a - loss__MIN","a - loss__MAX"\n"0","1","1","1"\n"5","2","2","2"\n'),
    table: ("t.md", "| fold | epoch | phase | time | loss |\n|--|--|--|-|-|\n|1|1|val|1:02:03|0,5|\n|2|2|train|2|\n"),
    dvclive: ("dvclive/plots/metrics/loss.tsv", "timestamp\tstep\tloss\n1\t0\t2.5\n2\t1\tnan\n"),
    allennlp: ("metrics_epoch_0.json", '{"epoch": 0, "training_loss": 2.5, "best_epoch": 3, "training_duration": "0"}'),
}  # fmt: skip
MODULES = sorted(SAMPLES, key=lambda module: module.__name__)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
@QUICK
@given(seed=st.integers(0, 2**32))
def test_mutated_samples(tmp_path: Path, module, seed: int):
    name, text = SAMPLES[module]
    survives(module.READER, tmp_path / name, mutated(text.encode(), seed))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
@QUICK
@given(
    content=st.binary(max_size=300)
    | st.text(alphabet='step,loss:{}[]"0123456789.eNa\n\t |;-', max_size=300).map(str.encode)
)
def test_random_bytes_and_text(tmp_path: Path, module, content: bytes):
    survives(module.READER, tmp_path / SAMPLES[module][0], content)


HOSTILE = {
    "deep": b'{"log_history": ' + b"[" * 100_000,
    "deep closed": b'{"log_history": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "huge number": b'{"log_history": [{"step": 1, "loss": ' + b"9" * 10_000 + b"}]}",
    "wide": b"step," + b"loss," * 50_000 + b"\n" + b"1," * 50_000 + b"\n",
    "one line": b"step,loss\n" + b"1" * 3_000_000,
    "open quote": b'step,loss\n1,"2\n' + b"2,3\n" * 30_000,
    "far steps": b"step,loss\n1,2\n99999999999999999999,3\n1e400,4\n-5,3\nnan,1\n",
    "bars": b"|" * 200_000,
    "blanks": b"step loss\n" + b" " * 500_000 + b"\n1 2\n",
    "days": b"epoch,time,loss\n1,999999999999 days 99:99:99,2\n2,9999-99-99,3\n",
    "no lines": b'{"a":1}' * 50_000,
    "config bomb": b'{"env_info": "x", "config": "a = '
    + b"(" * 5_000
    + b'"}\n{"mode": "train", "epoch": 1, "iter": 1}\n',
}


@pytest.mark.parametrize("kind", sorted(HOSTILE))
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_hostile_files(tmp_path: Path, module, kind: str):
    survives(module.READER, tmp_path / SAMPLES[module][0], HOSTILE[kind])

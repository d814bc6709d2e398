"""Hugging Face Trainer state: kinds of rows, sets, classes, the hidden NaN, the end."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from readers.reading_files import knows, points, run, write
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.formats.hf_trainer import READER


def speed(prefix: str) -> dict[str, float]:
    return {f"{prefix}_runtime": 1.5, f"{prefix}_samples_per_second": 70.0, f"{prefix}_steps_per_second": 7.0}


def state(*rows: dict[str, Any], **more: Any) -> str:
    base = {"best_metric": None, "best_model_checkpoint": None, "epoch": 2.0, "global_step": 20, "max_steps": 40,
            "num_train_epochs": 4, "log_history": list(rows)}  # fmt: skip
    return json.dumps({**base, **more}, indent=2)


TRAIN = ({"epoch": 1.0, "grad_norm": 5.5, "learning_rate": 1e-05, "loss": 1.5, "step": 10},
         {"epoch": 2.0, "grad_norm": 4.5, "learning_rate": 5e-06, "loss": 1.25, "step": 20})  # fmt: skip
FINAL = {"epoch": 2.0, "step": 20, "total_flos": 1e15, "train_loss": 1.4, **speed("train")}


def test_training_rows_and_the_plan(tmp_path: Path):
    found = run(READER, write(tmp_path / "trainer_state.json", state(*TRAIN)))
    assert points(found, "train/loss") == [(10, 1.5), (20, 1.25)]
    assert points(found, "grad/norm") == [(10, 5.5), (20, 4.5)]
    assert points(found, "lr/0") == [(10, 1e-05), (20, 5e-06)]
    assert found.environment["planned"] == {"steps": 40, "epochs": 4}
    assert found.exit == "unknown"  # stopped at half the plan, or still running: the file does not say


def test_the_final_row_ends_the_run_and_is_no_point(tmp_path: Path):
    found = run(READER, write(tmp_path / "trainer_state.json", state(*TRAIN, FINAL)))
    assert found.exit == "finished"
    assert points(found, "train/loss") == [(10, 1.5), (20, 1.25)]


LATER = {"epoch": 3.0, "grad_norm": 3.5, "learning_rate": 4e-06, "loss": 1.0, "step": 30}


@pytest.mark.parametrize(("ends", "exit_"), [(False, "unknown"), (True, "finished")])
def test_a_final_row_in_the_middle_ends_an_earlier_call_of_train(tmp_path: Path, ends: bool, exit_: str):
    rows = [*TRAIN, FINAL, LATER, *([{**FINAL, "step": 30, "epoch": 3.0}] if ends else [])]
    found = run(READER, write(tmp_path / "trainer_state.json", state(*rows)))
    assert found.exit == exit_
    assert points(found, "train/loss") == [(10, 1.5), (20, 1.25), (30, 1.0)]
    assert [(e.kind, e.step) for e in found.events] == [("resume", 30), *([("exit", 30)] if ends else [])]


def test_evaluations_after_the_final_row_do_not_reopen_the_run(tmp_path: Path):
    evaluation = {"epoch": 2.0, "step": 20, "eval_loss": 1.3, **speed("eval")}
    assert run(READER, write(tmp_path / "trainer_state.json", state(*TRAIN, FINAL, evaluation))).exit == "finished"


def test_several_sets_are_splits_of_their_own(tmp_path: Path):
    sets = ("eval_g0", "eval_g0_long", "eval", "test")
    rows = [
        {"epoch": e, "step": 10 * e, f"{s}_loss": e + 0.5, f"{s}_accuracy": 0.5, **speed(s)}
        for e in (0, 1)
        for s in sets
    ]
    found = run(READER, write(tmp_path / "trainer_state.json", state(*rows)))
    assert set(found.series) == {
        f"{split}/{name}" for split in ("val", "test", "val_g0", "val_g0_long") for name in ("loss", "accuracy")
    }
    assert points(found, "val_g0/loss") == [(0, 0.5), (10, 1.5)]
    assert found.series["val_g0/loss"].epoch[1] == 1


def test_a_nan_hidden_as_zero_stays_as_it_was_written(tmp_path: Path):
    text = state({"epoch": 1.0, "grad_norm": float("nan"), "learning_rate": 0.0, "loss": 0.0, "step": 10})
    found = run(READER, write(tmp_path / "trainer_state.json", text))
    assert points(found, "train/loss") == [(10, 0.0)]
    assert math.isnan(found.series["grad/norm"].value[0])


def test_entities_of_seqeval(tmp_path: Path):
    row = {"epoch": 1.0, "step": 10, "eval_loss": 0.5, "eval_PER_f1": 0.0, "eval_PER_number": 2, "eval_PER_recall": 0.0,
           "eval_overall_f1": 0.7, **speed("eval")}  # fmt: skip
    found = run(READER, write(tmp_path / "trainer_state.json", state(row)))
    assert set(found.series) == {
        "val/loss", "val/f1/PER", "val/support/PER", "val/recall/PER", "val/overall_f1",
    }  # fmt: skip


def test_repeated_rows_count_once_and_a_step_back_is_a_resume(tmp_path: Path):
    again = {**TRAIN[0], "loss": 1.75}
    found = run(READER, write(tmp_path / "trainer_state.json", state(*TRAIN, TRAIN[0], again)))
    assert points(found, "train/loss") == [(10, 1.5), (10, 1.75), (20, 1.25)]
    assert [event.kind for event in found.events] == ["resume"]


def test_the_best_checkpoint(tmp_path: Path):
    text = state(*TRAIN, best_metric=0.75, best_model_checkpoint="out/checkpoint-10")
    found = run(READER, write(tmp_path / "trainer_state.json", text))
    assert [(e.kind, e.step, dict(e.data)) for e in found.events] == [("best", 10, {"step": 10, "value": 0.75})]


def test_numbers_as_strings_and_rewards(tmp_path: Path):
    row = {"loss": "3.5", "rewards/chosen": -0.25, "epoch": 0.5, "step": 5, "note": "warm"}
    found = run(READER, write(tmp_path / "trainer_state.json", state(row)))
    assert points(found, "train/loss") == [(5, 3.5)]
    assert points(found, "rewards/chosen") == [(5, -0.25)]


def test_a_torn_state_gives_what_stands_before_the_damage(tmp_path: Path):
    text = state(*TRAIN)
    found = run(READER, write(tmp_path / "trainer_state.json", text[: text.index('"loss": 1.25')]))
    assert points(found, "train/loss") == [(10, 1.5)]
    assert found.unread
    assert found.unread[0].startswith("truncated at character")
    assert found.events[0].kind == "truncated"


@pytest.mark.parametrize("text", ['{"a": 1}', "[]", "", '{"log_history": 3}', '{"log_history": "x"'])
def test_other_json_is_left_or_refused_in_a_sentence(tmp_path: Path, text: str):
    path = write(tmp_path / "trainer_state.json", text)
    if knows(READER, path):
        with pytest.raises(ReadError, match=r"trainer_state\.json"):
            list(READER.read(File(path)))

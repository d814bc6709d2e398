"""JSON lines as trainers write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from readers.reading_files import knows, lines, points, run, runs, write
from tocsin.readers.formats.json_lines import READER


def test_vision_transformers_log_an_epoch_a_line(tmp_path: Path):
    rows = [
        {"train_lr": 1e-4, "train_loss": 6.5 - e, "test_acc1": 10.0 * e, "epoch": e, "n_parameters": 23448808}
        for e in range(3)
    ]
    found = run(READER, write(tmp_path / "log.txt", lines(rows)))
    assert points(found, "train/loss") == [(1, 6.5), (2, 5.5), (3, 4.5)]
    assert set(found.series) == {"lr/0", "train/loss", "test/acc1"}


def test_llama_factory(tmp_path: Path):
    rows = [{"current_steps": s, "total_steps": 30, "loss": 2.5, "lr": 1e-4, "epoch": s / 10, "percentage": 33.3,
             "elapsed_time": f"0:00:{s}", "remaining_time": "0:01:00"} for s in (10, 20, 30)]  # fmt: skip
    rows += [{"current_steps": 30, "total_steps": 30, "eval_loss": 2.25, "epoch": 3.0, "elapsed_time": "0:00:31"}]
    found = run(READER, write(tmp_path / "trainer_log.jsonl", lines(rows)))
    assert found.environment["planned"] == {"steps": 30}
    assert points(found, "val/loss") == [(30, 2.25)]
    assert found.series["train/loss"].time.tolist() == [10, 20, 30]
    assert set(found.series) == {"train/loss", "val/loss", "lr/0"}


def test_detectron2(tmp_path: Path):
    rows = [{"iteration": i, "total_loss": 2.5, "loss_cls": 1.5, "lr": 0.01, "time": 0.5, "data_time": 0.1,
             "eta_seconds": 9.5, "fast_rcnn/cls_accuracy": 0.5} for i in (19, 39)]  # fmt: skip
    rows += [{"iteration": 39, "bbox/AP": 30.5, "bbox/AP50": 50.5}]
    found = run(READER, write(tmp_path / "metrics.json", lines(rows)))
    assert points(found, "train/loss") == [(19, 2.5), (39, 2.5)]
    assert found.series["train/loss"].time.tolist() == [9.5, 19.5]
    assert {name.lower() for name in found.series} >= {"bbox/ap", "fast_rcnn/cls_accuracy", "train/loss/cls", "lr/0"}


def test_fairseq_writes_numbers_as_strings(tmp_path: Path):
    rows = [{"epoch": 1, "update": u / 1000, "loss": "7.5", "ppl": "120.5", "lr": "1e-05", "gnorm": "2.5",
             "num_updates": str(u), "wall": str(u / 10)} for u in (100, 200)]  # fmt: skip
    rows += [{"epoch": 1, "valid_loss": "6.25", "valid_num_updates": "200"}]
    found = run(READER, write(tmp_path / "log.json", lines(rows)))
    assert points(found, "train/loss") == [(100, 7.5), (200, 7.5)]
    assert points(found, "grad/norm") == [(100, 2.5), (200, 2.5)]
    assert points(found, "val/loss") == [(200, 6.25)]
    assert "update" not in found.series


def test_spacy_nests_its_losses(tmp_path: Path):
    rows = [
        {"epoch": 0, "step": s, "score": 0.5, "losses": {"ner": 5.5}, "other_scores": {"ents_f": 0.5}} for s in (0, 200)
    ]
    found = run(READER, write(tmp_path / "log.jsonl", lines(rows)))
    assert points(found, "train/loss/ner") == [(0, 5.5), (200, 5.5)]


def test_rows_of_several_kinds(tmp_path: Path):
    rows = [{"type": "config", "lr": 0.1, "batch_size": 8}]
    for epoch in (1, 2):
        rows += [
            {"split": "train", "epoch": epoch, "loss": 2.5, "note": "x"},
            {"split": "val", "epoch": epoch, "metrics": {"f1": 0.5}},
        ]
    rows += [{"event": "training_complete", "epoch": 2}]
    found = run(READER, write(tmp_path / "log.jsonl", lines(rows)))
    assert set(found.series) == {"train/loss", "val/f1"}
    assert points(found, "val/f1") == [(1, 0.5), (2, 0.5)]
    assert found.exit == "finished"
    assert found.config["batch_size"] == 8


def test_a_failure_that_the_log_tells(tmp_path: Path):
    rows = [
        {"step": 1, "loss": 2.5},
        {"step": 2, "loss": None},
        {"status": "failed", "error": "CUDA out of memory", "error_type": "E"},
    ]
    found = run(READER, write(tmp_path / "log.jsonl", lines(rows)))
    assert found.exit == "failed"
    assert [(e.kind, e.text, e.data["type"]) for e in found.events] == [("exception", "CUDA out of memory", "E")]


def test_early_stop_and_restart(tmp_path: Path):
    rows = [{"step": s, "loss": 2.5} for s in (10, 20, 30)] + [{"event": "early_stopping", "step": 30}]
    first, second = runs(READER, write(tmp_path / "log.jsonl", lines([*rows, *rows[:2]])))
    assert [event.kind for event in first.events] == ["early-stop"]
    assert len(second.series["train/loss"]) == 2


def test_a_validation_row_without_step_stands_at_the_last_one(tmp_path: Path):
    rows = [{"step": 10, "loss": 2.5}, {"val_loss": 2.25}, {"step": 20, "loss": 2.0}, {"epoch": 1, "val_loss": 2.0}]
    found = run(READER, write(tmp_path / "log.jsonl", lines(rows)))
    assert points(found, "val/loss") == [(10, 2.25), (20, 2.0)]


@pytest.mark.parametrize(("name", "known"), [("log.jsonl", True), ("log.NDJSON", True), ("results.json", False)])
def test_one_row_of_a_late_epoch_is_a_log_where_the_name_says_rows_and_else_a_summary(tmp_path: Path, name, known):
    path = write(tmp_path / name, lines([{"epoch": 49, "val/accuracy": 41.77, "val/f1": 40.5}]))
    assert knows(READER, path) is known
    if known:
        assert points(run(READER, path), "val/accuracy") == [(49, 41.77)]


def test_bare_nan_and_a_torn_last_line(tmp_path: Path):
    text = '{"step": 1, "loss": 2.5}\n{"step": 2, "loss": NaN}\n{"step": 3, "loss": Infinity}\n{"step": 4, "lo'
    found = run(READER, write(tmp_path / "log.jsonl", text))
    assert len(found.series["train/loss"]) == 3
    assert any("torn" in sentence for sentence in found.unread)


@pytest.mark.parametrize(
    "rows",
    [
        [{"text": "a", "label": 1}, {"text": "b", "label": 0}],
        [{"messages": [{"role": "user", "content": "x"}]}] * 3,
        [{"question": "a", "answer": "b", "rouge": 0.5, "bleu": 0.25}] * 5,
        [{"id": i, "prediction": 1, "loss": 0.5} for i in range(5)],
        [{"level": "info", "ts": 17e8 + i, "msg": "request done", "status": 200} for i in range(5)],
        [{"name": "m", "loss": "mse", "layers": 3}],
    ],
)
def test_what_is_no_training_log_is_left_alone(tmp_path: Path, rows: list[dict[str, object]]):
    assert not knows(READER, write(tmp_path / "data.jsonl", lines(rows)))


def test_not_a_number_as_printf_writes_it(tmp_path: Path):
    rows = [f'{{"step": {i}, "loss": {said}, "note": "a: nan, b"}}' for i, said in enumerate(("1.5", "-nan", "inf"), 1)]
    found = run(READER, write(tmp_path / "log.jsonl", "\n".join(rows)))
    assert str(points(found, "train/loss")) == "[(1, 1.5), (2, nan), (3, inf)]"
    assert not found.unread

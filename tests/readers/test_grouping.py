"""Which files are one run, and which stay apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from readers.fake_formats import curve, put, read

LOSS = [2.301, 1.702, 1.283, 0.914, 0.755, 0.606, 0.547, 0.498]
OTHER = [2.299, 1.811, 1.422, 1.133, 0.984, 0.885, 0.816, 0.777]
EVENTS = "events.out.tfevents.{}.host.1.0"


def told(path: Path) -> dict[str, str]:
    return {run.name: run.source for run in read(path)}


def test_one_log_of_each_format_in_a_folder_is_one_run(tmp_path: Path):
    put(tmp_path / "r" / EVENTS.format(1), "tensorboard", *curve("train/loss", LOSS), *curve("grad/norm", LOSS))
    put(tmp_path / "r" / "metrics.csv", "csv", *curve("val_loss", OTHER))
    put(
        tmp_path / "r" / "train.log",
        "console",
        *curve("loss", LOSS[:3]),
        "event exception RuntimeError: CUDA",
        "exit failed",
    )
    (run,) = read(tmp_path)
    assert (run.name, run.source, run.exit) == ("r", "tensorboard + csv + console", "failed")
    assert sorted(run.series) == ["grad/norm", "train/loss", "val/loss"]
    assert len(run.series["train/loss"]) == 8
    assert [(e.kind, e.step) for e in run.events] == [("exception", 8)]
    assert run.path == tmp_path / "r"
    assert run.environment["files"] == [f"tensorboard: {EVENTS.format(1)}", "csv: metrics.csv", "console: train.log"]


def test_numbers_that_contradict_keep_two_logs_of_a_folder_apart(tmp_path: Path):
    put(tmp_path / "a.csv", "csv", *curve("loss", LOSS))
    put(tmp_path / "b.log", "console", *curve("loss", OTHER))
    assert told(tmp_path) == {"a.csv": "csv", "b.log": "console"}


def test_rounded_numbers_of_one_run_agree(tmp_path: Path):
    put(tmp_path / "a.csv", "csv", *curve("loss", [v + 0.0004 for v in LOSS]))
    put(tmp_path / "b.log", "console", *curve("loss", [round(v, 2) for v in LOSS]))
    assert set(told(tmp_path).values()) == {"csv + console"}


def test_several_logs_of_one_format_stay_apart_and_others_join_by_stem_or_numbers(tmp_path: Path):
    put(tmp_path / "1.json", "json", *curve("loss", LOSS))
    put(tmp_path / "2.json", "json", *curve("loss", OTHER))
    put(tmp_path / "1.log", "console", "event launch python train.py")
    put(tmp_path / "z.csv", "csv", *curve("loss", OTHER))
    put(tmp_path / "unknown.log", "console", "event launch python other.py")
    assert told(tmp_path) == {"1.json": "json + console", "z.csv": "csv + json", "unknown.log": "console"}


def test_numbered_folders_of_two_loggers_join_by_their_numbers_alone(tmp_path: Path):
    for at, values in enumerate((LOSS, OTHER)):
        put(tmp_path / "tb" / f"version_{at}" / EVENTS.format(1), "tensorboard", *curve("val_loss", values))
        put(tmp_path / "csv" / f"version_{at}" / "metrics.csv", "csv", *curve("val_loss", values))
    put(tmp_path / "csv" / "version_2" / "metrics.csv", "csv", *curve("val_loss", LOSS[::-1]))
    put(tmp_path / "tb" / "version_2" / EVENTS.format(1), "tensorboard", *curve("val_loss", OTHER[::-1]))
    assert sorted(told(tmp_path).values()) == ["csv", "tensorboard", "tensorboard + csv", "tensorboard + csv"]


def test_schedules_that_all_runs_share_prove_nothing(tmp_path: Path):
    put(tmp_path / "tb" / "v1" / EVENTS.format(1), "tensorboard", *curve("lr", LOSS), *curve("a", LOSS))
    put(tmp_path / "csv" / "v1" / "metrics.csv", "csv", *curve("lr", LOSS), *curve("b", LOSS))
    assert len(read(tmp_path)) == 2


def test_event_files_of_a_folder_are_one_run_and_a_resumed_curve_counts_from_where_it_resumes(tmp_path: Path):
    put(tmp_path / EVENTS.format(1), "tensorboard", *curve("loss", LOSS))
    put(tmp_path / EVENTS.format(2), "tensorboard", *curve("loss", [0.7, 0.6, 0.5], start=6))
    put(tmp_path / EVENTS.format(3), "tensorboard", "8 test_loss 0.9")
    (run,) = read(tmp_path)
    assert run.series["train/loss"].step.tolist() == list(range(1, 9))
    assert run.series["train/loss"].value.tolist() == [*LOSS[:5], 0.7, 0.6, 0.5]
    assert run.series["test/loss"].value.tolist() == [0.9]


def test_event_files_that_start_again_are_two_attempts(tmp_path: Path):
    put(tmp_path / "e" / EVENTS.format(9), "tensorboard", *curve("loss", LOSS))
    put(tmp_path / "e" / EVENTS.format(10), "tensorboard", *curve("loss", OTHER))
    runs = read(tmp_path)
    assert [run.name for run in runs] == ["e", "e (2)"]
    assert [run.series["train/loss"].value[1] for run in runs] == [LOSS[1], OTHER[1]]


def test_event_folders_of_splits_are_one_run(tmp_path: Path):
    put(tmp_path / "r" / "train" / EVENTS.format(1), "tensorboard", *curve("epoch_loss", LOSS))
    put(tmp_path / "r" / "validation" / EVENTS.format(2), "tensorboard", *curve("epoch_loss", OTHER))
    (run,) = read(tmp_path)
    assert run.name == "r"
    assert {name: s.value[1] for name, s in run.series.items()} == {"train/loss": LOSS[1], "val/loss": OTHER[1]}


def test_a_lone_folder_named_train_is_a_run(tmp_path: Path):
    for name in ("train", "train2", "train3"):
        put(tmp_path / name / "results.csv", "csv", *curve("loss", LOSS))
        put(tmp_path / name / EVENTS.format(1), "tensorboard", *curve("loss", LOSS))
    assert told(tmp_path) == dict.fromkeys(("train", "train2", "train3"), "tensorboard + csv")


def test_scalars_of_several_curves_in_folders_of_their_own_belong_to_the_run_above(tmp_path: Path):
    put(tmp_path / "r" / EVENTS.format(1), "tensorboard", *curve("lr", LOSS))
    put(tmp_path / "r" / "Loss_train" / EVENTS.format(1), "tensorboard", *curve("Loss", LOSS))
    put(tmp_path / "r" / "Loss_val" / EVENTS.format(1), "tensorboard", *curve("Loss", OTHER))
    put(tmp_path / "r" / "another" / EVENTS.format(1), "tensorboard", *curve("Loss", OTHER))
    runs = {run.name: run for run in read(tmp_path)}
    assert sorted(runs) == ["r", "r/another"]
    assert sorted(runs["r"].series) == ["lr/0", "train/loss", "val/loss"]


def test_files_of_splits_are_one_run(tmp_path: Path):
    put(tmp_path / "log_train.csv", "csv", *curve("loss", LOSS))
    put(tmp_path / "log_val.csv", "csv", *curve("loss", OTHER))
    put(tmp_path / "log_extra.csv", "csv", *curve("loss", OTHER))
    runs = read(tmp_path)
    assert len(runs) == 2
    assert any({"train/loss", "val/loss"} == set(run.series) for run in runs)


def test_copies_in_checkpoints_are_the_longest_one_and_what_contradicts_is_a_run(tmp_path: Path):
    for steps in (2, 5, 8):
        put(tmp_path / "out" / f"checkpoint-{steps}" / "state.json", "json", *curve("loss", LOSS[:steps]))
    put(tmp_path / "out" / "checkpoint-6" / "state.json", "json", *curve("loss", OTHER[:6]))
    runs = read(tmp_path)
    assert sorted(len(run.series["train/loss"]) for run in runs) == [6, 8]
    assert all(run.name.startswith("out/checkpoint-") for run in runs)
    put(tmp_path / "out" / "state.json", "json", *curve("loss", LOSS))
    assert sorted(len(run.series["train/loss"]) for run in read(tmp_path)) == [6, 8]


def test_equal_twins_in_one_folder_are_not_hidden(tmp_path: Path):
    put(tmp_path / "seed1.csv", "csv", *curve("loss", LOSS))
    put(tmp_path / "seed2.csv", "csv", *curve("loss", LOSS))
    assert told(tmp_path) == {"seed1.csv": "csv", "seed2.csv": "csv"}


def test_an_ending_without_curves_joins_the_only_run_below_it(tmp_path: Path):
    put(tmp_path / "job" / "slurm.out", "console", "event exception ValueError: x", "exit failed")
    put(tmp_path / "job" / "lightning_logs" / "version_0" / "metrics.csv", "csv", *curve("loss", LOSS))
    (run,) = read(tmp_path)
    assert (run.exit, run.source, run.events[0].step) == ("failed", "csv + console", 8)
    put(tmp_path / "job" / "lightning_logs" / "version_1" / "metrics.csv", "csv", *curve("loss", OTHER))
    assert len(read(tmp_path)) == 3


def test_several_runs_of_one_file_stay_apart(tmp_path: Path):
    path = put(tmp_path / "train.log", "console", *curve("loss", LOSS), "run", *curve("loss", OTHER))
    put(tmp_path / "last.csv", "csv", *curve("loss", OTHER))
    assert [run.name for run in read(path)] == ["train.log", "train.log (2)"]
    assert {(run.source, run.series["train/loss"].value[1]) for run in read(tmp_path)} == {
        ("console", LOSS[1]), ("csv + console", OTHER[1]),
    }  # fmt: skip


def test_of_a_series_in_two_sources_the_longer_one_is_taken_whole(tmp_path: Path):
    put(tmp_path / "a.csv", "csv", *curve("loss", LOSS[::2], every=2))
    put(tmp_path / "b.log", "console", *curve("loss", LOSS))
    (run,) = read(tmp_path)
    assert run.series["train/loss"].value.tolist() == LOSS


def test_epochs_are_put_on_the_clock_of_steps_where_a_shared_curve_says_how(tmp_path: Path):
    put(
        tmp_path / EVENTS.format(1), "tensorboard", *curve("val_loss", LOSS, start=100, every=100), *curve("loss", LOSS)
    )
    put(tmp_path / "a.csv", "csv", *(f"epoch {e} val_loss {v}" for e, v in enumerate(LOSS, 1)),
        *(f"epoch {e} f1 {v}" for e, v in enumerate(OTHER, 1)))  # fmt: skip
    (run,) = read(tmp_path)
    assert run.series["f1"].step.tolist() == [100 * k for k in range(1, 9)]


def test_epochs_stay_epochs_where_nothing_says_how(tmp_path: Path):
    put(tmp_path / EVENTS.format(1), "tensorboard", *curve("loss", LOSS, start=100, every=100))
    put(tmp_path / "a.csv", "csv", *(f"epoch {e} f1 {v}" for e, v in enumerate(OTHER[:3], 1)))
    (run,) = read(tmp_path)
    assert run.series["f1"].step.tolist() == [1, 2, 3]


def test_what_a_log_claims_is_nobody_elses(tmp_path: Path):
    put(tmp_path / "r" / "run.wandb", "wandb", *curve("loss", LOSS), "claim files")
    put(tmp_path / "r" / "files" / "output.log", "console", *curve("loss", OTHER))
    (tmp_path / "r" / "files" / "config.yaml").write_text("lr: 7\n")
    (run,) = read(tmp_path)
    assert (run.source, run.config) == ("wandb", {})


def test_a_damaged_file_and_a_readers_own_fault_stop_nothing_else(tmp_path: Path):
    put(tmp_path / "a" / "x.csv", "csv", *curve("loss", LOSS), "run", *curve("loss", OTHER), "broken")
    put(tmp_path / "b" / "x.csv", "csv", *curve("loss", LOSS), "bug")
    put(tmp_path / "c" / "x.csv", "csv", *curve("loss", LOSS))
    runs = read(tmp_path)
    assert [run.name for run in runs] == ["a", "c"]
    assert runs[0].unread == ("x.csv: broken here",)
    assert len(runs.unread) == 1
    assert "the csv reader broke (IndexError: by design)" in runs.unread[0]


def test_names_with_odd_bytes_can_be_printed(tmp_path: Path):
    odd = tmp_path / b"caf\xe9-\x1b[31m".decode("utf-8", "surrogateescape")
    put(odd / "a.csv", "csv", *curve("loss", LOSS))
    put(odd / "b.csv", "csv", "broken")
    runs = read(tmp_path)
    for text in (*(run.name for run in runs), *runs.unread):
        text.encode("utf-8")
        assert "\x1b" not in text
    assert runs[0].name == "caf\\xe9-\\x1b[31m"


def test_a_nan_curve_is_no_evidence_but_no_contradiction_either(tmp_path: Path):
    put(tmp_path / "x" / "v1" / "a.csv", "csv", *curve("loss", [np.nan] * 8))
    put(tmp_path / "y" / "v1" / "a.json", "json", *curve("loss", [np.nan] * 8))
    put(tmp_path / "z" / "a.csv", "csv", *curve("loss", [np.nan] * 8))
    put(tmp_path / "z" / "a.log", "console", *curve("loss", [np.nan] * 8))
    assert sorted(told(tmp_path).values()) == ["csv", "csv + console", "json"]


@pytest.mark.parametrize("exits", [("finished", "failed", "failed"), ("unknown", "finished", "finished")])
def test_the_most_telling_exit_counts(tmp_path: Path, exits: tuple[str, str, str]):
    put(tmp_path / "a.csv", "csv", *curve("loss", LOSS), f"exit {exits[0]}")
    put(tmp_path / "a.log", "console", f"exit {exits[1]}")
    (run,) = read(tmp_path)
    assert run.exit == exits[2]


def test_a_log_in_which_nothing_was_logged_is_said_and_is_no_run(tmp_path: Path):
    put(tmp_path / "a" / EVENTS.format(1), "tensorboard")
    put(tmp_path / "b" / EVENTS.format(2), "tensorboard", *curve("loss", LOSS))
    put(tmp_path / "c" / EVENTS.format(3), "tensorboard", "exit failed")
    found = read(tmp_path)
    assert [run.name for run in found] == ["b", "c"]
    assert [said.rpartition(": ")[2] for said in found.unread] == [
        "a log by its look (tensorboard), but without a value in it"
    ]

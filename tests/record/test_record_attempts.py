"""Which folder a run gets, and how the attempts and ranks in it are joined."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from record.sample_record import opened
from tocsin import record
from tocsin.record import manifest
from tocsin.run import Evaluation, Event


def steps(writer, first, last, value, t=0.0):
    writer.rows([(step, None, t + 0.1 * step, {"train/loss": value}) for step in range(first, last + 1)])
    assert writer.flush()


def test_a_later_attempt_wins_from_its_first_step(folder: Path):
    first = opened(folder, start=1000.0)
    steps(first, 0, 100, 1.0)
    for step in (0, 50, 90):
        first.evaluation(Evaluation("val", "main", step, "ids", 1, time=0.1 * step))
        first.event(Event("end_epoch", step=step, time=0.1 * step, data={"epoch": 1 + step // 50}))
    first.close("interrupted")
    second = opened(folder, config={"lr": 2.0}, start=1100.0)
    assert (second.attempt, second.folder, second.renamed_from) == (2, folder, None)
    assert record.read(folder).exit == "running"
    steps(second, 81, 120, 2.0)
    second.evaluation(Evaluation("val", "main", 110, "ids", 1, time=3.0))
    second.close("finished")
    run = record.read(folder)
    loss = run.series["train/loss"]
    assert loss.step.tolist() == list(range(121))
    assert loss.value.tolist() == [1.0] * 81 + [2.0] * 40
    assert [e.step for e in run.evaluations] == [0, 50, 110]
    assert [e.step for e in run.events] == [0, 50]
    assert loss.time[81] == pytest.approx(100 + 8.1)
    assert run.evaluations[-1].time == pytest.approx(103)
    told = json.loads((folder / "run.json").read_text())
    assert [a["exit"] for a in told["attempts"]] == ["interrupted", "finished"]
    assert told["attempts"][0]["config"] == {"lr": 1e-3}
    assert run.config == {"lr": 2.0}


def test_the_checkpoint_step_says_exactly_what_stands(folder: Path):
    first = opened(folder)
    steps(first, 1, 100, 1.0)
    first.evaluation(Evaluation("val", "main", 80, "ids", 1))
    first.close("failed", "boom")
    second = opened(folder, after=80)
    steps(second, 80, 80, 2.0)  # learning rate at the checkpoint: replaces nothing
    assert len(record.read(folder).series["train/loss"]) == 101
    steps(second, 85, 90, 2.0)  # sampled from 85 on, but it ran from 81
    run = record.read(folder)
    assert run.series["train/loss"].step.tolist() == [*range(1, 81), 80, *range(85, 91)]
    assert [e.step for e in run.evaluations] == [80]
    second.close("finished")


def test_an_attempt_from_scratch_replaces_all(folder: Path):
    first = opened(folder)
    steps(first, 0, 30, 1.0)
    first.event(Event("warning", "from the first attempt"))
    first.close("failed")
    second = opened(folder, after=0)
    assert len(record.read(folder).series["train/loss"]) == 31, "nothing is replaced before it has got anywhere"
    steps(second, 0, 5, 2.0)
    second.close("failed")
    run = record.read(folder)
    assert run.series["train/loss"].value.tolist() == [2.0] * 6
    assert run.events == ()
    assert run.exit == "failed"


def test_a_writer_left_open_in_this_process_does_not_bar_the_next(folder: Path):
    left_open = opened(folder)
    steps(left_open, 1, 3, 1.0)
    second = opened(folder)
    assert (second.folder, second.attempt) == (folder, 2)
    steps(second, 1, 2, 2.0)
    left_open.close("interrupted")
    assert record.read(folder).exit == "running", "the end of the run is the later attempt's to say"
    second.close("finished")
    run = record.read(folder)
    assert (run.exit, run.series["train/loss"].value.tolist()) == ("finished", [2.0, 2.0])


def test_a_clock_set_back_between_attempts_does_not_turn_time_around(folder: Path):
    for start, after in ((2000.0, 0), (500.0, 10), (9e9, 20)):
        writer = opened(folder, start=start, after=after)
        steps(writer, after + 1, after + 10, 0.0)
        writer.close("interrupted")
    time_ = record.read(folder).series["train/loss"].time
    assert (time_[1:] > time_[:-1]).all()


def test_a_finished_run_is_left_alone(folder: Path):
    opened(folder, name="mine").close("finished")
    before = (folder / "run.json").read_bytes()
    second = opened(folder, name="mine")
    assert (second.folder, second.renamed_from, second.attempt) == (folder.with_name("first-2"), folder, 1)
    second.close("finished")
    third = opened(folder)
    third.close("failed")
    assert third.folder.name == "first-3"
    assert (folder / "run.json").read_bytes() == before
    assert [record.read(f).name for f in record.find(folder.parent)] == ["mine", "mine-2", "first-3"]


def test_a_run_that_another_process_writes_is_left_alone(folder: Path):
    opened(folder).close("failed")
    told = json.loads((folder / "run.json").read_text())
    with subprocess.Popen(["sleep", "30"]) as other:
        process = {"pid": other.pid, "process_start": manifest.process_start(other.pid)}
        last = {k: v for k, v in told["attempts"][0].items() if k not in ("exit", "end", "error")}
        (folder / "run.json").write_text(json.dumps({**told, "exit": None, "attempts": [{**last, **process}]}))
        assert record.read(folder).exit == "running"
        second = opened(folder)
        second.close("failed")
        assert second.folder.name == "first-2"
        other.kill()
    assert record.read(folder).exit == "killed"
    third = opened(folder)
    assert (third.folder, third.attempt) == (folder, 2)
    third.close("finished")


def test_another_process_with_the_same_number_is_not_the_writer(folder: Path):
    writer = opened(folder)
    assert record.read(folder).exit == "running"
    told = json.loads((folder / "run.json").read_text())
    told["attempts"][0]["process_start"] -= 1
    (folder / "run.json").write_text(json.dumps(told))
    assert record.read(folder).exit == "killed"
    writer.close("finished")
    assert record.read(folder).exit == "finished"


def test_on_another_machine_silence_means_killed(folder: Path, monkeypatch: pytest.MonkeyPatch):
    writer = opened(folder)
    monkeypatch.setattr(manifest.socket, "gethostname", lambda: "another machine")
    assert record.read(folder).exit == "running"
    now = time.time()
    monkeypatch.setattr(manifest.time, "time", lambda: now + manifest.SILENCE_SECONDS + 1)
    assert record.read(folder).exit == "killed"
    writer.close("finished")


def test_a_folder_with_other_things_is_refused(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(record.RecordError, match=r"found 'thesis.tex'"):
        opened(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_record_of_another_version_is_refused(folder: Path):
    opened(folder).close("failed")
    (folder / "run.json").write_text('{"schema": "tocsin.record/2"}')
    for use in (record.read, opened):
        with pytest.raises(record.RecordError, match="upgrade tocsin"):
            use(folder)


def test_checkpoints_may_be_there_first(folder: Path):
    (folder / "checkpoints").mkdir(parents=True)
    writer = opened(folder)
    assert writer.folder == folder
    writer.close("finished")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_ranks_are_joined_on_reading(folder: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[int, ...]):
    writers = {}
    for rank in order:
        monkeypatch.setenv("RANK", str(rank))
        writers[rank] = opened(folder)
    for rank, writer in writers.items():
        steps(writer, 1, 3, float(rank))
        writer.evaluation(Evaluation("val", "main", 3, "ids", 1))
        writer.event(Event("warning", f"from {rank}", 3))
        writer.event(Event("end_epoch", step=2, data={"epoch": 1}))
        writer.close("finished")
    assert record.find(folder) == [folder]
    run = record.read(folder)
    names = ["train/loss", "rank1/train/loss", "rank2/train/loss"]
    assert list(run.series) == names
    assert [run.series[name].value.tolist() for name in names] == [[float(rank)] * 3 for rank in range(3)]
    assert run.series["rank1/train/loss"].epoch.tolist() == [1, 1, 2]
    assert [e.split for e in run.evaluations] == ["val", "rank1/val", "rank2/val"]
    assert [(e.text, e.data.get("rank")) for e in run.events if e.kind == "warning"] == [
        ("from 0", None), ("from 1", 1), ("from 2", 2),
    ]  # fmt: skip
    assert sum(e.kind == "end_epoch" for e in run.events) == 1
    assert run.unread == ()


def test_ranks_agree_on_the_sibling_of_a_finished_run(folder: Path, monkeypatch: pytest.MonkeyPatch):
    opened(folder).close("finished")
    writers = []
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        writers.append(opened(folder))
    assert {w.folder.name for w in writers} == {"first-2"}
    for writer in writers:
        writer.close("finished")

"""The writer never raises, never waits, counts what it drops, and is silent in a forked child."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from record.sample_record import CLASSES, FINDING, PARAMETERS, fill, opened
from tocsin import record
from tocsin.record import appending, layout, writing
from tocsin.run import Evaluation, Event


def row(step, **values):
    return [(step, None, 0.0, values or {"train/loss": 1.0})]


def test_all_that_is_given_is_soon_on_disk(folder: Path):
    writer = opened(folder)
    writer.rows(row(1))
    time.sleep(writing.FLUSH_SECONDS)
    deadline = time.monotonic() + 5
    while not (series := record.read(folder).series) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(series["train/loss"]) == 1
    writer.close("finished")


@pytest.mark.parametrize("what", ["finding", "evaluation", "exception"])
def test_what_matters_is_written_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch, what: str):
    monkeypatch.setattr(writing, "FLUSH_SECONDS", 3600.0)
    writer = opened(folder)
    time.sleep(0.05)
    writer.rows(row(1))
    say = {
        "finding": lambda: writer.finding(FINDING),
        "evaluation": lambda: writer.evaluation(CLASSES),
        "exception": lambda: writer.event(Event("exception", "boom")),
    }
    say[what]()
    deadline = time.monotonic() + 10
    while not (series := record.read(folder).series) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "train/loss" in series, "rows given before it are written before it"
    writer.close("failed", "boom")


def test_segments_rotate_and_are_read_as_one(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(layout, "SEGMENT_BYTES", 2000)
    writer = opened(folder)
    writer.rows([(k, None, 0.0, {"train/loss": float(k)}) for k in range(1, 301)])
    writer.close("finished")
    sizes = [p.stat().st_size for p in sorted((folder / "rank0").iterdir())]
    assert len(sizes) > 5
    assert max(sizes) <= 2100
    assert record.read(folder).series["train/loss"].value.tolist() == list(range(1, 301))


def test_overflow_is_dropped_and_counted(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writing, "QUEUE_POINTS", 100)
    held, release = threading.Event(), threading.Event()
    write = os.write

    def stuck(descriptor, data):
        held.set()
        release.wait(20)
        return write(descriptor, data)

    monkeypatch.setattr(appending.os, "write", stuck)
    writer = opened(folder)
    writer.event(Event("warning", "hold the thread"))
    assert held.wait(10)
    for step in range(1, 151):
        writer.rows(row(step))
    writer.evaluation(CLASSES)
    release.set()
    writer.close("finished")
    assert writer.dropped == 50
    run = record.read(folder)
    assert run.series["train/loss"].step.tolist() == list(range(1, 101))
    assert len(run.evaluations) == 1, "rows make room for nothing else to be lost"


def test_numbers_of_other_libraries_are_taken_and_odd_ones_counted(folder: Path):
    writer = opened(folder)
    writer.rows([(np.int64(1), np.int32(2), np.float32(0.5), {"a": np.float32(0.1), "b": np.int64(3), "c": True})])
    writer.rows([(2, None, 0.0, {"a": "words", "b": 1.0})])
    writer.rows([(3, None, 0.0, {"a": None})])
    writer.event(Event("note", data={"odd": object(), "set": {1}, "array": np.arange(2), "huge": 10**5000}))
    writer.rows([(5, None)])
    writer.rows([(6, None, 0.0, 3.0)])
    writer.rows([(4, None, 0.0, {"a": 4.0})])
    writer.close("finished")
    run = record.read(folder)
    assert run.series["a"].value.tolist() == [float(np.float32(0.1)), 4.0]
    assert run.series["b"].step.tolist() == [1]
    assert run.events[0].data["array"] == [0, 1]
    assert writer.dropped == 5
    assert writer.trouble is None


def test_an_odd_configuration_is_kept_as_text(folder: Path):
    class Bad:
        def __str__(self) -> str:
            raise RuntimeError

    loop: list[object] = []
    loop.append(loop)
    writer = opened(folder, config={"path": Path("a"), "bad": Bad(), 3: np.float32(2), "loop": loop, "lone": "\ud800"})
    writer.close("finished")
    config = record.read(folder).config
    assert (config["path"], config["bad"], config["3"], config["lone"]) == ("a", "<Bad>", 2.0, "?")


def test_a_file_in_place_of_the_folder(tmp_path: Path):
    (tmp_path / "taken").write_text("a file")
    for path in (tmp_path / "taken", tmp_path / "taken" / "below"):
        writer = opened(path)
        assert writer.dead
        assert "no record can be written" in writer.trouble
        fill_without_flush(writer)
        assert not writer.flush()
        writer.close("finished")
        assert writer.dropped == 1
    assert (tmp_path / "taken").read_text() == "a file"


def fill_without_flush(writer):
    writer.rows(row(1))
    writer.evaluation(CLASSES)
    writer.event(Event("exception", "boom"))
    writer.finding(FINDING)
    writer.parameters(PARAMETERS, 0)


def test_an_unwritable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    writer = opened(tmp_path / "run")
    assert writer.dead
    assert "Permission denied" in writer.trouble
    writer.close("finished")


def test_a_full_disk_at_the_start(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    writer = opened(folder)
    assert writer.dead
    assert "No space left" in writer.trouble
    assert not list(folder.iterdir()), "what cannot become a record leaves nothing behind"
    writer.close("finished")


@pytest.mark.parametrize("room", [0, 3000])
def test_a_full_disk_later(folder: Path, monkeypatch: pytest.MonkeyPatch, room: int):
    write, left = os.write, [room]

    def nearly_full(descriptor, data):
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = write(descriptor, bytes(data)[: left[0]])
        left[0] -= done
        return done

    monkeypatch.setattr(appending.os, "write", nearly_full)
    writer = opened(folder)
    for step in range(1, 401):
        writer.rows(row(step))
    assert not writer.flush()
    assert writer.trouble.count("No space left") == 1
    writer.rows(row(401))
    fill_without_flush(writer)
    writer.close("finished")
    run = record.read(folder)
    kept = run.series["train/loss"].step.tolist() if "train/loss" in run.series else []
    assert kept == list(range(1, len(kept) + 1))
    assert (len(kept) > 0) == (room > 0)
    assert writer.dropped >= 402 - len(kept)
    assert run.exit == "finished", "run.json still found room"


LIMITED = """
import resource, sys
from tocsin import record
writer = record.open_record(sys.argv[1], config={}, environment={})
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
for step in range(1, 2001):
    writer.rows([(step, None, 0.0, {"train/loss": 1.0})])
writer.flush()
print(writer.trouble)
writer.close("finished")
print("trained to the end")
"""


def test_a_real_file_limit_does_not_stop_training(folder: Path):
    done = subprocess.run([sys.executable, "-c", LIMITED, str(folder)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cannot be written any more: File too large" in done.stdout
    assert "trained to the end" in done.stdout
    assert 0 < len(record.read(folder).series["train/loss"]) < 2000


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_clock_jumps_change_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch, jump: float):
    writer = opened(folder)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + jump)
    fill(writer)
    assert record.read(folder).exit == "running"
    writer.close("finished")
    assert len(record.read(folder).series["train/loss"]) == 40
    import json

    told = json.loads((folder / "run.json").read_text())
    assert 0 <= told["end"] - told["start"] < 60


def test_a_forked_child_writes_nothing(folder: Path):
    writer = opened(folder)
    writer.rows(row(1))  # still in the queue: an ordinary buffer would be written by both
    child = os.fork()
    if not child:
        status = 1
        try:
            for step in range(2, 50):
                writer.rows(row(step))
            fill_without_flush(writer)
            refused = not writer.flush(0.1) and writer.dead
            writer.close("failed", "in the child")
            writing._flush_at_exit()
            status = 0 if refused else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writer.rows(row(50))
    writer.close("finished")
    run = record.read(folder)
    assert run.series["train/loss"].step.tolist() == [1, 50]
    assert (run.evaluations, run.events, run.exit) == ((), (), "finished")


def test_a_child_may_record_a_run_of_its_own(folder: Path):
    writer = opened(folder)
    child = os.fork()
    if not child:
        try:
            own = opened(folder.with_name("child"))
            own.rows(row(1))
            own.close("finished")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    writer.close("finished")
    assert len(record.read(folder.with_name("child")).series["train/loss"]) == 1


def test_a_signal_handler_may_write_too(folder: Path):
    writer = opened(folder)
    before = signal.signal(signal.SIGALRM, lambda *_: writer.event(Event("warning", "in a handler")))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for step in range(1, 3001):
            writer.rows(row(step))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    writer.close("finished")
    run = record.read(folder)
    assert len(run.series["train/loss"]) == 3000
    assert run.events


def test_writing_while_writing_does_not_deadlock(folder: Path):
    writer = opened(folder)

    def handler_in_the_middle_of_a_call() -> None:
        with writer._lock:
            writer.rows(row(1))
            writer.event(Event("warning"))

    thread = threading.Thread(target=handler_in_the_middle_of_a_call, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    writer.close("finished")


def test_an_unclosed_writer_is_flushed_at_exit(folder: Path):
    script = """
import sys
from tocsin import record
writer = record.open_record(sys.argv[1], config={}, environment={})
writer.rows([(1, None, 0.0, {"train/loss": 1.0})])
"""
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, timeout=60)
    run = record.read(folder)
    assert len(run.series["train/loss"]) == 1
    assert run.exit == "killed"


def test_the_second_close_and_later_calls_do_nothing(recorded: Path, folder: Path):
    writer = opened(folder)
    writer.close("finished")
    writer.close("failed")
    fill_without_flush(writer)
    assert writer.dropped == 1
    assert record.read(writer.folder).exit == "finished"
    assert record.read(recorded).exit == "finished"


def test_a_changed_working_directory_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    writer = opened(Path("run"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    fill(writer)
    writer.close("finished")
    assert not list((tmp_path / "elsewhere").iterdir())
    assert record.read(tmp_path / "run").exit == "finished"


def test_a_line_too_long_is_refused_in_words(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(layout, "LINE_BYTES", 500)
    writer = opened(folder)
    writer.evaluation(Evaluation("val", "main", 1, "ids", 1, metrics={f"metric {k}": 0.0 for k in range(100)}))
    writer.rows(row(1, **{f"series{k}": 0.0 for k in range(100)}))
    writer.rows(row(2))
    writer.close("finished")
    run = record.read(folder)
    assert "was not kept" in run.events[0].text
    assert writer.dropped == 101
    assert list(run.series) == ["train/loss"]


def test_giving_is_cheap(folder: Path, record_property):
    writer = opened(folder)
    batch = [(1, None, 0.0, {f"series{k}": 0.5 for k in range(10)})]
    began = time.thread_time()
    for _ in range(2000):
        writer.rows(batch)
    each = (time.thread_time() - began) / 2000
    record_property("figure", f"record: {1e6 * each:.1f} us of the caller's CPU time for a row of 10 values")
    writer.close("finished")
    assert each < 50e-6

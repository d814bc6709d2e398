"""``kill -9`` of real processes at random times: each run is readable and lost at most the last second."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tocsin import record

PROCESSES = 24
PROMISE_S = 1.0

# Prints, unbuffered, "step time" after each row was given, so that what the writer had been given is known.
TRAINS = """
import os, sys, time
from tocsin import record
from tocsin.run import Confusion, Evaluation, Event
from tocsin.record import compaction, layout
assert not {"torch", "duckdb"} & set(sys.modules)
layout.SEGMENT_BYTES, compaction.COMPACT_BYTES = 4000, 1
writer = record.open_record(sys.argv[1], config={}, environment={})
stop_at = int(sys.argv[2])
for step in range(1, stop_at + 1):
    writer.rows([(step, None, 0.0, {"train/loss": step / 3, "bad": float("nan")})])
    os.write(1, f"{step} {time.monotonic()}\\n".encode())
    if step % 400 == 0:
        writer.evaluation(Evaluation("val", "main", step, "classes", 9, confusion=Confusion.of([[4, 1], [2, 2]])))
        writer.event(Event("end_epoch", step=step, data={"epoch": step // 400}))
    time.sleep(0.002)
writer.close("finished")
"""


def start(folder: Path, stop_at: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", TRAINS, str(folder), str(stop_at)]
    with (folder.parent / f"{folder.name}.log").open("w") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.PIPE, text=True)


def given(folder: Path) -> list[tuple[int, float]]:
    """(step, time) of each row that the writer was given, as the killed process said."""
    lines = (folder.parent / f"{folder.name}.log").read_text().split("\n")[:-1]
    return [(int(step), float(at)) for step, at in map(str.split, lines)]


def check_survivor(folder: Path, killed_at: float) -> int:
    """Check one killed run; returns how many rows were lost."""
    rows = given(folder)
    run = record.read(folder)
    assert run.exit in ("killed", "finished")
    assert run.unread == ()
    slowest = max([b - a for (_, a), (_, b) in itertools.pairwise(rows)], default=0.0)
    owed = [step for step, at in rows if at < killed_at - PROMISE_S - slowest]
    kept = run.series.get("train/loss")
    steps = [] if kept is None else kept.step.tolist()
    assert steps == list(range(1, len(steps) + 1)), "a hole, or rows twice"
    assert kept is None or kept.value.tolist() == [step / 3 for step in steps]
    assert len(steps) >= len(owed)
    assert [e.step for e in run.evaluations] == [400 * k for k in range(1, len(run.evaluations) + 1)]
    assert len(run.evaluations) >= len(owed) // 400
    return len(rows) - len(steps)


def wait_for_rows(folder: Path) -> None:
    """Until the process has given its first row: starting Python takes as long as the machine likes."""
    log, deadline = folder.parent / f"{folder.name}.log", time.monotonic() + 30
    while not log.stat().st_size and time.monotonic() < deadline:
        time.sleep(0.01)


def kill(process: subprocess.Popen[str]) -> float:
    """Kill at once; returns when."""
    process.send_signal(signal.SIGKILL)
    killed_at = time.monotonic()
    _, errors = process.communicate(timeout=20)
    assert errors == ""
    return killed_at


def test_kill_at_random_times_leaves_a_readable_run(tmp_path: Path, record_property):
    chance = random.Random(20)
    lost = []
    for batch in range(PROCESSES // 8):
        running = []
        for k in range(8):
            folder = tmp_path / f"run{batch}-{k}"
            # every fourth is killed about its close, while it compacts; the others while they train
            lifetime = chance.uniform(1.0, 1.6) if k % 4 == 0 else chance.uniform(0.0, 2.2)
            running.append((lifetime, folder, start(folder, 500 if k % 4 == 0 else 100_000)))
        for _, folder, _ in running:
            wait_for_rows(folder)
        began = time.monotonic()
        for lifetime, folder, process in sorted(running, key=lambda each: each[0]):
            time.sleep(max(0.0, began + lifetime - time.monotonic()))
            lost.append(check_survivor(folder, kill(process)))
    assert len(lost) == PROCESSES
    record_property("figure", f"record: {len(lost)} kills, {max(lost)} rows lost at most (one each 2 ms)")


def test_kill_while_it_opens(tmp_path: Path):
    chance = random.Random(4)
    for k in range(6):
        folder = tmp_path / f"run{k}"
        process = start(folder, 100_000)
        time.sleep(chance.uniform(0.05, 0.35))
        killed_at = kill(process)
        if (folder / "run.json").exists():
            check_survivor(folder, killed_at)
        else:
            assert folder not in record.find(tmp_path)


def test_a_killed_run_goes_on(tmp_path: Path):
    folder = tmp_path / "run"
    for attempt in range(3):
        process = start(folder, 100_000)
        wait_for_rows(folder)
        time.sleep(0.6)
        if attempt == 1:
            assert record.read(folder).exit == "running"
        kill(process)
    run = record.read(folder)
    loss = run.series["train/loss"]
    assert loss.step.tolist() == list(range(1, len(loss) + 1)), "each began at step 1, so the last one stands"
    writer = record.open_record(folder, config={}, environment={})
    assert writer.attempt == 4
    writer.close("finished")

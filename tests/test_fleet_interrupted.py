"""A big check that is stopped from outside: it ends soon, says nothing alarming and leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")

MAIN = """
import os, sys, time
from tocsin import fleet
from tocsin.cli import main

def endless(self, job):
    open(sys.argv[2] + f"/{os.getpid()}", "w").close()
    time.sleep(600)

fleet._Order.carry_out = endless  # also in the workers, which import this module again
if __name__ == "__main__":
    sys.exit(main(["check", sys.argv[1], "--workers", "2"]))
"""


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def until(what, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def busy(tmp_path: Path):
    """A check whose two workers never end, and the numbers of their processes."""
    for k in range(8):
        (tmp_path / "logs" / f"run_{k}").mkdir(parents=True)
        rows = "".join(f"{n},{1 / n}\n" for n in range(1, 20))
        (tmp_path / "logs" / f"run_{k}" / "metrics.csv").write_text(f"step,train_loss\n{rows}")
    (tmp_path / "main.py").write_text(MAIN)
    marks = tmp_path / "marks"
    marks.mkdir()
    words = [sys.executable, str(tmp_path / "main.py"), str(tmp_path / "logs"), str(marks)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert until(lambda: len(list(marks.iterdir())) == 2)
            yield process, [int(mark.name) for mark in marks.iterdir()]
        finally:
            for each in (process.pid, *(int(mark.name) for mark in marks.iterdir())):
                if alive(each):
                    os.kill(each, signal.SIGKILL)


@pytest.mark.parametrize("everybody", [True, False], ids=["from the keyboard", "to the parent alone"])
def test_ctrl_c(busy, everybody):
    process, workers = busy
    begun = time.monotonic()
    (os.killpg if everybody else os.kill)(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "")
    assert time.monotonic() - begun < 5
    assert until(lambda: not any(map(alive, workers)))


def test_a_parent_that_is_killed_takes_its_workers_along(busy):
    process, workers = busy
    process.kill()
    process.wait(10)
    assert until(lambda: not any(map(alive, workers)))

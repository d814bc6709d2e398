"""How runs end: tracebacks with and without a head, words of launchers, shells and schedulers."""

from __future__ import annotations

import pytest

from readers.console.reading import kinds, run, runs
from tocsin.readers.console.sniffing import looks_like_training
from tocsin.readers.file import File

STEPS = "Epoch 1/9 train_loss 2.5 val_loss 2.6\nEpoch 2/9 train_loss 1.5 val_loss 1.6\n"
FRAME = '  File "/home/u/train.py", line 10, in main\n    loss.backward()\n'


@pytest.mark.parametrize(
    ("words", "exit_", "kind"),
    [
        (f"Traceback (most recent call last):\n{FRAME}torch.OutOfMemoryError: CUDA", "failed", "OutOfMemoryError"),
        (f"{FRAME}a.b.errors.ChildFailedError: ", "failed", "ChildFailedError"),
        (f"^CTraceback (most recent call last):\n{FRAME}KeyboardInterrupt", "interrupted", "KeyboardInterrupt"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2023-01-02T10:00:00 DUE TO TIME LIMIT ***", "killed", ""),
        ("./run.sh: line 3: 12345 Killed                  python train.py", "killed", ""),
        ("Error locating target 'a.b.Trainer', set env var HYDRA_FULL_ERROR=1", "failed", "InstantiationException"),
        ("train.py: error: unrecognized arguments: --local_rank=0", "failed", "SystemExit"),
    ],
)  # fmt: skip
def test_last_words(words, exit_, kind):
    found = run(f"{STEPS}{words}\n")
    assert found.exit == exit_
    (event,) = [event for event in found.events if event.kind == "exception"]
    assert event.data["type"] == kind
    assert event.step == 2


def test_frames_without_a_head_are_kept():
    found = run(f"{FRAME}torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n")
    assert "/home/u/train.py" in found.events[0].text


def test_training_that_goes_on_was_not_ended():
    more = "".join(f"Epoch {n}/9 train_loss 1.5 val_loss 1.6\n" for n in range(3, 8))
    found = run(f"{STEPS}Traceback (most recent call last):\n{FRAME}RuntimeError: CUDA out of memory\n{more}")
    assert found.exit == "unknown"
    assert "message" in kinds(found)


def test_a_line_of_another_stream_comes_late():
    found = run(f"{STEPS}slurmstepd: error: Detected 1 oom-kill event(s)\nEpoch 3/9 train_loss 1.5 val_loss 1.6\n")
    assert found.exit == "killed"


@pytest.mark.parametrize(
    "text",
    [
        f"{FRAME}torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n=====\ntrain.py FAILED\n",
        "Error executing job with overrides: ['lr=0.1']\nError locating target 'src.model.Net', set env var\n",
        f"Traceback (most recent call last):\n{FRAME}ModuleNotFoundError: No module named 'torch'\n",
        "usage: train.py [-h] [--epochs N]\ntrain.py: error: unrecognized arguments: --local-rank=1\n",
    ],
)
def test_a_start_that_failed_is_a_run(tmp_path, text):
    path = tmp_path / "slurm-7.out"
    path.write_text(text)
    assert looks_like_training(File(path))
    assert run(text).exit == "failed"


def test_the_last_state_of_a_bar_beside_the_end():
    bar = "Epoch 1: 100%|████| 9/9 [00:01<00:00, v_num=0, loss={}, val_loss=0.5]"
    found = run(bar.format(0.75) + "\n" + bar.format(0.75) + "`Trainer.fit` stopped: `max_epochs=2` reached.\n")
    assert found.exit == "finished"
    assert set(found.series) == {"train/loss", "val/loss"}
    assert len(found.series["val/loss"]) == 1


def test_a_scale_of_darknet_is_broken_only_where_it_holds_objects():
    line = "Region 82 Avg IOU: nan, Class: nan, Obj: nan, No Obj: nan, .5R: 0.0,  count: {}\n"
    assert kinds(run(line.format(2) + line.format(1))) == ["message"]
    assert runs(line.format(0) * 3) == []


def test_norms_told_in_words():
    found = run(f"{STEPS}2018-05-23 13:05:13,682 (asr:132) WARNING: grad norm is nan. Do not update model.\n")
    assert "message" in kinds(found)

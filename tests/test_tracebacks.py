"""Tracebacks and fatal messages in the shapes that consoles, launchers and schedulers leave them in."""

from __future__ import annotations

import sys
import traceback
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.run import Event
from tocsin.tracebacks import MOST_FRAMES, Failure, Frame, failures, parse

PLAIN = """
2024-03-01 10:00:00 INFO loading
Traceback (most recent call last):
  File "/home/ann/proj/train.py", line 88, in <module>
    main(args)
    ~~~~^^^^^^
  File "/home/ann/proj/src/data.py", line 12, in load
    return np.load(path)
  File "/home/ann/.venv/lib/python3.11/site-packages/numpy/lib/npyio.py", line 427, in load
    fid = stack.enter_context(open(os_fspath(file), "rb"))
FileNotFoundError: [Errno 2] No such file or directory: 'x.npy'
"""

CHAINED = """
Traceback (most recent call last):
  File "train.py", line 5, in build
    return REGISTRY[name]
KeyError: 'resnet51'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "train.py", line 20, in <module>
    build("resnet51")
  File "train.py", line 7, in build
    raise ValueError(f"unknown model {name}")
ValueError: unknown model resnet51
"""

TORCHRUN = """
[rank0]: Traceback (most recent call last):
[rank0]:   File "/data/train.py", line 31, in <module>
[rank0]:     from torch._six import inf
[rank0]: ModuleNotFoundError: No module named 'torch._six'
E0301 10:00:01 torch/distributed/elastic/multiprocessing/api.py:826] failed (exitcode: 1) local_rank: 0 (pid: 77)
Traceback (most recent call last):
  File "/opt/conda/bin/torchrun", line 33, in <module>
    sys.exit(load_entry_point('torch', 'console_scripts', 'torchrun')())
  File "/opt/conda/lib/python3.10/site-packages/torch/distributed/run.py", line 806, in main
    run(args)
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
------------------------------------------------------------
Failures:
  <NO_OTHER_FAILURES>
Root Cause (first observed failure):
[0]:
  time      : 2024-03-01_10:00:01
  rank      : 0 (local_rank: 0)
  exitcode  : 1 (pid: 77)
"""

CHILD_ALONE = """
Traceback (most recent call last):
  File "/opt/conda/lib/python3.10/site-packages/torch/distributed/run.py", line 806, in main
    run(args)
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
------------------------------------------------------------
  exitcode  : -9 (pid: 77)
  traceback : Signal 9 (SIGKILL) received by PID 77
"""

ARGPARSE = """
usage: train.py [-h] [--lr LR]
train.py: error: unrecognized arguments: --learning_rate 1e-3
"""

WORKER = """
Traceback (most recent call last):
  File "train.py", line 40, in <module>
    for batch in loader:
  File "/usr/lib/python3/dist-packages/torch/utils/data/dataloader.py", line 633, in __next__
    data = self._next_data()
RuntimeError: Caught IndexError in DataLoader worker process 0.
Original Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/torch/utils/data/_utils/worker.py", line 302, in _worker_loop
    data = fetcher.fetch(index)
  File "/home/ann/proj/dataset.py", line 17, in __getitem__
    return self.items[i]
IndexError: list index out of range
"""

RICH = """
╭───────────────────── Traceback (most recent call last) ──────────────────────╮
│ /home/ann/proj/cli.py:25 in main                                             │
│                                                                              │
│   24 def main():                                                             │
│ ❱ 25     fit(cfg)                                                            │
│ /home/ann/.venv/lib/python3.11/site-packages/lightning/pytorch/call.py:47 in │
╰──────────────────────────────────────────────────────────────────────────────╯
MisconfigurationException: No supported gpu backend found!
"""

IPYTHON = """
---------------------------------------------------------------------------
ValueError                                Traceback (most recent call last)
Cell In[7], line 3
      1 x = 1
----> 3 trainer.train()

File /opt/conda/lib/python3.10/site-packages/transformers/trainer.py:1859, in Trainer.train(self)
   1857     return 1
-> 1859 raise ValueError("no")

ValueError: Your setup doesn't support bf16/gpu.
"""

HYDRA = """
Could not override 'optimizer.lrr'.
To append to your config use +optimizer.lrr=0.1
Key 'lrr' is not in struct
    full_key: optimizer.lrr
    object_type=dict

Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.
"""

GROUP = """
  + Exception Group Traceback (most recent call last):
  |   File "train.py", line 4, in <module>
  |     raise ExceptionGroup("several", errors)
  | ExceptionGroup: several (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "workers.py", line 9, in run
    |     step()
    | ZeroDivisionError: division by zero
    +------------------------------------
"""

SYNTAX = """
  File "train.py", line 10
    def f(:
          ^
SyntaxError: invalid syntax
"""

SLURM_TIME = """
Epoch 3 loss 0.31
slurmstepd: error: *** JOB 4711 ON gpu12 CANCELLED AT 2024-03-01T10:00:00 DUE TO TIME LIMIT ***
Traceback (most recent call last):
  File "train.py", line 9, in <module>
    step()
KeyboardInterrupt
"""

SLURM_OOM = """
slurmstepd: error: Detected 1 oom-kill event(s) in StepId=4711.batch. Some of your processes may have been killed.
srun: error: gpu12: task 0: Out Of Memory
"""

SRUN_AFTER = (
    PLAIN + "srun: error: gpu12: task 0: Exited with exit code 1\nslurmstepd: error: *** STEP 1.0 ON g CANCELLED"
)


@pytest.mark.parametrize(
    ("text", "kind", "type_", "own", "line"),
    [
        (PLAIN, "missing-file", "FileNotFoundError", "src/data.py:12", "No such file"),
        (CHAINED, "traceback", "ValueError", "train.py:7", "unknown model"),
        (TORCHRUN, "import", "ModuleNotFoundError", "data/train.py:31", "torch._six"),
        (CHILD_ALONE, "killed", "", None, "exitcode : -9"),
        (ARGPARSE, "usage", "", None, "train.py: error: unrecognized arguments"),
        (WORKER, "traceback", "IndexError", "proj/dataset.py:17", "list index"),
        (RICH, "traceback", "MisconfigurationException", "proj/cli.py:25", "No supported gpu"),
        (IPYTHON, "traceback", "ValueError", "<cell 7>:3", "bf16/gpu"),
        (HYDRA, "usage", "", None, "Could not override 'optimizer.lrr'"),
        (GROUP, "traceback", "ZeroDivisionError", "workers.py:9", "division by zero"),
        (SYNTAX, "traceback", "SyntaxError", "train.py:10", "invalid syntax"),
        (SLURM_TIME, "time-limit", "", "train.py:9", "DUE TO TIME LIMIT"),
        (SLURM_OOM, "out-of-memory", "", None, "oom-kill"),
        (SRUN_AFTER, "missing-file", "FileNotFoundError", "src/data.py:12", "No such file"),
        ("python: can't open file '/w/trian.py': [Errno 2] No such file", "missing-script", "", None, "trian.py"),
        ("/usr/bin/python3.9: No module named traning", "import", "", None, "traning"),
        ("RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB", "out-of-memory", "RuntimeError", None, "CUDA"),
        ("run.sh: line 3:  3312 Killed    python train.py", "killed", "", None, "Killed"),
        ("Fatal Python error: Segmentation fault\n", "crash", "", None, "Segmentation"),
        ("slurm_script: line 12: torchrun: command not found", "missing-script", "", None, "torchrun"),
        ("Usage: train [OPTIONS]\n\nError: No such option: --lrr", "usage", "", None, "--lrr"),
    ],
)
def test_shapes(text, kind, type_, own, line):
    failure = parse(text)
    assert (failure.kind, failure.type) == (kind, type_)
    assert (failure.own.place if failure.own else None) == own
    assert line in failure.line


def test_the_first_of_a_chain_is_the_cause():
    failure = parse(CHAINED)
    assert failure.cause == "KeyError: 'resnet51'"
    assert failure.frames[0] == Frame("train.py", 20, "<module>", 'build("resnet51")')
    assert parse(PLAIN).cause == ""


@pytest.mark.parametrize("text", ["", "Epoch 1 loss 0.3\nval accuracy: 0.9", "error rate: 0.2", "wandb: ERROR none"])
def test_what_tells_of_no_failure(text):
    assert parse(text) is None


def test_colours_and_rank_prefixes_do_not_hide_it():
    text = "\n".join(f"\x1b[31m[rank3]: {line}\x1b[0m" for line in PLAIN.splitlines())
    assert parse(text) == parse(PLAIN)


def test_signatures_are_equal_whatever_the_numbers_and_paths():
    one, other = (parse(f"RuntimeError: CUDA out of memory. Tried {n} MiB at /a/b/{n}") for n in (20, 3000))
    assert one.signature == other.signature
    assert one.signature != parse("RuntimeError: size mismatch").signature


def test_a_real_traceback_of_this_interpreter():
    def fall():
        try:
            return {}["a"]
        except KeyError as error:
            raise RuntimeError("no a") from error

    try:
        fall()
    except RuntimeError:
        failure = parse(traceback.format_exc())
    assert (failure.type, failure.cause, failure.own.function) == (
        "RuntimeError",
        "KeyError: 'a'",
        failure.own.function,
    )
    assert failure.own.file == __file__
    assert sys.version_info >= (3, 11)


def test_endless_recursion_is_bounded():
    text = (
        "Traceback (most recent call last):\n" + '  File "a.py", line 1, in f\n    f()\n' * 5000 + "RecursionError: x"
    )
    assert len(parse(text).frames) == MOST_FRAMES


def test_events_without_a_known_shape_are_kept_as_they_are():
    events = [
        Event("exception", "it broke", data={"type": "Oops"}),
        Event("warning", PLAIN),
        Event("exit", "exit code 0"),
        Event("exit", dedent(ARGPARSE)),
    ]
    assert [(e.kind, f.kind, f.type) for e, f in failures(events)] == [
        ("exception", "traceback", "Oops"),
        ("exit", "usage", ""),
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from((PLAIN + CHAINED + TORCHRUN + RICH + SLURM_OOM).splitlines()), max_size=30), st.text())
def test_law_any_mixture_of_lines_is_read_without_an_error(lines, noise):
    failure = parse("\n".join([*lines, noise]))
    assert failure is None or (isinstance(failure, Failure) and failure.kind and len(failure.line) <= 300)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'Traceback (most recent call last):\n  File "w/run.py", line 9, in main\n    train()',
            "a traceback that the log cuts off at w/run.py:9",
        ),
        ('Traceback (most recent call last):\n  File "run.py", l', "a traceback that the log cuts off"),
    ],
)
def test_a_traceback_that_breaks_off(text, said):
    ((_, failure),) = failures([Event("exception", text, 7)])
    assert (failure.kind, failure.line) == ("traceback", said)


def test_a_scheduler_speaks_in_messages_too():
    memory = "slurmstepd: error: Job 18 exceeded memory limit (626 > 512), being killed"
    benign = "slurmstepd: error: couldn't chdir to `/scratch': No such file or directory: going to /tmp instead"
    events = [Event("message", benign, 1), Event("message", memory, 93), Event("message", "loss is killed", 94)]
    ((event, failure),) = failures(events)
    assert (event.step, failure.kind) == (93, "out-of-memory")

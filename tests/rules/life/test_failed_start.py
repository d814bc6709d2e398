"""RUN001 failed-start."""

from __future__ import annotations

import pytest

import tocsin
from corpus.log_faults_ending import MISSING
from tocsin.findings import Finding, NotChecked
from tocsin.rules.life.failed_start import failed_start
from tocsin.run import Event, Run, Series

LAUNCHER = """
[rank0]: Traceback (most recent call last):
[rank0]:   File "/w/train.py", line 5, in <module>
[rank0]:     net.load_state_dict(state)
[rank0]: RuntimeError: Error(s) in loading state_dict for Net:
[rank0]: \tsize mismatch for head.weight
Traceback (most recent call last):
  File "/opt/conda/bin/torchrun", line 8, in <module>
    sys.exit(main())
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
"""


def outcomes(text: str = "", kind: str = "exception", **fields) -> list:
    events = (Event(kind, text),) if text else ()
    return list(failed_start.check(Run.of(**{"events": events, "exit": "failed", **fields})))


def test_a_missing_file():
    (finding,) = outcomes(MISSING)
    assert finding.message == (
        "failed before the first training step (0 steps recorded), a file is missing: FileNotFoundError: [Errno 2] No "
        "such file or directory: 'data/train.csv'; own code: net/data.py:18 in load"
    )
    assert finding.evidence[1].text == "net/data.py:18: table = pandas.read_csv(path)"
    assert finding.severity is None
    assert finding.remedies[0].safe


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUNCHER, "state_dict for Net: size mismatch for head.weight; own code: w/train.py:5"),
        ("usage: t.py\nt.py: error: the following arguments are required: --data", "command line or the overrides"),
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.0", "out of memory"),
        ("RuntimeError: No CUDA GPUs are available", "the device or its driver refused"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
    ],
)  # fmt: skip
def test_what_it_says(text, said):
    (finding,) = outcomes(text)
    assert said in finding.message


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("t.py: error: unrecognized arguments: --lrr 1", "Correct --lrr; ask the program for --help"),
        ("t.py: error: unrecognized arguments: --local_rank=2", "Accept --local_rank, which torch.distributed.launch"),
        ("t.py: error: argument --epochs/-e: invalid int value: 'ten'", "Correct --epochs/-e; "),
        ("t.py: error: the following arguments are required: --data", "Correct --data; "),
        ("Could not override 'optim.lrr'.\nTo append to your config use +optim.lrr=1", "Correct optim.lrr; "),
        ("Error: No such option: --epoch Did you mean --epochs?", "Use --epochs for --epoch, as the message says"),
        (
            "ValueError: Some specified arguments are not used by the HfArgumentParser: ['--evaluation_strategy']",
            "Correct --evaluation_strategy; ",
        ),
        ("Error executing job with overrides: ['a=1'] Error locating target 'net.Trainer', set env var", "Install the"),
    ],
)
def test_the_refused_argument_is_named(text, cure):
    (finding,) = outcomes(text)
    assert finding.remedies[0].text.startswith(cure)


def test_an_argument_that_is_refused_is_this_rules_alone():
    said = "usage: t.py [-h]\nt.py: error: unrecognized arguments: --local_rank=2"
    report = tocsin.check(Run.of(events=(Event("exception", said),), exit="failed"), select=["CFG004", "RUN"])
    assert [f.code for f in report.findings] == ["RUN001"]


def test_the_same_failure_of_two_runs_has_one_subject():
    one, other = (outcomes(MISSING.replace("data/", f"/scratch/{n}/data/"))[0] for n in (1, 22))
    assert one.subject == other.subject


def test_by_hand_it_is_a_note():
    (finding,) = outcomes("Traceback (most recent call last):\n  File 't.py', line 1, in f\nKeyboardInterrupt")
    assert finding.severity == "note"


def test_a_failed_exit_without_a_word():
    (finding,) = outcomes("exit code 1", kind="exit")
    assert "does not say why" in finding.message
    assert finding.evidence[0].source == "event:exit"
    assert outcomes()[0].severity is None


def test_silent_once_it_has_trained_and_on_what_it_survived():
    assert outcomes(MISSING, series={"train/loss": [2.0, 1.0]}) == []
    assert outcomes(MISSING, series={"train/loss": [4.3]}) == []
    assert isinstance(outcomes(MISSING, exit="finished")[0], NotChecked)
    assert isinstance(outcomes(exit="unknown")[0], NotChecked)


def test_an_evaluation_before_the_first_step_is_no_training():
    (finding,) = outcomes(MISSING, series={"val/loss": Series.of("val/loss", [6.9], step=[0])})
    assert isinstance(finding, Finding)


@pytest.mark.parametrize(
    "line",
    [
        "TypeError: '<=' not supported between instances of 'float' and 'str'",
        "TypeError: can't multiply sequence by non-int of type 'float'",
    ],
)
def test_text_where_a_number_is_meant_points_at_the_settings(line):
    told = f'Traceback (most recent call last):\n  File "/data/train.py", line 3, in <module>\n    go()\n{line}\n'
    run = Run.of(events=(Event("exception", told),), exit="failed")
    (found,) = tocsin.check(run, select=["RUN001"]).findings
    assert "YAML 1.1 reads 1e-5 as text" in found.remedies[0].text

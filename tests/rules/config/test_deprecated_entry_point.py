"""CFG004 deprecated-entry-point."""

from __future__ import annotations

import pytest

import tocsin
from corpus.log_faults_ending import MISSING, OUT_OF_MEMORY, REMOVED
from tocsin.findings import NotChecked
from tocsin.rules.config.deprecated_entry_point import deprecated_entry_point
from tocsin.run import Event, Run


def outcomes(text: str, **fields) -> list:
    return list(
        deprecated_entry_point.check(Run.of(events=(Event("exception", text),), **{"exit": "failed", **fields}))
    )


@pytest.mark.parametrize(
    ("text", "subject", "cure"),
    [
        (REMOVED, "torch._six", "See where torch keeps it now, or pin torch"),
        ("ModuleNotFoundError: No module named 'apex'", "apex", "Install apex, "),
        ("/usr/bin/python: No module named tools.train", "tools.train", "See where tools"),
        (
            "ImportError: cannot import name 'AdamW' from 'transformers' (/x/transformers/__init__.py)",
            "AdamW",
            "Import it from where it has moved",
        ),
        (
            "AttributeError: module 'numpy' has no attribute 'float'.\n`np.float` was a deprecated alias",
            "numpy.float",
            "Use what replaced it, or pin the version of numpy",
        ),
        ("AttributeError: module 'numpy' has no attribute 'Inf'. Did you mean: 'inf'?", "numpy.Inf", "Use inf, as"),
        ("python: can't open file '/w/trian.py': [Errno 2] No such file or directory", "trian.py", "Correct the path"),
        ("run.sh: line 4: accelerate: command not found", "accelerate", "Correct the path"),
        (
            "OSError: 'seaborn-paper' is not a valid package style, path of style file, URL of style file, or library "
            "style name (library styles are listed in `style.available`)",
            "seaborn-paper",
            "List matplotlib.style.available",
        ),
    ],
)
def test_what_is_gone(text, subject, cure):
    (finding,) = outcomes(text)
    assert finding.subject == subject
    assert finding.remedies[0].text.startswith(cure)
    assert repr(subject) in finding.message


@pytest.mark.parametrize(
    "text",
    [
        MISSING,
        OUT_OF_MEMORY,
        "ImportError: libGL.so.1: cannot open shared object file",
        "t.py: error: unrecognized arguments: --lrr 1",
        "Could not override 'optim.lrr'.\nTo append to your config use +optim.lrr=1",
        "Error: No such option: --epoch Did you mean --epochs?",
    ],
)
def test_other_failures_are_left_to_run001(text):
    assert outcomes(text) == []


def test_it_explains_the_failed_start_and_the_end_half_way():
    said = (Event("exception", REMOVED, 3),)
    for series, code in (({}, "RUN001"), ({"train/loss": [3.0, 2.0, 1.0]}, "RUN003")):
        report = tocsin.check(Run.of(events=said, exit="failed", series=series), select=["CFG004", "RUN"])
        assert [f.code for f in report.roots] == ["CFG004"]
        assert code in {f.code for f in report.findings}


def test_silent_where_the_run_finished_in_spite_of_it():
    assert outcomes(REMOVED, exit="finished", series={"train/loss": [2.0, 1.0]}) == []
    assert isinstance(outcomes(REMOVED, exit="finished")[0], NotChecked)

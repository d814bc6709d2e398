"""Each mistake is one clear line on stderr and exit code 2, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tocsin import engine
from tocsin.cli import main, output

HOW = "write one with `tocsin check PATH --write-baseline FILE`"
REFUSED = [
    (["check"], "Missing argument 'PATH...'; see `tocsin check --help`"),
    (["check", "nowhere"], "nowhere: no such file or folder"),
    (
        ["check", "empty"],
        "empty: no run found in an empty folder; expected run folders of tocsin (with run.json), or logs: TensorBoard, "
        "W&B, MLflow, HF Trainer, Lightning, Keras, Ultralytics, MMDetection, CSV, JSON lines, notebooks, console text",
    ),
    (["check", "runs/calm", "--select", "NOPE"],
     "'NOPE' matches no rule; expected a code, a prefix or a name (`tocsin rules`)"),
    (["check", "runs/calm", "--ignore", "X1"],
     "'X1' matches no rule; expected a code, a prefix or a name (`tocsin rules`)"),
    (["check", "runs/calm", "--baseline", "no.json"],
     f"no.json: cannot read the baseline: No such file or directory; {HOW}"),
    (["check", "runs/calm", "--baseline", "empty"], f"empty: cannot read the baseline: Is a directory; {HOW}"),
    (["check", "runs/calm", "--baseline", "pyproject.toml"],
     f"pyproject.toml: expected a JSON baseline: Expecting value: line 1 column 1 (char 0); {HOW}"),
    (["check", "runs/calm", "--write-baseline", "no/known.json"],
     "no/known.json: cannot write the baseline: No such file or directory"),
    (["report", "nowhere"], "nowhere: no such file or folder"),
    (["report", "runs/calm", "-o", "no/report.html"],
     "no/report.html: cannot write the report: No such file or directory"),
    (["rule", "XYZ999"], "no rule 'XYZ999'; `tocsin rules` lists them"),
    (["rule", "\x1b[2J"], "no rule '\\x1b[2J'; `tocsin rules` lists them"),
    (["chek"], "No such command 'chek'. Did you mean 'check'?; see `tocsin --help`"),
    (["train", "constelation"], "no study 'constelation'; expected one of toy"),
    (["train", "toy", "--preset", "huge"], "study toy has no preset 'huge'; expected one of quick, standard"),
    (["train", "toy", "--fault", "quiet"], "study toy has no fault 'quiet'; expected one of loud"),
    (["train"], "train needs a study; `tocsin train --list` shows them"),
    (["train", "toy", "--resume"], "--resume needs --run-dir, the folder of the run to go on with"),
    (["train", "toy", "--set", "epochs"], "--set expects key=value such as training.epochs=3, got 'epochs'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "line"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
@pytest.mark.usefixtures("trainer")
def test_a_mistake_is_one_line_and_exit_2(cli, recorded, words, line):
    recorded("calm", 3, 2, 1)
    Path("empty").mkdir()
    outcome = cli(*words)
    assert outcome.err == f"tocsin: {line}\n"
    assert outcome.code == 2


@pytest.mark.parametrize(
    "words", [["check", "x", "--format", "xml"], ["check", "--loud"], ["train", "toy", "--seed", "x"]]
)
def test_options_that_the_parser_refuses_exit_2_in_one_line(cli, words):
    outcome = cli(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("tocsin: ")
    assert outcome.err.endswith(f"see `tocsin {words[0]} --help`\n")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"schema": "tocsin.record/9"}', b"\xff\xfe", b"[" * 100_000], ids=repr
)
def test_a_broken_record_is_one_line_and_exit_2(cli, recorded, damage):
    folder = recorded("calm", 1)
    (folder / "run.json").write_bytes(damage)
    outcome = cli("check", folder)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("tocsin: ")
    assert "run.json" in outcome.err
    assert "unexpected" not in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    "data",
    [{}, {"schema": "tocsin.baseline/1"}, {"schema": "tocsin.baseline/1", "findings": [{"subject": "x"}]},
     {"schema": "tocsin.baseline/1", "findings": [{"code": "A", "subject": 1}]}, []],
)  # fmt: skip
def test_a_baseline_of_another_shape_is_refused(cli, recorded, data):
    Path("known.json").write_text(json.dumps(data))
    outcome = cli("check", recorded("calm", 1), "--baseline", "known.json")
    assert outcome.code == 2
    assert outcome.err.startswith("tocsin: known.json: ")
    assert outcome.err.endswith(f"{HOW}\n")


def test_without_a_verb_the_help_is_shown_and_2_returned(cli):
    outcome = cli()
    assert outcome.code == 2
    assert outcome.out.startswith("Usage: tocsin")


def _broken():
    raise ZeroDivisionError("by\ndesign")


def test_an_unexpected_error_is_one_line_that_says_how_to_see_more(cli, monkeypatch):
    monkeypatch.setattr(engine, "all_rules", _broken)
    outcome = cli("rules")
    assert outcome.code == 2
    assert outcome.err == "tocsin: unexpected ZeroDivisionError: by design (TOCSIN_TRACEBACK=1 shows where)\n"
    monkeypatch.setenv("TOCSIN_TRACEBACK", "1")
    outcome = cli("rules")
    assert outcome.code == 2
    assert "Traceback (most recent call last):" in outcome.err
    assert outcome.err.endswith("tocsin: unexpected ZeroDivisionError: by design\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_130_and_an_exit_is_left_alone(cli, monkeypatch, error):
    def stop():
        raise error(7)

    monkeypatch.setattr(engine, "all_rules", stop)
    if error is SystemExit:
        with pytest.raises(SystemExit):
            main(["rules"])
    else:
        assert cli("rules").code == 130


class Gone:
    """A stream whose reader has left."""

    def write(self, text):
        raise BrokenPipeError

    def flush(self):
        raise BrokenPipeError

    def fileno(self):
        raise OSError

    def isatty(self):
        return False


def test_no_stdout_at_all_is_no_error(cli, recorded, monkeypatch):
    folder = recorded("loud", 50)
    monkeypatch.setattr(output.sys, "stdout", None)
    assert main(["check", str(folder)]) == 1


def test_a_reader_that_has_left_is_no_error(cli, recorded, monkeypatch):
    folder = recorded("loud", 50)
    monkeypatch.setattr(output.sys, "stdout", Gone())
    outcome = cli("check", folder)
    assert (outcome.code, outcome.err) == (1, "")

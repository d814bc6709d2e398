"""``tocsin train`` around a study that trains nothing: what is asked, shown, judged and returned."""

from __future__ import annotations

import json
from pathlib import Path

from cli.sample_study import StudyError
from tocsin import ReadError
from tocsin.cli.errors import UserError

LINES = """\
toy quick, seed 0, planted fault loud
epoch 1/3 step 2/6 (0:02, 0:04 left): val/joint 0.2, val/loss 80
step 4: warning LOW001 loss-above train: the loss is 60 (limit 10)
epoch 2/3 step 4/6 (0:04, 0:02 left): val/joint 0.4, val/loss 40
epoch 3/3 step 6/6 (0:06, 0:00 left): val/joint 0.6, val/loss 10

Not learning: LOW001 loss-above: the loss is 100 (limit 10)
"""


def test_a_training_shows_its_epochs_findings_verdict_and_files(cli, trainer):
    outcome = cli("train", "toy", "--fault", "loud")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(LINES)
    assert outcome.out.endswith("\nrun     runs/toy-calm-reed-7\nreport  runs/toy-calm-reed-7/report.html\n")
    assert Path("runs/toy-calm-reed-7/report.html").is_file()
    assert trainer.called_with == {
        "study": "toy",
        "preset": "quick",
        "fault": "loud",
        "seed": 0,
        "run_dir": Path("runs/toy-calm-reed-7"),
        "device": "auto",
        "resume": False,
        "init": None,
        "overrides": {},
    }


def test_what_is_asked_reaches_the_training(cli, trainer):
    words = "train toy --preset standard --seed 3 --run-dir here --device cpu --resume --epochs 2"
    outcome = cli(*words.split(), "--set", "lr=5e-5", "--set", "a.b=[1, true]", "--set", "name=yes=no", "--set", "x=")
    assert outcome.code == 0
    assert trainer.called_with["overrides"] == {
        "lr": 5e-5,
        "a.b": [1, True],
        "name": "yes=no",
        "x": "",
        "training.epochs": 2,
    }
    asked = {key: trainer.called_with[key] for key in ("preset", "seed", "run_dir", "device", "resume")}
    assert asked == {"preset": "standard", "seed": 3, "run_dir": Path("here"), "device": "cpu", "resume": True}


def test_weights_of_another_run_reach_the_training_and_are_not_mixed_with_resuming(cli, trainer):
    assert cli("train", "toy", "--run-dir", "b", "--from", "runs/a/checkpoints/best.pt").code == 0
    assert trainer.called_with["init"] == Path("runs/a/checkpoints/best.pt")
    outcome = cli("train", "toy", "--run-dir", "b", "--resume", "--from", "best.pt")
    assert outcome.code == 2
    assert "--resume goes on with a run, --from begins a new one" in outcome.err


def test_exit_1_on_findings_only_where_asked(cli, trainer):
    assert cli("train", "toy", "--run-dir", "a", "--exit-code").code == 0
    assert cli("train", "toy", "--run-dir", "b", "--fault", "loud", "--exit-code").code == 1


def test_json_alone_on_stdout(cli, trainer):
    outcome = cli("train", "toy", "--fault", "loud", "--json")
    data = json.loads(outcome.out)
    report = data.pop("report")
    assert data == {
        "schema": "tocsin.train/1",
        "study": "toy",
        "preset": "quick",
        "fault": "loud",
        "seed": 0,
        "run": "runs/toy-calm-reed-7",
        "html": "runs/toy-calm-reed-7/report.html",
    }
    assert report["schema"] == "tocsin.report/1"
    assert outcome.err.startswith("toy quick, seed 0, planted fault loud\nepoch 1/3")


def test_the_studies_are_listed(cli, trainer):
    outcome = cli("train", "--list")
    assert outcome.out == (
        "study         toy\n              A study that trains nothing.\n"
        "--preset      quick, standard\n--fault loud  its loss is ten times too large\n"
    )
    assert json.loads(cli("train", "--list", "--json").out) == {
        "schema": "tocsin.studies/1",
        "studies": [
            {
                "name": "toy",
                "summary": "A study that trains nothing.",
                "presets": ["quick", "standard"],
                "faults": {"loud": "its loss is ten times too large"},
            }
        ],
    }


def test_what_the_study_refuses_is_one_line(cli, trainer):
    trainer.raises = StudyError("no setting 'lrr'; did you mean 'lr'?")
    outcome = cli("train", "toy")
    assert (outcome.code, outcome.err) == (2, "tocsin: no setting 'lrr'; did you mean 'lr'?\n")


def test_an_interrupt_says_where_the_run_is(cli, trainer):
    trainer.raises = KeyboardInterrupt()
    outcome = cli("train", "toy")
    assert outcome.code == 130
    assert outcome.err == (
        "tocsin: interrupted; the run is recorded in runs/toy-calm-reed-7, `tocsin check` judges it\n"
    )


def test_an_interrupt_finds_the_sibling_of_a_finished_run(cli, trainer):
    assert cli("train", "toy", "--run-dir", "one").code == 0
    trainer.raises = KeyboardInterrupt()
    outcome = cli("train", "toy", "--run-dir", "one")
    assert "recorded in one-2," in outcome.err


def test_a_failing_training_is_an_unexpected_error(cli, trainer):
    trainer.raises = RuntimeError("CUDA out of memory")
    outcome = cli("train", "toy")
    assert outcome.code == 2
    assert outcome.err == "tocsin: unexpected RuntimeError: CUDA out of memory (TOCSIN_TRACEBACK=1 shows where)\n"


def test_a_package_that_is_missing_is_named_with_its_cure(cli, trainer, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tocsin.studies.training", None)
    outcome = cli("train", "toy")
    assert outcome.code == 2
    assert outcome.err.startswith("tocsin: training needs ")
    assert outcome.err.endswith(": pip install 'tocsin[studies]'\n")


def test_a_report_that_cannot_be_written_does_not_fail_the_training(cli, trainer, monkeypatch):
    def full(*_):
        raise UserError("report.html: cannot write the report: No space left on device")

    monkeypatch.setattr("tocsin.cli.train.write_html", full)
    outcome = cli("train", "toy", "--fault", "loud")
    assert outcome.code == 0
    assert outcome.err == "tocsin: no HTML report: report.html: cannot write the report: No space left on device\n"
    assert "Not learning: LOW001" in outcome.out
    assert "report  " not in outcome.out


def test_a_training_that_left_no_record_has_still_completed(cli, trainer, monkeypatch):
    monkeypatch.setattr("tocsin.api.read", lambda path: (_ for _ in ()).throw(ReadError(f"{path}: no run found")))
    outcome = cli("train", "toy", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["report"] is None
    assert outcome.err.endswith("tocsin: runs/toy-calm-reed-7: no run found\n")
    assert cli("train", "toy", "--exit-code").code == 2


def test_a_mistake_in_pyproject_is_said_before_training(cli, trainer):
    Path("pyproject.toml").write_text("[tool.tocsin]\nselct = []\n")
    assert cli("train", "toy").code == 2
    assert not trainer.called_with

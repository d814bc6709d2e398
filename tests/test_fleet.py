"""Many runs by several processes: the same report, in bounded memory, whatever one of them does."""

import json
import os

import numpy as np
import pytest

import tocsin
from tocsin import fleet
from tocsin.api import ReadError
from tocsin.fleet import Outcome
from tocsin.run import Run


def write(folder, bad=False):
    folder.mkdir(parents=True)
    loss = np.exp(-np.arange(400) / 90) + 0.5
    loss[300:] = np.nan if bad else loss[300:]
    rows = [json.dumps({"step": i + 1, "loss": float(v), "lr": 1e-3}) for i, v in enumerate(loss)]
    (folder / "log.jsonl").write_text("\n".join(rows))


@pytest.fixture
def many(tmp_path):
    for i in range(6):
        write(tmp_path / f"run_{i}", bad=i in (2, 4))
    (tmp_path / "run_5" / "broken.jsonl").write_bytes(b'{"step": 1, "loss": 2}\n{"step": 2, "loss"')
    return tmp_path


def test_several_processes_give_the_report_of_one(many):
    done = []
    alone = tocsin.check(many)
    shared = tocsin.check(many, workers=2, progress=lambda *at: done.append(at))
    assert shared.to_json() == alone.to_json()  # NaN, which equals nothing, is a word there
    assert {f.run for f in shared.findings if f.code == "AMP003"} == {"run_2", "run_4"}
    assert done[-1][0] == done[-1][1] == len(done)


def test_a_process_that_dies_costs_only_the_job_it_died_of(many, monkeypatch):
    jobs = [Run(f"r{i}", environment={"die": i == 3}) for i in range(7)]
    monkeypatch.setattr(fleet, "_carry_out", _dies)
    order = fleet._Order((), {})
    outcomes = list(fleet._shared(jobs, order, 2))
    assert [outcome.runs[0].name if outcome.runs else outcome.unread[0][:22] for outcome in outcomes] == [
        "r0", "r1", "r2", "r3: the process that r", "r4", "r5", "r6",
    ]  # fmt: skip


def _dies(job):
    if job.environment["die"]:
        os._exit(1)
    return Outcome((job,))


def test_runs_of_one_name_in_several_jobs_are_told_apart():
    bad = {"train/loss": [1.0] * 50 + [np.nan] * 50}
    report = fleet.check_all([Run.of("a", series=bad), Run.of("a", series=bad)], select=["AMP003"])
    assert report.runs == ("a", "a (2)")
    assert [f.run for f in report.findings] == ["a", "a (2)"]


def test_a_folder_without_a_run_is_an_error(tmp_path):
    (tmp_path / "notes.md").write_text("nothing here")
    with pytest.raises(ReadError, match="no run found"):
        tocsin.check(tmp_path)


def test_identifiers_are_stripped_unless_kept(tmp_path):
    folder = tmp_path / "home" / "zoltan" / "runs"
    write(folder / "a", bad=True)
    (folder / "a" / "bad.jsonl").symlink_to(folder / "missing")
    write(folder / "b")
    (folder / "b" / "torn.jsonl").write_text(
        '{"step": 1, "loss": 2.0, "lr": 1}\n{"step": 2, "loss": 1.0, "lr": 1}\n{"st'
    )
    assert "zoltan" not in json.dumps(tocsin.check(folder).to_json())

"""No report names a person, a machine or a secret, from whatever field of whatever format; all do when asked to."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest

import tocsin
from readers.telling_logs import FOLDER, FORMATS, NEEDLES, SAID
from tocsin import api
from tocsin.cli import main
from tocsin.cli.report import cleaned
from tocsin.identifiers import Redactor
from tocsin.reports import html as html_report
from tocsin.reports import json as json_report
from tocsin.reports import terminal

FROM_PATHS = {"zqfolder", "zqrunhost"}


@pytest.fixture(params=FORMATS)
def folder(request, tmp_path: Path) -> Path:
    where = tmp_path / FOLDER
    where.mkdir(parents=True)
    FORMATS[request.param](where)
    return where


def leaks(text: str) -> set[str]:
    """The needles in a text, also behind what HTML and JSON write for odd characters."""
    unescaped = html.unescape(text).replace("\\u003c", "<").replace("\\\\", "\\")
    return {needle for needle in NEEDLES if needle in text or needle in unescaped}


def rendered(report: tocsin.Report) -> dict[str, str]:
    return {
        "terminal": terminal.render(report, width=120),
        "colour": terminal.render(report, width=60, color=True),
        "json": json_report.render(report),
        "str": str(report),
        "notebook": report._repr_html_(),
    }


def test_no_report_names_anybody(folder):
    report = tocsin.check(folder)
    assert {form: leaks(text) for form, text in rendered(report).items() if leaks(text)} == {}
    assert report.runs


def test_no_html_page_names_anybody(folder):
    runs = api.read(folder)
    page = html_report.render(tocsin.check(runs), cleaned(runs))
    assert leaks(page) == set()


def test_what_is_said_of_single_files_names_nobody(folder):
    for file in (file for file in folder.rglob("*") if file.is_file()):
        try:
            report = tocsin.check(file)
        except tocsin.ReadError:
            continue
        assert {form: leaks(text) for form, text in rendered(report).items() if leaks(text)} == {}


def test_identifiers_are_kept_when_asked_to(folder):
    runs = api.read(folder)
    page = html_report.render(tocsin.check(runs, keep_identifiers=True), runs)
    found = leaks(page)
    assert "zqrunhost" in found or "zqlinux" in found
    kept = tocsin.check(folder, keep_identifiers=True)
    assert list(kept.runs) == [run.name for run in runs]


def test_every_kind_is_kept_when_asked_to(tmp_path):
    """The laws above are not empty: what they look for is there before it is taken out."""
    FORMATS["console"](tmp_path / FOLDER)
    FORMATS["table"](tmp_path / FOLDER)
    runs = api.read(tmp_path / FOLDER)
    found = leaks(html_report.render(tocsin.check(runs, keep_identifiers=True), runs))
    assert {needle for _, needle in SAID.values()} - found == set()


def test_the_command_line(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    for words in (
        ["check", str(folder)],
        ["check", str(folder), "--json"],
        ["check", "."],
        ["report", ".", "-o", "page.html"],
    ):
        main(words)
        assert leaks(capsys.readouterr().out) == set(), words
    assert leaks(Path("page.html").read_text("utf-8")) == set()
    main(["report", ".", "-o", "page.html", "--keep-identifiers"])
    assert leaks(Path("page.html").read_text("utf-8"))


def test_a_baseline_names_nobody(tmp_path, capsys, monkeypatch):
    FORMATS["console"](tmp_path / FOLDER)
    monkeypatch.chdir(tmp_path)
    main(["check", ".", "--write-baseline", "known.json"])
    assert leaks(Path("known.json").read_text("utf-8")) == set()
    capsys.readouterr()
    main(["check", ".", "--json", "--baseline", "known.json"])
    assert json.loads(capsys.readouterr().out)["findings"] == []


def test_an_account_name_that_only_the_configuration_gives_away_is_known_in_findings(tmp_path):
    log = "".join(f"step {n} loss {'nan' if n > 3 else 1 / n}\n" for n in range(1, 40))
    trace = 'Traceback (most recent call last):\n  File "/disk/zqonly/train.py", line 3, in <module>\nOSError: bad\n'
    (tmp_path / "train.log").write_text(log + trace)
    (tmp_path / "args.json").write_text(json.dumps({"cache": "/home/zqonly/cache"}))
    assert "zqonly" in json_report.render(tocsin.check(tmp_path, keep_identifiers=True))
    assert "zqonly" not in json_report.render(tocsin.check(tmp_path))


def test_runs_told_apart_by_a_host_alone_stay_apart(tmp_path):
    for host in ("zqhost1", "zqhost2"):
        path = tmp_path / f"Jan05_12-34-56_{host}" / "metrics.csv"
        path.parent.mkdir()
        path.write_text("step,train_loss\n" + "".join(f"{n},{1 / n}\n" for n in range(1, 9)))
    report = tocsin.check(tmp_path)
    assert len(set(report.runs)) == 2
    assert leaks(str(report)) == set()
    assert Redactor().report(report).runs == report.runs

"""The code in the README and in the guides runs as it stands, and commands print what is shown."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import tocsin
from readers.no_logs import NO_LOGS
from readers.reading_files import mutated, survives, write
from tocsin.engine import check_run, find_rule
from tocsin.findings import Rule
from tocsin.readers.file import File
from tocsin.readers.reader import Reader
from tocsin.run import Run

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("docs_transcripts", ROOT / "docs" / "transcripts.py")
transcripts = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(transcripts)
FOLDERS = {".": "*.md", "docs": "*.md", "docs/guides": "*.md", "docs/decisions": "*.md"}
PAGES = sorted(path for folder, glob in FOLDERS.items() for path in (ROOT / folder).glob(glob))


def page_text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def code(page: str) -> str:
    """All Python blocks of a page, joined; a block inside an indented docstring is not one."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", page_text(page), re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("page", ["README.md", "docs/guides/watch.md"])
def test_the_loops_run_and_leave_a_record(page, tmp_path, monkeypatch, capsys):
    import torch

    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    batches = [(torch.randn(8, 3), torch.randint(0, 2, (8,))) for _ in range(20)]
    space = {
        "torch": torch,
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.01),
        "criterion": torch.nn.CrossEntropyLoss(),
        "loader": batches,
        "validation": batches[:3],
    }
    exec(compile(code(page), page, "exec"), space)  # noqa: S102
    runs = {run.name: run for run in tocsin.read("runs")}
    assert {run.exit for run in runs.values()} == {"finished"}
    assert len(runs["first"].series["train/loss"]) == runs["first"].last_step >= 20
    evaluated = runs["second"].evaluations if "watch" in page else ()
    assert [e.n for e in evaluated] == ([24, 24] if "watch" in page else [])


def test_the_report_guide_runs():
    exec(compile(code("docs/guides/report.md"), "report.md", "exec"), {})  # noqa: S102


def test_the_rule_of_the_guide_is_a_whole_rule():
    space: dict[str, object] = {}
    exec(compile(code("docs/guides/add-a-rule.md"), "add-a-rule.md", "exec"), space)  # noqa: S102
    (rule,) = (v for v in space.values() if isinstance(v, Rule))
    bad, good = re.findall(r"```python\n(.*?)```", rule.doc, re.DOTALL)
    for block, rings in ((bad, True), (good, False)):
        inner = {"np": np, "Run": Run}
        exec(compile(block, "<example>", "exec"), inner)  # noqa: S102
        assert bool(check_run(inner["run"], [rule]).findings) is rings
    assert rule.name == "loss-repeats"


def test_the_reader_of_the_guide_is_a_whole_reader(tmp_path):
    space: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", page_text("docs/guides/write-a-reader.md"), re.DOTALL | re.M):
        exec(compile(block, "write-a-reader.md", "exec"), space)  # noqa: S102
    (reader,) = (v for v in space.values() if isinstance(v, Reader))
    assert reader.source == "chainer"
    space["test_a_log_report"](tmp_path)
    sample = (tmp_path / "log").read_bytes()
    for seed in range(40):
        survives(reader, tmp_path / "mutated", mutated(sample, seed))
    for name, content in NO_LOGS.items():
        assert not reader.sniffs(File(write(tmp_path / name, content)))


def test_the_guide_to_logs_runs_as_it_stands(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    exec(compile(code("docs/guides/check-a-run-you-have.md"), "check-a-run-you-have.md", "exec"), {})  # noqa: S102
    assert "lightning-csv" in capsys.readouterr().out


SHOWN = [(page, *found.groups()) for page in transcripts.PAGES for found in transcripts.BLOCK.finditer(page_text(page))]


@pytest.mark.parametrize(("page", "command", "shown"), SHOWN, ids=[f"{page}: {command}" for page, command, _ in SHOWN])
def test_a_command_prints_what_the_page_shows(page, command, shown):
    now = transcripts.shown(command, shown)
    assert shown.rstrip("\n") == now, "run `python docs/transcripts.py`"


def test_a_block_shows_as_much_as_it_showed(monkeypatch):
    monkeypatch.setattr(transcripts, "output", lambda _: "a\nb\n\nc\nd\n\ne\n")
    assert transcripts.shown("x", "old\n") == "a\nb\n\nc\nd\n\ne"
    assert transcripts.shown("x", "old\n\n…\n") == "a\nb\n\n…"
    assert transcripts.shown("x", "old\n\nold\n\n…\n") == "a\nb\n\nc\nd\n\n…"
    assert transcripts.shown("x", "old\n…\n") == "a\n…"


WRONG = "docs/guides/when-tocsin-is-wrong.md"


@pytest.fixture
def wrong(tmp_path, monkeypatch, capsys):
    """What its page shows, done in the order of the page: the Python blocks and the commands with their exit codes."""
    from tocsin.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("")
    space: dict[str, object] = {}
    said: dict[str, str] = {}
    for language, block in re.findall(r"^```(python|sh)\n(.*?)^```", page_text(WRONG), re.DOTALL | re.MULTILINE):
        if language == "python":
            exec(compile(block, WRONG, "exec"), space)  # noqa: S102
            said["watch"] = said.get("watch", "") + capsys.readouterr().err
            continue
        for command, code in re.findall(r"^tocsin (.*?)\s+# exits (\d)$", block, re.MULTILINE):
            arguments, _, file = command.partition(" > ")
            assert main(shlex.split(arguments)) == int(code), command
            said[command] = capsys.readouterr().out
            if file:
                (tmp_path / file).write_text(said[command])
        assert block.count("tocsin") == block.count("# exits")
    return said


def test_the_guide_to_false_alarms_does_what_it_says(wrong, tmp_path):
    (shown,) = re.findall(r"^```text\n(.*?) …\n```", page_text(WRONG), re.DOTALL | re.MULTILINE)
    assert wrong["watch"].startswith(" ".join(shown.splitlines()))
    assert tocsin.Report.from_json(json.loads((tmp_path / "report.json").read_text())).roots[0].code == "OPT001"
    assert "frozen-parameters" in (tmp_path / "report.html").read_text()
    (run,) = tocsin.read("runs/features")
    assert set(run.series["param/changed/0.weight"].value[1:]) == {0.0}


def test_a_record_with_its_manifest_emptied_is_judged_alike(wrong, tmp_path):
    manifest = tmp_path / "runs/features/run.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "config": {}, "environment": {}}))
    assert tocsin.check("runs/features").roots[0].code == "OPT001"


def test_the_settings_of_the_guide_are_settings(tmp_path):
    from tocsin.cli.settings import find_settings

    (block,) = re.findall(r"^```toml\n(.*?)^```", page_text(WRONG), re.DOTALL | re.MULTILINE)
    (tmp_path / "pyproject.toml").write_text(block, encoding="utf-8")
    settings = find_settings(tmp_path)
    assert settings.ignore == ("GEN003", "OPT017")
    assert settings.baseline == tmp_path / "known.json"
    assert settings.options == {"frozen-parameters": {"steps": 100}}
    defaults = {name: find_rule(name).options for name in settings.options}
    assert f"{defaults['frozen-parameters']['steps']} unless said" in block


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_every_link_to_a_file_leads_to_one(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_the_setup_of_the_preflight_guide_rings_as_it_says(tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    space = {}
    exec(compile(code("docs/guides/preflight.md"), "preflight.md", "exec"), space)  # noqa: S102
    (found,) = tocsin.preflight(space["setup"](), select=["no-gradient-path"]).findings
    told = f"error {found.code} {found.name}: {found.message}"
    shown = " ".join(line[2:] for line in page_text("docs/guides/preflight.md").splitlines() if line.startswith("> "))
    assert shown == told


def test_the_guide_to_comparing_runs_as_it_stands():
    exec(compile(code("docs/guides/compare.md"), "compare.md", "exec"), {})  # noqa: S102


def test_the_guide_to_comparing_tells_every_verdict():
    from typing import get_args

    from tocsin.comparison.contrasts import Verdict
    from tocsin.comparison.sentences import MEANINGS

    told = set(re.findall(r"^\| `([a-z-]+)` \|", page_text("docs/guides/compare.md"), re.MULTILINE))
    assert told == set(MEANINGS) == set(get_args(Verdict))

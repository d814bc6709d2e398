"""The code in the README and in the guides runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tocsin
from tocsin.engine import check_run, find_rule
from tocsin.findings import Rule
from tocsin.run import Run

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {".": "*.md", "docs": "*.md", "docs/guides": "*.md", "docs/decisions": "*.md"}
PAGES = sorted(path for folder, glob in FOLDERS.items() for path in (ROOT / folder).glob(glob))


def code(page: str) -> str:
    """All Python blocks of a page, joined; a block inside an indented docstring is not one."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


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
    (run,) = tocsin.read("runs/first")
    assert run.exit == "finished"
    assert len(run.series["train/loss"]) == run.last_step >= 20
    assert len(run.evaluations) == (2 if "watch" in page else 0)


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


def test_the_settings_of_the_guide_are_settings(tmp_path):
    from tocsin.cli.settings import find_settings

    text = (ROOT / "docs/guides/severity.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (tmp_path / "pyproject.toml").write_text(block, encoding="utf-8")
    settings = find_settings(tmp_path)
    assert settings.ignore == ("GEN001",)
    assert settings.baseline == tmp_path / "known.json"
    for name, options in settings.options.items():
        assert set(options) <= set(find_rule(name).options)


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_every_link_to_a_file_leads_to_one(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing

"""The generated pages: complete, and a stale one is named."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tocsin import names
from tocsin.engine import all_rules

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
generate = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(generate)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "README.md").write_text(
        f"# x\n{generate.START}\nwritten by hand\n{generate.END}\ntail\n", encoding="utf-8"
    )
    return tmp_path


def test_written_pages_are_fresh_and_complete(project, capsys):
    assert generate.main([], project) == 0
    assert generate.main(["--check"], project) == 0
    assert capsys.readouterr().out == ""
    index = (project / "docs/rules/index.md").read_text(encoding="utf-8")
    readme = (project / "README.md").read_text(encoding="utf-8")
    for rule in all_rules().values():
        page = (project / f"docs/rules/{rule.code}.md").read_text(encoding="utf-8")
        assert rule.doc in page
        assert rule.name in index
        assert f"docs/rules/{rule.code}.md" in readme
    series = (project / "docs/series.md").read_text(encoding="utf-8")
    assert all(f"`{row.name}`" in series for row in names.NAMES)
    assert readme.startswith("# x\n")
    assert readme.endswith("\ntail\n")
    assert "written by hand" not in readme


def test_check_names_each_stale_file_and_changes_nothing(project, capsys):
    generate.main([], project)
    (project / "docs/series.md").write_text("edited by hand\n", encoding="utf-8")
    (project / "docs/rules/GON001.md").write_text("a rule that is gone\n", encoding="utf-8")
    assert generate.main(["--check"], project) == 1
    said = capsys.readouterr().out
    assert re.findall(r"^(\S+) is stale", said, re.M) == ["docs/series.md", "docs/rules/GON001.md"]
    assert (project / "docs/series.md").read_text(encoding="utf-8") == "edited by hand\n"
    generate.main([], project)
    assert not (project / "docs/rules/GON001.md").exists()
    assert generate.main(["--check"], project) == 0


def test_a_readme_without_the_markers_is_an_error():
    with pytest.raises(ValueError, match=r"README.md must hold the lines"):
        generate.with_table("# x\n", "table")


def test_a_cell_never_breaks_its_table():
    assert generate.cell("a | b\n c") == "a \\| b c"


def test_every_subject_of_a_rule_has_a_heading():
    assert {code[:3] for code in all_rules()} <= set(generate.SUBJECTS)

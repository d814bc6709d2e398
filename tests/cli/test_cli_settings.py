"""``[tool.tocsin]`` of the nearest pyproject.toml."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import loss_above
from tocsin.cli.errors import UserError
from tocsin.cli.settings import Settings, find_settings
from tocsin.findings import rule


@pytest.fixture
def say(project):
    """Write the project's pyproject.toml."""
    return lambda text: (project / "pyproject.toml").write_text(text)


def test_no_file_or_no_table_is_no_setting(project):
    assert find_settings() == Settings()
    assert find_settings(project / "deep" / "er") == Settings()


def test_every_key_is_read(say, project):
    say(
        '[tool.tocsin]\nselect = ["LOW", "loss-is-seven"]\nignore = ["LOW002"]\nbaseline = "known.json"\n'
        "[tool.tocsin.rules.loss-above]\nlimit = 3\n"
    )
    assert find_settings() == Settings(
        ("LOW", "loss-is-seven"),
        ("LOW002",),
        project / "known.json",
        {"loss-above": {"limit": 3.0}},
        {"LOW001": {"limit": 3.0}},
    )


def test_the_nearest_file_counts(say, project, monkeypatch, cli, recorded):
    say('[tool.tocsin]\nignore = ["LOW001"]\n')
    folder = recorded("loud", 50).absolute()
    below = project / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert cli("check", folder).code == 0
    (project / "a" / "pyproject.toml").write_text("[tool.other]\n")
    assert cli("check", folder).code == 1


def test_options_reach_their_rule(say, cli, recorded):
    folder = recorded("calm", 3, 4)
    assert cli("check", folder).code == 0
    say("[tool.tocsin.rules.LOW001]\nlimit = 3\n")
    outcome = cli("check", folder)
    assert outcome.code == 1
    assert "the loss is 4 (limit 3)" in outcome.out


def test_the_command_line_replaces_select_and_adds_to_ignore(say, cli, recorded):
    folder = recorded("loud", 50, 100)
    say('[tool.tocsin]\nselect = ["NTE"]\n')
    assert cli("check", folder).code == 0
    assert cli("check", folder, "--select", "LOW001").code == 1
    say('[tool.tocsin]\nignore = ["LOW001"]\n')
    assert cli("check", folder, "--ignore", "LOW002").code == 0


def test_a_baseline_is_found_beside_its_pyproject(say, cli, recorded, project, monkeypatch):
    folder = recorded("loud", 50).absolute()
    cli("check", folder, "--write-baseline", "known.json")
    say('[tool.tocsin]\nbaseline = "known.json"\n')
    (project / "below").mkdir()
    monkeypatch.chdir(project / "below")
    assert cli("check", folder).code == 0
    Path("none.json").write_text(json.dumps({"schema": "tocsin.baseline/1", "findings": []}))
    assert cli("check", folder, "--baseline", "none.json").code == 1


@pytest.mark.parametrize("torch", [True, False])
def test_a_check_that_only_preflight_makes_may_be_ignored(say, cli, recorded, monkeypatch, torch):
    if torch:
        pytest.importorskip("torch")
    else:
        monkeypatch.setattr("tocsin.cli.settings.find_spec", lambda _: None)
    say('[tool.tocsin]\nignore = ["OPT017", "LOW001"]\n')
    assert cli("check", recorded("loud", 50)).code == 0
    say('[tool.tocsin]\nselect = ["OPT017"]\n')
    assert cli("check", recorded("loud", 50)).code == 2


WRONG = {
    "[tool": "cannot be read: Expected ']' at the end of a table declaration",
    "tool = 3\n[x]\n": None,
    "[tool]\ntocsin = 3": "tool.tocsin must be a table, got 3",
    "[tool.tocsin]\nselct = []": "[tool.tocsin] has no key 'selct'; expected select, ignore, baseline, rules",
    "[tool.tocsin]\nselect = 'PRD'": "tool.tocsin.select must be a list of rule codes such as [\"PRD\"], got 'PRD'",
    "[tool.tocsin]\nignore = ['XX']": "tool.tocsin.ignore: 'XX' matches no rule; expected a code, a prefix or a name",
    "[tool.tocsin]\nbaseline = 1": "tool.tocsin.baseline must be the path of a file, got 1",
    "[tool.tocsin]\nrules = 1": "tool.tocsin.rules must be a table of rules, got 1",
    "[tool.tocsin.rules.nope]": "[tool.tocsin.rules.nope]: no rule 'nope'",
    "[tool.tocsin.rules]\nloss-above = 1": "[tool.tocsin.rules.loss-above] must be a table of options, got 1",
    "[tool.tocsin.rules.loss-above]\nlimt = 1": "[tool.tocsin.rules.loss-above] has no option 'limt'; expected limit",
    "[tool.tocsin.rules.NTE001]\nlimit = 1": "[tool.tocsin.rules.NTE001] has no option 'limit'; this rule has none",
    "[tool.tocsin.rules.loss-above]\nlimit = '3'": "limit must be float such as 10.0, got '3'",
    "[tool.tocsin.rules.loss-above]\nlimit = true": "limit must be float such as 10.0, got True",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_setting_is_one_line_that_names_file_and_key(say, cli, recorded, text):
    say(text)
    outcome = cli("check", recorded("calm", 1))
    if WRONG[text] is None:  # another tool's business
        assert outcome.code == 0
        return
    assert outcome.code == 2
    assert "pyproject.toml" in outcome.err
    assert WRONG[text] in outcome.err
    assert outcome.err.count("\n") == 1


def test_bytes_that_are_no_text_are_refused(project, cli, recorded):
    (project / "pyproject.toml").write_bytes(b"\xff\xff")
    outcome = cli("check", recorded("calm", 1))
    assert outcome.code == 2
    assert "pyproject.toml: cannot be read: 'utf-8' codec can't decode" in outcome.err


def test_options_keep_the_kind_of_their_default(say, catalogue):
    @rule("OPT900", needs=())
    def several_kinds(run, *, words=("a",), count=3, free=None):
        """Nothing."""
        yield from ()

    catalogue(several_kinds, loss_above)
    say('[tool.tocsin.rules.several-kinds]\nwords = ["b"]\ncount = 4\nfree = 0.5\n')
    assert find_settings().options == {"several-kinds": {"words": ("b",), "count": 4, "free": 0.5}}


def test_options_of_checks_before_the_run_are_not_those_of_check(say):
    say("[tool.tocsin.rules.OPT019]\nn_samples = 64\ntarget = 0.1\nn_seconds = 5\n")
    found = find_settings()
    assert found.options == {}
    assert found.before == {"OPT019": {"n_samples": 64, "target": 0.1, "n_seconds": 5.0}}


def test_an_option_that_no_check_has_is_refused(say):
    say("[tool.tocsin.rules.OPT019]\nsampels = 64\n")
    with pytest.raises(UserError, match="has no option 'sampels'; expected"):
        find_settings()

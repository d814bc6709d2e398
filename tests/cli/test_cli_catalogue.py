"""``rules``, ``rule CODE``, ``series``, ``--version`` and the frozen surface of the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import REAL_RULES
from tocsin import __version__
from tocsin.names import NAMES

SURFACE = Path(__file__).parent / "help.txt"
VERBS = ("", "train", "preflight", "compare", "check", "report", "rules", "rule", "series")

RULES = """\
code    name             severity  live  fault
LOW001  loss-above       warning         The training loss is above a limit.
LOW002  loss-at-hundred  error           The training loss is exactly 100.
NTE001  loss-is-seven    note      live  The training loss is exactly 7.
VAL001  no-validation    warning         The validation loss is never looked at.

live: needs what only tocsin.watch records. `tocsin rule CODE` shows a rule's page.
"""

PAGE = """\
                               LOW001 loss-above

 • severity: warning
 • judged: while the run goes on and afterwards
 • needs: train/loss (run.losses(total=..., term=...))
 • explains: LOW002

The training loss is above a limit.

What it does

Rings where train/loss > limit.
"""


def test_the_version(cli):
    outcome = cli("--version")
    assert (outcome.code, outcome.out) == (0, f"tocsin {__version__}\n")


def test_the_surface_is_what_it_was(cli):
    """Verbs, options and their words change on purpose or not at all: then write the new text into help.txt."""
    said = "\n".join(cli(*verb.split(), "--help").out for verb in VERBS)
    assert said == SURFACE.read_text()


def test_rules_are_a_table(cli):
    outcome = cli("rules")
    assert (outcome.code, outcome.out) == (0, RULES)


def test_rules_as_json(cli):
    data = json.loads(cli("rules", "--json").out)
    assert data["schema"] == "tocsin.rules/1"
    assert data["rules"][0] == {
        "code": "LOW001",
        "name": "loss-above",
        "severity": "warning",
        "live": False,
        "when": "look",
        "scope": "run",
        "since": "0.1",
        "summary": "The training loss is above a limit.",
        "needs": ["train/loss"],
        "explains": ["LOW002"],
        "options": {"limit": 10.0},
    }


@pytest.mark.parametrize("word", ["LOW001", "low001", "loss-above"])
def test_a_rule_shows_its_page(cli, word):
    outcome = cli("rule", word)
    assert (outcome.code, outcome.out) == (0, PAGE)


def test_every_real_rule_has_a_page_that_prints(cli, catalogue):
    real = list(REAL_RULES().values())
    catalogue(*real)
    assert len(real) >= 10
    for rule in real:
        outcome = cli("rule", rule.code)
        assert outcome.code == 0
        assert outcome.out.split()[:2] == [rule.code, rule.name]
        assert max(map(len, outcome.out.splitlines())) <= 80
    assert all(rule.name in cli("rules").out for rule in real)


def test_a_rule_as_json_holds_its_page(cli):
    data = json.loads(cli("rule", "LOW001", "--json").out)
    assert data["schema"] == "tocsin.rule/1"
    assert data["page"].startswith("The training loss is above a limit.\n\n## What it does\n")


def test_series_lists_every_name(cli):
    outcome = cli("series")
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.splitlines()[1:] if line[:1].strip()] == [n.name for n in NAMES]
    data = json.loads(cli("series", "--json").out)
    assert data["schema"] == "tocsin.series/1"
    assert [row["name"] for row in data["series"]] == [n.name for n in NAMES]

"""``tocsin rules``: the catalogue."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tocsin import engine
from tocsin.cli.output import say, say_json
from tocsin.findings import Rule


def rules(
    as_json: Annotated[bool, typer.Option("--json", help="The catalogue as JSON.")] = False,
) -> None:
    """List the rules.

    Each with its code, name, severity, whether it needs tocsin.watch, and the fault in one sentence.
    """
    found = list(engine.all_rules().values())
    if as_json:
        say_json("tocsin.rules/1", {"rules": [described(rule) for rule in found]})
    else:
        _table(found)


def described(rule: Rule) -> dict[str, Any]:
    """One rule as JSON data, without its page."""
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity,
        "live": rule.live,
        "when": rule.when,
        "scope": rule.scope,
        "since": rule.since,
        "summary": rule.summary,
        "needs": list(rule.needs),
        "explains": list(rule.explains),
        "options": rule.options,
    }


def _table(found: list[Rule]) -> None:
    from rich.text import Text

    from tocsin.cli.table import table
    from tocsin.reports.terminal import STYLES

    rows = [
        (rule.code, rule.name, Text(rule.severity, STYLES[rule.severity]), "live" if rule.live else "", rule.summary)
        for rule in found
    ]
    say(table(("code", "name", "severity", "live", "fault"), rows))
    say("\nlive: needs what only tocsin.watch records. `tocsin rule CODE` shows a rule's page.")

"""``tocsin rule``: the page of one rule."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from tocsin import engine, names
from tocsin.cli.output import colored, say, say_json, width
from tocsin.cli.rules import described
from tocsin.findings import Rule


def rule(
    word: Annotated[str, typer.Argument(help="A rule's code or name.", metavar="CODE")],
    as_json: Annotated[bool, typer.Option("--json", help="The rule and its page as JSON.")] = False,
) -> None:
    """Show the page of one rule.

    What it does, why it matters, an example, the fix, its limits and its sources.
    """
    found = _found(word)
    if as_json:
        say_json("tocsin.rule/1", {**described(found), "page": found.doc})
        return
    from rich.markdown import Markdown

    from tocsin.reports.terminal import paint

    page = Markdown(_page(found), code_theme="ansi_dark", hyperlinks=False)
    say(paint([page], width=min(width(), 100), color=colored()))


def _found(word: str) -> Rule:
    """A rule, else a check of preflight, which needs torch to be looked for."""
    try:
        return engine.find_rule(word)
    except engine.UnknownRule:
        if find_spec("torch") is None:
            raise
    from tocsin.prechecks.flight import all_checks

    for check in all_checks():
        if word.upper() == check.code or word.lower() == check.name:
            return check
    return engine.find_rule(word)


def _page(found: Rule) -> str:
    if found.scope == "setup":
        needs = ", ".join(found.needs)
        facts = [f"severity: {found.severity}", "judged: before the run, by `tocsin preflight`"]
        facts += [f"needs: {needs} of the Setup"] if needs else []
        return "\n".join([f"# {found.code} {found.name}", "", *(f"- {fact}" for fact in facts), "", found.doc])
    facts = [
        f"severity: {found.severity}",
        "judged: at the end of the run" if found.when == "end" else "judged: while the run goes on and afterwards",
        *([f"needs: {'; '.join(names.describe_need(need) for need in found.needs)}"] if found.needs else []),
        *([f"explains: {', '.join(found.explains)}"] if found.explains else []),
    ]
    return "\n".join([f"# {found.code} {found.name}", "", *(f"- {fact}" for fact in facts), "", found.doc])

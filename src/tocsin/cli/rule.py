"""``tocsin rule``: the page of one rule."""

from __future__ import annotations

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
    found = engine.find_rule(word)
    if as_json:
        say_json("tocsin.rule/1", {**described(found), "page": found.doc})
        return
    from rich.markdown import Markdown

    from tocsin.reports.terminal import paint

    page = Markdown(_page(found), code_theme="ansi_dark", hyperlinks=False)
    say(paint([page], width=min(width(), 100), color=colored()))


def _page(found: Rule) -> str:
    facts = [
        f"severity: {found.severity}",
        "judged: at the end of the run" if found.when == "end" else "judged: while the run goes on and afterwards",
        *([f"needs: {'; '.join(names.describe_need(need) for need in found.needs)}"] if found.needs else []),
        *([f"explains: {', '.join(found.explains)}"] if found.explains else []),
    ]
    return "\n".join([f"# {found.code} {found.name}", "", *(f"- {fact}" for fact in facts), "", found.doc])

"""The ``tocsin`` command: its verbs and what they have in common."""

from __future__ import annotations

from typing import Annotated

import typer

from tocsin._version import __version__
from tocsin.cli import check, compare, preflight, report, rule, rules, series, train
from tocsin.cli.output import say

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"tocsin {__version__}")
        raise typer.Exit


@app.callback(
    invoke_without_command=True,
    epilog="Exit codes: 0 no warning or error, 1 at least one, 2 usage or tool error, 130 interrupted.",
)
def tocsin(
    context: typer.Context,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """An alarm bell for neural-network training: is it learning, and if not, why?"""
    if context.invoked_subcommand is None:
        say(context.get_help())
        raise typer.Exit(2)


app.command()(train.train)
app.command()(check.check)
app.command()(preflight.preflight)
app.command("compare")(compare.compare_runs)
app.command()(report.report)
app.command()(rules.rules)
app.command()(rule.rule)
app.command()(series.series)

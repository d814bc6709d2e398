"""``tocsin compare``: which difference runs show, and whether it has a cause that can be named."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tocsin import api
from tocsin.cli.check import exit_code, show, split
from tocsin.cli.errors import UserError
from tocsin.cli.output import say, say_json


def compare_runs(
    paths: Annotated[
        list[Path], typer.Argument(help="Runs, or folders of them; the first run is the reference.", metavar="PATH...")
    ],
    metric: Annotated[
        str | None, typer.Option(help="The score to compare; by default the first that most runs have.", metavar="NAME")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Confidence of all intervals together.", metavar="SHARE")] = 0.95,
    ignore: Annotated[
        list[str] | None, typer.Option(help="Rules of several runs to leave out.", metavar="RULES")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The comparison and its report as JSON.")] = False,
) -> None:
    """Compare runs: what differs in score, by how much beyond noise, and in which settings.

    Runs that differ in their seed alone are taken together. The rules of several runs (CMP) are checked, too.
    Exits as `check` does.
    """
    from tocsin.comparison import compare
    from tocsin.comparison.targets import runs_of

    runs = runs_of(paths)
    try:
        found = compare(runs, metric=metric, confidence=confidence)
    except ValueError as error:
        raise UserError(str(error)) from error
    report = api.check(runs, select=["CMP"], ignore=split(ignore))
    if as_json:
        say_json("tocsin.comparison/1", {"comparison": found.to_json(), "report": report.to_json()})
    else:
        from tocsin.cli.side_by_side import rendered

        say(rendered(found) + "\n")
        show(report)
    raise typer.Exit(exit_code(report))

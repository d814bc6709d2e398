"""``tocsin compare``: which difference runs show, and whether it has a cause that can be named."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin import api
from tocsin.cli.check import exit_code, show, split
from tocsin.cli.errors import UserError
from tocsin.cli.output import colored, say, say_json, width
from tocsin.reports.plain import figure, plain

if TYPE_CHECKING:
    from tocsin.comparison import Comparison, Contrast

_MOST_SETTINGS = 20


def compare_runs(
    paths: Annotated[
        list[Path], typer.Argument(help="Runs, or folders of them; the first run is the reference.", metavar="PATH...")
    ],
    metric: Annotated[
        str | None, typer.Option(help="The score to compare; by default the first that all runs have.", metavar="NAME")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Confidence of the intervals.", metavar="SHARE")] = 0.95,
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

    runs = [run for path in paths for run in api.read(path)]
    try:
        found = compare(runs, metric=metric, confidence=confidence)
    except ValueError as error:
        raise UserError(str(error)) from error
    report = api.check(runs, select=["CMP"], ignore=split(ignore))
    if as_json:
        say_json("tocsin.comparison/1", {"comparison": found.to_json(), "report": report.to_json()})
    else:
        say(rendered(found) + "\n")
        show(report)
    raise typer.Exit(exit_code(report))


def rendered(found: Comparison) -> str:
    """The comparison as text: arms with their scores, settings that differ, then what can be said of each arm."""
    from rich.text import Text

    from tocsin.cli.table import table
    from tocsin.reports.terminal import paint

    parts = [
        table(("arm", "seeds", "mean", "lowest", "highest", "runs"), [_row(k, found) for k in range(len(found.arms))])
    ]
    settings = dict.fromkeys(key for c in found.contrasts for key in (*c.settings, *c.questions))
    if settings:
        parts.append(_settings(list(settings), found))
    said = [Text(f"{c.verdict}: {plain(c.sentence, 2000)}{_corrected(c)}") for c in found.contrasts]
    others = [name for name in found.metrics if name != found.metric]
    if found.metric is not None and others:
        said.append(
            Text(f"Compared by {plain(found.metric)}; --metric takes {plain(', '.join(others[:8]), 400)}, too.", "dim")
        )
    return "\n".join([*parts, paint(said, width=width(), color=colored())])


def _row(k: int, found: Comparison) -> tuple[str, ...]:
    arm = found.arms[k]
    ends = (min(arm.scores), max(arm.scores)) if arm.scores else (math.nan, math.nan)
    names = ", ".join(plain(name, 60) for name in arm.runs[:4]) + (", ..." if len(arm.runs) > 4 else "")
    return (chr(ord("A") + k) if k < 26 else str(k + 1), str(len(arm.runs)), *map(figure, (arm.mean, *ends)), names)


def _settings(keys: list[str], found: Comparison) -> str:
    """One row a setting, one column an arm."""
    from tocsin.cli.table import table

    rows = []
    for key in keys[:_MOST_SETTINGS]:
        pairs = [{**c.questions, **c.settings}.get(key) for c in found.contrasts]
        first = next(pair[0] for pair in pairs if pair is not None)
        rows.append(
            (
                plain(key, 60),
                *(plain(pair[1] if pair else first, 40) for pair in [(first, first), *pairs]),
            )
        )
    more = f"... and {len(keys) - _MOST_SETTINGS} more settings\n" if len(keys) > _MOST_SETTINGS else ""
    return table(("setting", *(_row(k, found)[0] for k in range(len(found.arms)))), rows) + more


def _corrected(contrast: Contrast) -> str:
    return f"; corrected for chance, {'; '.join(map(plain, contrast.beyond_chance))}" if contrast.beyond_chance else ""

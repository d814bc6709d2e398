"""``tocsin series``: the names of what is recorded."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from tocsin.cli.output import say, say_json
from tocsin.names import NAMES, Name


def series(
    as_json: Annotated[bool, typer.Option("--json", help="The table as JSON.")] = False,
) -> None:
    """List the names of all series.

    Each with its unit, meaning, what records it, and its spellings elsewhere.
    """
    if as_json:
        say_json("tocsin.series/1", {"series": [asdict(name) for name in NAMES]})
        return
    from tocsin.cli.table import table

    say(table(("series", "meaning"), [(_name(name), _meaning(name)) for name in NAMES]))


def _name(name: Name) -> str:
    return f"{name.name} [{name.unit}]" if name.unit else name.name


def _meaning(name: Name) -> str:
    by = "" if name.how == "tocsin.watch" else f" By {name.how}."
    also = f" Elsewhere: {', '.join(name.aliases)}." if name.aliases else ""
    return name.meaning + by + also

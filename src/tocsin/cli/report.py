"""``tocsin report``: write the HTML report of recorded runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tocsin import api
from tocsin.cli.check import judged
from tocsin.cli.errors import UserError
from tocsin.cli.output import say, say_json
from tocsin.findings import Report
from tocsin.identifiers import redactor_of
from tocsin.reports.pictures import Picture, pictures
from tocsin.reports.plain import plain
from tocsin.run import Run


def report(
    path: Annotated[
        Path, typer.Argument(help="A log of any format, a run folder, or a folder of them.", metavar="RUN")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to write it; report.html in or beside RUN by default."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the path and the verdict as JSON.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep-identifiers", help="Leave e-mails, tokens, host names and home paths in it.")
    ] = False,
) -> None:
    """Write the HTML report of a run and print its path.

    One file that needs no network. [tool.tocsin] applies as in `tocsin check`.
    """
    runs = api.read(path)
    judgement = judged(runs, keep_identifiers=keep)
    published = runs if keep else cleaned(runs)
    file = write_html(
        judgement, published, output or (path if path.is_dir() else path.parent) / "report.html", pictures(runs)
    )
    if as_json:
        say_json("tocsin.written-report/1", {"path": str(file), "verdict": judgement.verdict})
    else:
        say(plain(file))


def write_html(judgement: Report, runs: Sequence[Run], file: Path, shown: Sequence[Sequence[Picture]] = ()) -> Path:
    """Write the HTML report to ``file``, with the pictures of each run, and return it.

    Raises:
        UserError: The file cannot be written.
    """
    from tocsin.reports import html

    text = html.render(judgement, runs, pictures=shown)
    try:
        file.write_text(text, "utf-8", errors="backslashreplace")
    except OSError as error:
        raise UserError(f"{file}: cannot write the report: {error.strerror}") from error
    return file


def cleaned(runs: Sequence[Run]) -> list[Run]:
    """The runs without e-mails, tokens, host names and home paths."""
    return [*map(redactor_of(runs).run, runs)]

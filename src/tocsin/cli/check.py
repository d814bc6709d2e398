"""``tocsin check``: judge recorded runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin import api, engine
from tocsin._version import __version__
from tocsin.cli.baseline import read_baseline, write_baseline
from tocsin.cli.counting import counted
from tocsin.cli.errors import UserError
from tocsin.cli.output import colored, say, warn, width
from tocsin.cli.settings import find_settings, of_preflight_alone
from tocsin.engine import RAISED
from tocsin.findings import Report, Rule
from tocsin.fleet import cores
from tocsin.reports.place import Place, place_of
from tocsin.run import Run


class Format(StrEnum):
    """How to write a report."""

    terminal = "terminal"
    json = "json"
    sarif = "sarif"
    github = "github"


def check(
    paths: Annotated[
        list[Path], typer.Argument(help="Logs of any format, run folders, or folders of them.", metavar="PATH...")
    ],
    output: Annotated[
        Format,
        typer.Option(
            "--format",
            help="How to write the report: terminal, json, sarif (SARIF 2.1.0), or github (workflow commands).",
            envvar="TOCSIN_FORMAT",
            metavar="FORMAT",
        ),
    ] = Format.terminal,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    select: Annotated[
        list[str] | None,
        typer.Option(
            help="Judge these rules only: codes, prefixes or names, with commas or repeated.", metavar="RULES"
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="Leave these rules out, besides those that pyproject.toml ignores.", metavar="RULES"),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Leave out the findings that FILE knows.", metavar="FILE")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option("--write-baseline", metavar="FILE", help="Write what rang to FILE as known, and exit 0."),
    ] = None,
    any_run: Annotated[
        bool, typer.Option("--any-run", help="With --write-baseline: known in runs to come, too, not in these alone.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep-identifiers", help="Leave e-mails, tokens, host names and home paths in the report.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the work; by default one a core.", metavar="N")
    ] = None,
) -> None:
    """Check runs with the rules: own records, or logs of any format.

    Exits 0 without warning or error (notes alone are 0), 1 with one, 2 on a usage or tool error.
    [tool.tocsin] of the nearest pyproject.toml gives select, ignore, baseline and the options of rules.
    """
    if any_run and write is None:
        raise UserError("--any-run says how a baseline is written; add --write-baseline FILE")
    places: dict[str, Path] = {}
    with counted("checking") as progress:
        report = judged(
            paths,
            select=split(select),
            ignore=split(ignore),
            baseline=baseline,
            writing=write,
            keep_identifiers=keep,
            workers=workers or cores(),
            progress=progress,
            places=places,
        )
    show(report, Format.json if as_json else output, told(places, paths, keep))
    if write is not None:
        known = write_baseline(write, (*report.findings, *report.known), any_run=any_run)
        where = "in any run" if any_run else "in the same runs; --any-run accepts them in others, too"
        warn(f"{known} finding{'s' * (known != 1)} written to {write}, known from now on {where}")
        raise typer.Exit(0)
    raise typer.Exit(exit_code(report))


def judged(
    targets: Sequence[Run | Path],
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    baseline: Path | None = None,
    writing: Path | None = None,
    **how: Any,
) -> Report:
    """The report under the project's settings: ``select`` and ``baseline`` replace theirs, ``ignore`` adds to it.

    A baseline that does not exist yet is empty where it is the file that is about to be written (``writing``).
    ``how`` goes on to ``api.check``.
    """
    settings = find_settings()
    known = baseline or settings.baseline
    if known and writing and not known.exists() and known.resolve() == writing.resolve():
        known = None
    return api.check(
        targets,
        select=select or settings.select,
        ignore=(*(word for word in settings.ignore if not of_preflight_alone(word)), *ignore),
        options=settings.options,
        baseline=read_baseline(known) if known is not None else (),
        **how,
    )


def split(words: Iterable[str] | None) -> list[str]:
    """Rule selectors from repeated options, each of which may be a list with commas."""
    return [word.strip() for text in words or () for word in text.split(",") if word.strip()]


def told(places: Mapping[str, Path], given: Sequence[Path], keep: bool = False) -> dict[str, Place]:
    """Where the runs lie as a report may tell it: relative, and without account names unless they are to be kept."""
    from tocsin.identifiers import Redactor

    here, roots = Path.cwd(), [path.absolute() for path in given]
    found = {}
    redactor = Redactor() if keep else Redactor.of(map(str, (here, *roots, *places.values())))
    for run, path in places.items():
        full = path.absolute()
        root = next((root for root in roots if full.is_relative_to(root)), full)
        place = place_of(full, here, root)
        found[run] = place if keep else Place(redactor.text(place.path), place.inside)
    return found


def show(
    report: Report,
    output: Format = Format.terminal,
    places: Mapping[str, Place] | None = None,
    more: Iterable[Rule] = (),
) -> None:
    """Write a report to stdout; ``more`` are rules that it speaks of besides those of runs."""
    from tocsin.reports import github, json, sarif, terminal

    if output is Format.json:
        text = json.render(report)
    elif output is Format.sarif:
        rules = {**engine.all_rules(), **{rule.code: rule for rule in more if rule.code not in engine.all_rules()}}
        text = sarif.render(report, list(rules.values()), places, __version__)
    elif output is Format.github:
        text = github.render(report, places)
    else:
        text = terminal.render(report, width=width(), color=colored())
    say(text)


def exit_code(report: Report) -> int:
    """1 where a warning or error rang; 2 where none did but a rule broke, for then nobody has looked; else 0."""
    if report.failed:
        return 1
    broken = [blind for blind in report.not_checked if blind.reason.startswith(RAISED)]
    for blind in broken:
        warn(f"{blind.code} {blind.name} is broken, please report it: {blind.reason}")
    return 2 if broken else 0

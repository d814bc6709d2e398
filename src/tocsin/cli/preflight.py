"""``tocsin preflight``: check a training before it begins."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli.check import Format, exit_code, show, split
from tocsin.cli.choosing import chosen, installed, parsed
from tocsin.cli.errors import UserError
from tocsin.cli.settings import find_settings
from tocsin.findings import Report

_MOST_BYTES = 4 << 20


def preflight(
    target: Annotated[
        str, typer.Argument(help="A study, or module:function (file.py:function) that gives a Setup.", metavar="TARGET")
    ],
    config: Annotated[
        Path | None,
        typer.Option(help="A YAML or JSON file; the function is called with it, and what it reads is noted."),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Size of a study: quick, quick-oversampled, standard or paper.")
    ] = "quick",
    fault: Annotated[str | None, typer.Option(help="Plant this fault in a study.", metavar="NAME")] = None,
    seed: Annotated[int, typer.Option(help="Seed of a study.", min=0)] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Another value for one setting of a study.")
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Check these only: codes, prefixes or names.", metavar="RULES")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Leave these out.", metavar="RULES")] = None,
    output: Annotated[
        Format, typer.Option("--format", help="How to write the report: terminal, json, sarif or github.")
    ] = Format.terminal,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Check a training before the GPU hours: its configuration, data, gradient paths and losses.

    Exits as `check` does: 0 without warning or error, 1 with one, 2 on a usage or tool error.
    """
    project = find_settings()
    how = {
        "select": split(select) or project.select,
        "ignore": (*project.ignore, *split(ignore)),
        "options": project.before,
    }
    with installed("a preflight needs"):
        from tocsin.prechecks.setup import SetupError
    try:
        if ":" in target:
            _refuse("--fault and --set", "a study", fault, settings)
            report = _of_function(target, _read(config), how)
        else:
            _refuse("--config", "module:function", config)
            report = _of_study(target, preset, fault, seed, settings or [], how)
    except SetupError as error:
        raise UserError(str(error)) from error
    except SystemExit as error:  # what it exits with is no verdict of ours
        raise UserError(f"{target} ended the process by sys.exit({error.code}) while it was looked at") from error
    from tocsin.prechecks.flight import all_checks

    show(report, Format.json if as_json else output, more=all_checks())
    raise typer.Exit(exit_code(report))


def _refuse(options: str, what: str, *given: Any) -> None:
    """Options that would be passed over."""
    if any(given):
        raise UserError(f"{options}: for {what} only")


def _of_function(target: str, config: Any, how: dict[str, Any]) -> Report:
    from tocsin.prechecks.flight import checked
    from tocsin.prechecks.loading import load

    return checked(load(target, config), **how)


def _of_study(name: str, preset: str, fault: str | None, seed: int, settings: list[str], how: Any) -> Report:
    from tocsin.prechecks.flight import checked

    study = chosen(name, preset, fault)
    with installed():
        from tocsin.studies.setups import setup_of
        from tocsin.studies.study import StudyError
    try:
        setup = setup_of(study, preset=preset, fault=fault, seed=seed, overrides=parsed(settings))
    except StudyError as error:
        raise UserError(str(error)) from error
    return checked(setup, **how)


def _read(path: Path | None) -> dict[str, Any] | None:
    """The configuration file as plain data."""
    if path is None:
        return None
    import yaml

    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise UserError(f"{path}: a configuration of more than 4 MiB")
        found = yaml.safe_load(text.decode("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as YAML or JSON ({str(error).splitlines()[0]})") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected a mapping of settings, got {type(found).__name__}")
    return found

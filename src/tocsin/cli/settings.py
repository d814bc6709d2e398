"""``[tool.tocsin]`` of the nearest pyproject.toml: what to select, ignore and know already, and options of rules."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tocsin import engine
from tocsin.cli.errors import UserError
from tocsin.findings import Rule

KEYS = ("select", "ignore", "baseline", "rules")
LARGEST = 4 * 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """The settings of a project; all empty where there are none.

    Attributes:
        select, ignore: Rule codes, prefixes or names; ``ignore`` may name checks that only preflight makes.
        baseline: File of known findings, resolved against the folder of pyproject.toml.
        options: Option overrides by rule name.
        before: Those of a preflight, by code: its checks may have options that no rule has.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    baseline: Path | None = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    before: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def find_settings(start: Path | None = None) -> Settings:
    """The settings in force at ``start`` (the working folder): those of the nearest pyproject.toml at or above it.

    Raises:
        UserError: The file cannot be read, or a key or value in its table is not one of ours.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            return _parsed(file)
    return Settings()


def _parsed(file: Path) -> Settings:
    table = _table(file)
    unknown = sorted(set(table) - set(KEYS))
    if unknown:
        raise UserError(f"{file}: [tool.tocsin] has no key {unknown[0]!r}; expected {', '.join(KEYS)}")
    baseline = table.get("baseline")
    if not isinstance(baseline, str | None):
        raise UserError(f"{file}: tool.tocsin.baseline must be the path of a file, got {baseline!r}")
    options, before = _options(file, table.get("rules", {}))
    return Settings(
        select=_words(file, table, "select"),
        ignore=_words(file, table, "ignore"),
        baseline=None if baseline is None else file.parent / baseline,
        options=options,
        before=before,
    )


def _table(file: Path) -> Mapping[str, Any]:
    try:
        if file.stat().st_size > LARGEST:
            raise UserError(f"{file}: larger than {LARGEST // 1024**2} MB, not read")
        tool = tomllib.loads(file.read_text("utf-8")).get("tool", {})
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{file}: cannot be read: {why}") from error
    table = tool.get("tocsin", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise UserError(f"{file}: tool.tocsin must be a table, got {table!r}")
    return table


def _words(file: Path, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    words = table.get(key, [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UserError(f'{file}: tool.tocsin.{key} must be a list of rule codes such as ["PRD"], got {words!r}')
    try:
        engine.select_rules(words if key == "select" else [word for word in words if not of_preflight_alone(word)])
    except engine.UnknownRule as error:
        raise UserError(f"{file}: tool.tocsin.{key}: {error}") from error
    return tuple(words)


def of_preflight_alone(word: str) -> bool:
    """Whether a word names checks of preflight and no rule of runs. Without torch, any word like a code may do so."""
    with suppress(engine.UnknownRule):
        return not engine.select_rules([word])
    if find_spec("torch") is None:
        return re.fullmatch(r"[A-Z]{3}\d{3}", word.upper()) is not None
    from tocsin.prechecks.flight import all_checks

    return any(check.code.startswith(word.upper()) or check.name == word.lower() for check in all_checks())


Options = dict[str, dict[str, Any]]


def _options(file: Path, rules: Any) -> tuple[Options, Options]:
    """Options by name of the rule, and by code those of preflight, whose checks may have others."""
    if not isinstance(rules, dict):
        raise UserError(f"{file}: tool.tocsin.rules must be a table of rules, got {rules!r}")
    options: Options = {}
    before: Options = {}
    for word, given in rules.items():
        where = f"{file}: [tool.tocsin.rules.{word}]"
        rule = None if of_preflight_alone(word) else _rule(where, word)
        if not isinstance(given, dict):
            raise UserError(f"{where} must be a table of options, got {given!r}")
        mine = rule.options if rule is not None else {}
        code, known = (rule.code, mine) if rule is not None and set(given) <= set(mine) else _of_checks(word, mine)
        values = {key: _option(where, known, key, value) if known or rule else value for key, value in given.items()}
        before[rule.code if rule is not None else code] = values
        if rule is not None:
            options[rule.name] = {key: value for key, value in values.items() if key in mine}
    return options, before


def _rule(where: str, word: str) -> Rule:
    try:
        return engine.find_rule(word)
    except engine.UnknownRule as error:
        raise UserError(f"{where}: {error}") from error


def _of_checks(word: str, options: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Code and options of the checks of this code or name beside those of the rule; without torch none is known."""
    if find_spec("torch") is None:
        return word.upper(), options
    from tocsin.prechecks.flight import all_checks

    named = [check for check in all_checks() if word.upper() == check.code or word.lower() == check.name]
    known = {name: value for check in named for name, value in check.options.items()}
    return named[0].code if named else word.upper(), {**known, **options}


def _option(where: str, defaults: Mapping[str, Any], key: str, value: Any) -> Any:
    if key not in defaults:
        expected = f"expected {', '.join(defaults)}" if defaults else "this rule has none"
        raise UserError(f"{where} has no option {key!r}; {expected}")
    kind = type(defaults[key])
    if kind is float and type(value) is int:
        return float(value)
    if kind is tuple and isinstance(value, list):
        return tuple(value)
    if type(value) is not kind and defaults[key] is not None:
        raise UserError(f"{where}: {key} must be {kind.__name__} such as {defaults[key]!r}, got {value!r}")
    return value

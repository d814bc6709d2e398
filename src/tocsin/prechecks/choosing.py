"""Which checks and rules a preflight is asked for, and with which options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tocsin import engine
from tocsin.engine import UnknownRule
from tocsin.findings import Rule

Options = Mapping[str, Mapping[str, Any]]


def selected(checks: Iterable[Rule], select: list[str], ignore: list[str]) -> set[str]:
    """Codes of checks and rules that these words choose; of all where ``select`` is empty.

    Raises:
        UnknownRule: A word matches nothing.
    """
    own = {check.code: check.name for check in checks if check.code not in engine.all_rules()}

    def matching(words: list[str]) -> set[str]:
        chosen: set[str] = set()
        for word in words:
            hits = {code for code, name in own.items() if code.startswith(word.upper()) or name == word.lower()}
            try:
                hits |= {rule.code for rule in engine.select_rules([word])}
            except UnknownRule:
                if not hits:
                    raise
            chosen |= hits
        return chosen

    return (matching(select) if select else {*own, *engine.all_rules()}) - matching(ignore)


def options_of(check: Rule, options: Options) -> dict[str, Any]:
    """Of the options under this name or code those that the check has: a rule of the same code may have others."""
    given = {**options.get(check.name, {}), **options.get(check.code, {})}
    return {name: value for name, value in given.items() if name in check.options}


def vet_options(checks: Iterable[Rule], options: Options) -> None:
    """Raise where options name what does not exist.

    Raises:
        UnknownRule: No check and no rule has this code or name.
        ValueError: Those that have it have no such option.
    """
    everything = [*checks, *engine.all_rules().values()]
    for word, given in options.items():
        meant = [rule for rule in everything if word in (rule.code, rule.name)]
        if not meant:
            raise UnknownRule(f"options for {word!r}: no check and no rule has this code or name; `tocsin rules`")
        known = sorted({option for rule in meant for option in rule.options})
        for unknown in set(given) - set(known):
            expected = f"expected {', '.join(known)}" if known else "there is none"
            raise ValueError(f"{meant[0].code} {meant[0].name} has no option {unknown!r}; {expected}")

"""``preflight``: all that can be said of a training before it begins."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import tocsin.prechecks.checks
from tocsin import engine
from tocsin.engine import IGNORED, RAISED, check_run, ordered, selectors
from tocsin.findings import Finding, NotChecked, Report, Rule
from tocsin.prechecks import planned, rehearsal
from tocsin.prechecks.bench import Bench
from tocsin.prechecks.choosing import options_of, selected, vet_options
from tocsin.prechecks.copies import copied
from tocsin.prechecks.guard import untouched
from tocsin.prechecks.setup import Setup, SetupError, as_setup
from tocsin.prechecks.state import kept_random
from tocsin.run import Run

NAME = "preflight"


@cache
def all_checks() -> tuple[Rule, ...]:
    """Every check of ``prechecks.checks``, by code and name."""
    found = []
    for info in pkgutil.iter_modules(tocsin.prechecks.checks.__path__):
        module = importlib.import_module(f"{tocsin.prechecks.checks.__name__}.{info.name}")
        found += [value for value in vars(module).values() if isinstance(value, Rule)]
    return tuple(sorted(found, key=lambda check: (check.code, check.name)))


def preflight(
    setup: Any = None,
    /,
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    **parts: Any,
) -> Report:
    """Check a training before it begins: seconds on a CPU for a small model.

    Nothing of the caller's changes: checks work on a copy of model, optimizer and metrics and on copies of the first
    batches, and the random states are put back. Loaders are iterated some times: what one counts by itself moves on.

    Args:
        setup: A ``Setup``, a mapping of its parts, or ``(model, optimizer, losses, train, val)``.
        select: Codes, prefixes or names to check; all when empty.
        ignore: The same, to leave out.
        options: Options by code or name.
        parts: The parts of a ``Setup``, in place of one.

    Returns:
        A report as ``check`` gives it, of a run named "preflight"; ``costs`` says how many seconds each check took.

    Raises:
        SetupError: A part is missing or of the wrong kind, or a function of the setup raised.
        UnknownRule: A selector matches nothing, or options are of no check and no rule.
        ValueError: A check has no such option, nor has the rule of its code.
    """
    if setup is not None and parts:
        raise SetupError(f"preflight: give a setup or its parts, not both; got {', '.join(parts)} beside it")
    given = as_setup(parts if setup is None else setup)
    with kept_random([given.train, given.val]):
        mine = copied(given)
        with untouched(given):
            return checked(mine, select=select, ignore=ignore, options=options)


def checked(
    setup: Setup,
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Report:
    """The same on the setup itself, whose model is used up."""
    select, ignore = selectors(select), selectors(ignore)
    wanted = selected(all_checks(), select, ignore)
    vet_options(all_checks(), options or {})
    found: list[Finding] = []
    blind = _left_out(selected(all_checks(), select, []) - wanted)
    costs: list[tuple[str, float]] = []
    judged: set[str] = set()
    without: list[NotChecked] = []
    with _timed("batches", costs):
        bench = Bench(setup)
    for check in all_checks():
        if check.code in wanted:
            judged.add(check.code)
            with _timed(f"{check.code} {check.name}", costs), bench.restored():
                _judge(check, bench, options or {}, found, blind)
    for what, codes, run_of in (
        ("schedule", planned.RULES, planned.scheduled),
        ("rehearsal", rehearsal.RULES, rehearsal.rehearse),
    ):
        rules = [engine.all_rules()[code] for code in codes if code in wanted]
        if rules:
            with _timed(what, costs):
                run = run_of(bench)
                if isinstance(run, str):
                    without += [NotChecked(run, rule.code, rule.name, NAME) for rule in rules]
                else:
                    judged |= _by_rules(run, rules, options, found, blind)
    blind += [n for n in without if n.code not in judged]  # others may have looked
    return _report(found, blind, judged, costs)


def _left_out(codes: set[str]) -> list[NotChecked]:
    """Those of the ignored codes that a preflight looks for."""
    rehearsed = {code: engine.all_rules()[code].name for code in (*planned.RULES, *rehearsal.RULES)}
    names = {**{check.code: check.name for check in all_checks()}, **rehearsed}
    return [NotChecked(IGNORED, code, names[code], NAME) for code in sorted(codes & set(names))]


@contextmanager
def _timed(what: str, costs: list[tuple[str, float]]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    costs.append((what, time.perf_counter() - start))


def _judge(
    check: Rule, bench: Bench, options: Mapping[str, Any], found: list[Finding], blind: list[NotChecked]
) -> None:
    def unable(reason: str) -> None:
        blind.append(NotChecked(reason, check.code, check.name, NAME))

    missing = [need for need in check.needs if not bench.has(need)]
    if missing:
        unable(f"needs {', '.join(missing)} of the Setup")
        return
    try:
        outcomes = list(check.check(bench, **options_of(check, options)))
    except SetupError:
        raise
    except Exception as error:  # a broken check must not hide what the others find
        unable(f"{RAISED}{type(error).__name__}: {error}")
        return
    for outcome in outcomes:
        if isinstance(outcome, NotChecked):
            unable(outcome.reason)
        else:
            found.append(_ring(check, outcome))


def _ring(check: Rule, finding: Finding) -> Finding:
    """With the name and the symptoms of the rule of the same code, if there is one."""
    rule = engine.all_rules().get(check.code)
    rung = check.ring(Run(NAME), finding)
    return replace(rung, name=rule.name, explains=(*rule.explains, *check.explains)) if rule is not None else rung


def _by_rules(run: Run, rules: list[Rule], options: Any, found: list[Finding], blind: list[NotChecked]) -> set[str]:
    """Let rules judge a run made for them, and give the codes that looked; what a check has said is not said again."""
    keeper = check_run(replace(run, name=NAME), rules, {rule.code: options_of(rule, options or {}) for rule in rules})
    said = {(f.code, f.subject) for f in found} | {(f.code, "") for f in found}
    found += [f for f in keeper.rung.values() if f.healed_at is None and (f.code, f.subject) not in said]
    blind += keeper.not_checked.values()
    return {rule.code for rule in rules}


def _report(found: list[Finding], blind: list[NotChecked], judged: set[str], costs: list[tuple[str, float]]) -> Report:
    """A code that rang is neither clean nor unchecked, whichever of several looks rang."""
    rang = {f.code for f in found}
    unseen = {n.code for n in blind}
    return Report(
        runs=(NAME,),
        findings=tuple(ordered(found)),
        clean=tuple(sorted(judged - rang - unseen)),
        not_checked=tuple(n for n in blind if n.code not in rang),
        costs=tuple(costs),
    )

"""Shapes of lines met so far: each is studied once, then its lines are read by one compiled pattern."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from tocsin.readers.console.grammar import MAYBE, study
from tocsin.readers.console.numbers import shape, split
from tocsin.readers.console.plan import Plan
from tocsin.readers.console.prefixes import prefix
from tocsin.readers.console.signs import quick, sign

Read = tuple[Plan, "list[str] | tuple[str, ...]", str]  # the plan, the texts of the numbers, the sign
EMPTY = Plan()
MOST_SHAPES = 20_000
_MOST_VARIANTS = 8
_COMPILED_FROM = 3
_DIGITS = re.compile(r"\d+")
_LONGEST_SHAPE = 4000


@dataclass(slots=True)
class _Variant:
    pattern: re.Pattern[str]
    plan: Plan
    said: str


class Shapes:
    """A bounded memory of shapes. ``read`` gives the plan of a line and the numbers that the plan needs."""

    def __init__(self) -> None:
        self._noise: set[str] = set()
        self._met: dict[str, int] = {}
        self._known: dict[str, list[_Variant]] = {}

    def read(self, line: str) -> Read | None:
        """What a cleaned line holds; None where there is nothing to read in it."""
        form = shape(line)
        if form in self._noise:
            return None
        for variant in self._known.get(form, ()):
            found = variant.pattern.fullmatch(line)
            if found is not None:
                return variant.plan, found.groups(), variant.said
        return self._study(form, line)

    def _study(self, form: str, line: str) -> Read | None:
        pieces = split(line) if MAYBE.search(line) else []
        plan = study(line, pieces) if pieces else None
        if len(self._noise) + len(self._met) > MOST_SHAPES:
            self._noise.clear()
            self._met.clear()
            self._known.clear()
        said = sign(line[prefix(line).end :]) if quick(line) else ""
        if plan is None:
            if not said and form not in self._met and len(form) <= _LONGEST_SHAPE:
                self._noise.add(form)
            return (EMPTY, (), said) if said else None
        if len(form) <= _LONGEST_SHAPE:
            self._met[form] = met = self._met.get(form, 0) + 1
            if met >= _COMPILED_FROM:
                self._compile(form, pieces, plan, said)
        return plan, pieces[1::2], said

    def _compile(self, form: str, pieces: list[str], plan: Plan, said: str) -> None:
        variants = self._known.setdefault(form, [])
        if len(variants) >= _MOST_VARIANTS:
            return
        pattern, needed = _pattern(pieces, plan)
        variants.append(_Variant(re.compile(pattern, re.DOTALL), _renumbered(plan, needed), said))


def _pattern(pieces: list[str], plan: Plan) -> tuple[str, dict[int, int]]:
    """The pattern of all lines that a plan reads, and which of its groups holds which number."""
    wanted = set()
    named = set()
    for place in plan.places:
        wanted |= {place.at, place.total}
        named.add(place.at)
    for pair in plan.pairs:
        wanted |= {pair.at, pair.over, pair.mean}
        named.add(pair.at)
    needed: dict[int, int] = {}
    parts: list[str] = []
    for at in range(len(pieces) // 2):
        text, number = pieces[2 * at], _digits(pieces[2 * at + 1])
        if not needed and at not in named and plan.rank >= 0 and pieces[2 * at + 1] == str(plan.rank):
            number = re.escape(pieces[2 * at + 1])
        parts.append(re.escape(text) if at in named or plan.rank >= 0 else _digits(text))
        if at in wanted:
            needed[at] = len(needed)
            number = f"({number})"
        parts.append(number)
    return "".join(parts) + _digits(pieces[-1]), needed


def _digits(text: str) -> str:
    return r"\d+".join(map(re.escape, _DIGITS.split(text)))


def _renumbered(plan: Plan, groups: dict[int, int]) -> Plan:
    """The plan with the groups of the pattern in place of the numbers of the line."""
    groups = {**groups, -1: -1}
    places = tuple(replace(p, at=groups[p.at], total=groups[p.total]) for p in plan.places)
    pairs = tuple(replace(p, at=groups[p.at], over=groups[p.over], mean=groups[p.mean]) for p in plan.pairs)
    return replace(plan, places=places, pairs=pairs)

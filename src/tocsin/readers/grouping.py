"""Which units, each of one format, tell of one run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from tocsin.readers.agreement import Agreement, agreement
from tocsin.readers.unit import Unit

Cluster = list[Unit]


def clusters(units: list[Unit]) -> list[Cluster]:
    """The units in runs; a run has at most one unit of a format.

    Two units of different formats are of one run where, in this order,

    1. they stand in one folder under one file stem (``20210112.log`` and ``20210112.log.json``);
    2. their curves hold the same numbers, as far as each printed them, wherever they stand;
    3. their folder holds one log of each format, and their numbers do not contradict each other;
    4. the one says only how a run ended, and there is no other run at or below its folder.
    """
    return _Grouping(units).run()


class _Grouping:
    def __init__(self, units: list[Unit]) -> None:
        self.units = units
        self.of = {id(unit): [unit] for unit in units}
        self.order = {id(unit): at for at, unit in enumerate(units)}
        self.compared: dict[tuple[int, int], Agreement] = {}

    def run(self) -> list[Cluster]:
        for links in (self._same_stem, self._same_numbers, self._only_ones, self._endings):
            for one, other in links():
                self._join(one, other)
        found: dict[int, Cluster] = {}
        for unit in self.units:
            cluster = self.of[id(unit)]
            found.setdefault(id(cluster), cluster)
        return list(found.values())

    def _join(self, one: Unit, other: Unit) -> None:
        first, second = self.of[id(one)], self.of[id(other)]
        if self._barred(one, other):
            return
        first += second
        for unit in second:
            self.of[id(unit)] = first

    def _pairs(self) -> Iterator[tuple[Unit, Unit]]:
        """The pairs that could still be joined."""
        return ((one, other) for one, other in combinations(self.units, 2) if not self._barred(one, other))

    def _barred(self, one: Unit, other: Unit) -> bool:
        """Whether the runs of the two, as they are joined so far, share a format."""
        return not {u.source for u in self.of[id(one)]}.isdisjoint(u.source for u in self.of[id(other)])

    def _agreement(self, one: Unit, other: Unit) -> Agreement:
        if self.order[id(one)] > self.order[id(other)]:
            one, other = other, one
        key = (id(one), id(other))
        if key not in self.compared:
            self.compared[key] = agreement(one.run, other.run)
        return self.compared[key]

    def _same_stem(self) -> Iterator[tuple[Unit, Unit]]:
        for one, other in self._pairs():
            if one.home == other.home and one.stems & other.stems and not self._agreement(one, other).contradicts:
                yield one, other

    def _same_numbers(self) -> Iterator[tuple[Unit, Unit]]:
        """The pairs that agree on most numbers first; in one folder before those across folders."""
        scored = [
            (one.home == other.home, found.evidence, one, other)
            for one, other in self._pairs()
            if (found := self._agreement(one, other)).evidence and not found.contradicts
        ]
        for _, _, one, other in sorted(scored, key=lambda pair: (not pair[0], -pair[1])):
            yield one, other

    def _only_ones(self) -> Iterator[tuple[Unit, Unit]]:
        formats = Counter((unit.home, unit.source) for unit in self.units)
        crowded = {home for (home, _), count in formats.items() if count > 1}
        for one, other in self._pairs():
            if one.home == other.home and one.home not in crowded and not self._clash(one, other):
                yield one, other

    def _clash(self, one: Unit, other: Unit) -> bool:
        """Whether any numbers of the two runs, as they are joined so far, contradict each other."""
        return any(
            self._agreement(a, b).contradicts
            for a in self.of[id(one)]
            for b in self.of[id(other)]
            if a.source != b.source
        )

    def _endings(self) -> Iterator[tuple[Unit, Unit]]:
        for unit in self.units:
            if unit.run.series or len(self.of[id(unit)]) > 1:
                continue
            others = [other for other in self.units if other is not unit and _at_or_below(other.home, unit.home)]
            if others and len({id(self.of[id(other)]) for other in others}) == 1:
                yield others[0], unit


def _at_or_below(folder: Path, top: Path) -> bool:
    return folder == top or folder.is_relative_to(top)

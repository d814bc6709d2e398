"""The measured preflights as rows of the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from preflight.kinds.registry import KINDS
from preflight.plants.registry import PLANTS
from tocsin.stats import wilson

LOUD = ("error", "warning")
Result = dict[str, Any]


def check_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One row a check: how often it rang on its faults and beside them, and its cost there, in ms."""
    rows = []
    for k, plant in enumerate(PLANTS):
        mine = [r for r in results if r["job"][:2] == ["plant", str(k)]]
        faults, near = ([r for r in mine if r["job"][2] == role] for role in ("faults", "neighbours"))
        costs = [ms for r in mine for name, ms in r.get("costs", []) if name == plant.part]
        rows.append(
            {
                "code": plant.code,
                "part": plant.part,
                "faults": list(plant.faults),
                "neighbours": list(plant.neighbours),
                "loud": _share(faults, plant.code, LOUD),
                "any": _share(faults, plant.code, (*LOUD, "note")),
                "near_loud": _share(near, plant.code, LOUD),
                "near_any": _share(near, plant.code, (*LOUD, "note")),
                "missed": _count(r["job"][3] for r in faults if not _rang(r, plant.code, (*LOUD, "note"))),
                "alarmed": _count(r["job"][3] for r in near if _rang(r, plant.code, LOUD)),
                "noted": _count(r["job"][3] for r in near if _rang(r, plant.code, ("note",))),
                "median_ms": median(costs) if costs else None,
                "max_ms": max(costs) if costs else None,
            }
        )
    return rows


def healthy_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One row a kind of healthy training: preflights with a warning or error, what rang, and the cost in s."""
    rows = []
    for name, mine in _kinds(results):
        of = KINDS.get(name.partition(" ")[2]) if name.startswith("kind ") else None
        alarmed = [r for r in mine if _codes(r, LOUD)]
        rows.append(
            {
                "kind": name.partition(" ")[2] or name,
                "why": of.why if of else "",
                "expected": sorted(of.expects) if of else [],
                "group": name.partition(" ")[0],
                "runs": len(mine),
                "alarmed": len(alarmed),
                "interval": wilson(len(alarmed), len(mine)),
                "refused": _count(r["error"] for r in mine if "error" in r),
                "codes": _count(code for r in mine for code in _codes(r, LOUD)),
                "notes": _count(code for r in mine for code in _codes(r, ("note",))),
                "broken": _count(
                    f"{c} {why}" for r in mine for c, _, why in r.get("not_checked", []) if "raised" in why
                ),
                "median_s": median(r["seconds"] for r in mine),
                "max_s": max(r["seconds"] for r in mine),
            }
        )
    return rows


def unexpected(rows: Sequence[dict[str, Any]], results: Sequence[Result]) -> tuple[int, int]:
    """Preflights with a warning or error that is not said to be true of its kind, and all of them."""
    known = {row["kind"]: set(row["expected"]) for row in rows}
    runs = [r for _, mine in _kinds(results) for r in mine]
    return sum(bool(set(_codes(r, LOUD)) - known.get(r["job"][1], set())) for r in runs), len(runs)


def alarms(results: Sequence[Result]) -> list[list[str]]:
    """Every code that rang loudly on a healthy training, with one message for each training."""
    found: dict[tuple[str, str], str] = {}
    for name, mine in _kinds(results):
        for r in mine:
            for code, severity, _, message in r.get("findings", []):
                if severity in LOUD:
                    found.setdefault((code, name), message)
    return [[code, name, message] for (code, name), message in sorted(found.items())]


def _kinds(results: Sequence[Result]) -> Iterator[tuple[str, list[Result]]]:
    """Healthy trainings by kind; those of the detection benchmark by variant."""
    named: dict[str, list[Result]] = {}
    for r in results:
        what, *rest = r["job"]
        if what != "plant":
            named.setdefault(f"{what} {rest[1] if what == 'detection' else rest[0]}", []).append(r)
    yield from named.items()


def _broken(result: Result) -> list[tuple[str, str]]:
    """Checks that raised, which is a mistake of theirs, and why."""
    return [(code, why) for code, _, why in result.get("not_checked", []) if "raised" in why]


def _share(results: Sequence[Result], code: str, severities: tuple[str, ...]) -> list[float]:
    hits = sum(_rang(r, code, severities) for r in results)
    return [hits, len(results), *wilson(hits, len(results))]


def _rang(result: Result, code: str, severities: tuple[str, ...]) -> bool:
    return any(c == code and s in severities for c, s, *_ in result.get("findings", []))


def _codes(result: Result, severities: tuple[str, ...]) -> list[str]:
    return sorted({c for c, s, *_ in result.get("findings", []) if s in severities})


def _count(names: Iterator[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())

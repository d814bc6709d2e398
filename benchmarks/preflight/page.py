"""The page of the documentation, from the stored tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HEAD = """# How often is preflight right?

Measured: `python benchmarks/preflight` plants each check's fault and what lies nearest to it, draws both anew for each
of {seeds} seeds, and runs preflight on many healthy trainings, as many of each as the second table says. The plants are
those of the tests, on which the checks were developed: the first table says what they do, not what they would do on
faults that nobody thought of. Brackets are 95 % intervals (Wilson). Times are those that the report names itself, on
one thread of a shared, busy machine; the largest of a check may be another program's.
"""
CHECKS = """
## Each check on its fault and beside it

*Rang* counts plants that the check names with a warning or an error; where it is a note by design, *with notes* says
how often it spoke at all. A neighbour that gets a note is not silent, and is listed.

"""
HEALTHY = """
## Healthy trainings

All healthy variants of the [detection benchmark](detection.md), the study, and {kinds} kinds of trainings that people
bring. Every warning or error is in the second table; what is behind each is said below it.

"""


def page(tables: Mapping[str, Any], reasons: str) -> str:
    """Markdown; ``reasons`` is written by hand."""
    kinds = sum(row["group"] == "kind" for row in tables["healthy"])
    parts = [HEAD.format(seeds=tables["seeds"]), _summary(tables), CHECKS, _checks(tables["checks"]), _left(tables)]
    parts += [
        HEALTHY.format(kinds=kinds),
        _healthy(tables["healthy"]),
        "\n### What rang\n\n",
        _alarms(tables["alarms"]),
    ]
    return "".join([*parts, "\n", reasons.strip(), "\n"])


def _summary(tables: Mapping[str, Any]) -> str:
    rows = [(name, value) for name, value in tables["summary"].items()]
    return "\n" + _table(("", ""), rows)


def _checks(rows: Sequence[Mapping[str, Any]]) -> str:
    said = [
        (
            r["part"] if r["code"] in r["part"] else f"{r['code']} ({r['part']})",
            len(r["faults"]),
            share(r["loud"]),
            f"{r['any'][0]:g}/{r['any'][1]:g}",
            len(r["neighbours"]),
            share(r["near_loud"]),
            _ms(r["median_ms"]),
            _ms(r["max_ms"]),
        )
        for r in rows
    ]
    columns = ("check", "faults", "rang", "with notes", "neighbours", "rang there", "median ms", "largest ms")
    return _table(columns, said)


def _left(tables: Mapping[str, Any]) -> str:
    """Faults that were missed, and neighbours that were not silent."""
    lines = []
    for r in tables["checks"]:
        lines += [f"- {r['part']} missed: {name} ({k} times)" for name, k in r["missed"].items()]
        lines += [f"- {r['part']} rang beside its fault: {name} ({k} times)" for name, k in r["alarmed"].items()]
        lines += [f"- {r['part']} noted beside its fault: {name} ({k} times)" for name, k in r["noted"].items()]
    missing = tables["unplanted"]
    lines += [f"- nothing is planted for {', '.join(missing)}"] if missing else []
    return "\nNot as planted:\n\n" + ("\n".join(lines) or "- none") + "\n"


def _healthy(rows: Sequence[Mapping[str, Any]]) -> str:
    said = [
        (
            r["kind"],
            f"{r['alarmed']}/{r['runs']}",
            _counts(r["codes"]),
            _counts(r["notes"]),
            f"{r['median_s']:.1f} ({r['max_s']:.1f})",
            r["why"] or ("detection benchmark" if r["group"] == "detection" else ""),
        )
        for r in rows
    ]
    return _table(("training", "alarmed", "by", "notes", "s (largest)", "what it is"), said)


def _alarms(rows: Sequence[Sequence[str]]) -> str:
    said = [(code, name.partition(" ")[2], message.replace("|", "\\|")) for code, name, message in rows]
    return _table(("code", "training", "an example of what it says"), said)


def share(counted: Sequence[float]) -> str:
    """``3/4 [.30, .95]``."""
    hits, n, low, high = counted
    return f"{hits:g}/{n:g} [{low:.2f}, {high:.2f}]"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} x{k}" for name, k in counts.items())


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)]) + "\n"


def write(tables: Mapping[str, Any], out: Path) -> None:
    """Write the page, with the reasons kept beside this file."""
    reasons = Path(__file__).with_name("reasons.md").read_text(encoding="utf-8")
    out.write_text(page(tables, reasons), encoding="utf-8")

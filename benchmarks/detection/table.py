"""The results as text and as JSON data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from detection import scoring
from detection.scoring import Result

BOUND = 0.01


def variants_of(results: Sequence[Result]) -> list[str]:
    """Names in order of appearance."""
    return list(dict.fromkeys(r.variant for r in results))


def fault_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One row a fault: how often it was detected and its cause led or was named, and what led instead."""
    rows = []
    for name in variants_of(scoring.faulty(results)):
        mine = [r for r in results if r.variant == name]
        others = Counter(lead["code"] if (lead := r.leading()) else "nothing" for r in mine if not r.caused())
        rings = scoring.times(mine)
        rows.append(
            {
                "fault": name,
                "expects": sorted(mine[0].expects),
                "runs": len(mine),
                "detected": sum(r.detected() for r in mine),
                "cause": sum(r.caused() for r in mine),
                "named": sum(r.named for r in mine),
                "median_fraction": float(np.median([f for _, f in rings])) if rings else None,
                "instead": dict(others.most_common()),
            }
        )
    return rows


def healthy_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """One row a healthy variant: runs with a false alarm, and their codes with the tasks."""
    rows = []
    for name in variants_of(scoring.healthy(results)):
        mine = [r for r in results if r.variant == name]
        codes = Counter(f"{code} {r.task}" for r in mine for code in sorted({f["code"] for f in r.loud()}))
        rows.append(
            {
                "healthy": name,
                "runs": len(mine),
                "alarmed": sum(r.detected() for r in mine),
                "codes": dict(codes.most_common()),
            }
        )
    return rows


def summary(results: Sequence[Result]) -> dict[str, str]:
    """The headline figures in words."""
    wrong, calm = scoring.faulty(results), scoring.healthy(results)
    found = {
        "runs": f"{len(wrong)} faulty, {len(calm)} healthy",
        "detection": str(scoring.share(wrong, Result.detected)),
        "root cause leads": str(scoring.share(wrong, Result.caused)),
        "root cause named": str(scoring.share(wrong, lambda r: r.named)),
    }
    for label, severities in (("alarms", scoring.LOUD), *((s, (s,)) for s in ("error", "warning", "note"))):
        runs, rate = scoring.alarms(results, severities)
        found[f"healthy runs with {label}"] = f"{runs}; {rate}"
    rings = scoring.times(results)
    if rings:
        steps, fractions = zip(*rings, strict=True)
        found["time to detect, median"] = f"step {np.median(steps):.0f}, {100 * np.median(fractions):.0f} % of the run"
        found["time to detect, 90 %"] = f"step {np.quantile(steps, 0.9):.0f}, {100 * np.quantile(fractions, 0.9):.0f} %"
    return found


def text(results: Sequence[Result]) -> str:
    """All tables."""
    lines = [f"{'fault':26} {'found':>7} {'cause':>7} {'named':>7} {'after':>6}  expected; what led instead"]
    for row in fault_rows(results):
        n, after = row["runs"], row["median_fraction"]
        counts = " ".join(f"{row[k]:>3}/{n:<3}" for k in ("detected", "cause", "named"))
        instead = ", ".join(f"{code} x{k}" for code, k in row["instead"].items()) or "-"
        when = "-" if after is None else f"{100 * after:.0f} %"
        lines.append(f"{row['fault']:26} {counts} {when:>6}  {' '.join(row['expects'])}; {instead}")
    lines += ["", f"{'healthy':26} {'alarmed':>7}  codes"]
    for row in healthy_rows(results):
        codes = ", ".join(f"{code} x{k}" for code, k in row["codes"].items()) or "-"
        lines.append(f"{row['healthy']:26} {row['alarmed']:>3}/{row['runs']:<3}  {codes}")
    lines += ["", f"{'code':8} {'leads rightly':>13} {'wrongly':>8} {'healthy':>8} {'rang in healthy':>16}"]
    for code in scoring.by_code(results):
        lines.append(f"{code.code:8} {code.right:>13} {code.wrong:>8} {code.false:>8} {code.rang:>16}")
    lines += ["", f"{'task':14} detection; cause leads; healthy runs alarmed"]
    for task in sorted({r.task for r in results}):
        mine = [r for r in results if r.task == task]
        wrong, calm = scoring.faulty(mine), scoring.healthy(mine)
        parts = [
            scoring.share(wrong, Result.detected),
            scoring.share(wrong, Result.caused),
            scoring.share(calm, Result.detected),
        ]
        lines.append(f"{task:14} {'; '.join(map(str, parts))}")
    lines += [
        "",
        f"Leave one task out: rules muted that ring in over {100 * BOUND:g} % of the other tasks' healthy runs",
    ]
    for left in scoring.leave_one_task_out(results, BOUND):
        muted = ", ".join(sorted(left.muted)) or "none"
        lines.append(f"{left.task:14} {left.detection}; {left.cause}; {left.alarm}; muted: {muted}")
    lines += ["", *(f"{label:28} {value}" for label, value in summary(results).items())]
    return "\n".join(lines)


def data(results: Sequence[Result]) -> dict[str, Any]:
    """Everything as JSON data."""
    return {
        "summary": summary(results),
        "faults": fault_rows(results),
        "healthy": healthy_rows(results),
        "codes": [vars(row) for row in scoring.by_code(results)],
        "leave_one_task_out": [
            {"task": r.task, "muted": sorted(r.muted)}
            | {what: str(getattr(r, what)) for what in ("detection", "cause", "alarm")}
            for r in scoring.leave_one_task_out(results, BOUND)
        ],
        "runs": [
            {
                "cell": f"{r.task}/{r.variant}/{r.seed}",
                "steps": r.steps,
                "leading": (r.leading() or {}).get("code"),
                "cause": r.caused(),
                "loud": sorted({f["code"] for f in r.loud()}),
            }
            for r in results
        ],
    }  # fmt: skip

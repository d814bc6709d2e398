"""Preflight on planted faults, their healthy neighbours, and many healthy trainings.

    python benchmarks/preflight [--seeds N] [--detection-seeds N] [--json FILE] [--page FILE]

Exits with 1 where a preflight could not be made.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "results"


def main(words: list[str] | None = None) -> int:
    """Measure, print the tables, and write them where asked."""
    os.environ["OMP_NUM_THREADS"] = "1"
    asked = _parser().parse_args(words)
    from preflight import measuring, page

    todo = [job for job in measuring.jobs(asked.seeds, asked.detection_seeds) if not asked.only or job[0] in asked.only]
    results = run(todo, asked.workers, asked.kept)
    tables = tabulated(results, asked.seeds)
    for name, value in tables["summary"].items():
        print(f"{name:60} {value}")
    if asked.json is not None:
        asked.json.write_text(json.dumps(tables, indent=1))
    if asked.page is not None:
        page.write(tables, asked.page)
    refused = [r for r in results if "error" in r]
    for r in refused:
        print(f"REFUSED {'/'.join(r['job'])}: {r['error']}")
    return 1 if refused else 0


def run(todo: Sequence[tuple[str, ...]], workers: int, kept: Path | None = None) -> list[dict[str, Any]]:
    """The results in order, from so many processes; those in the file ``kept`` are not made again, new ones added."""
    from preflight.measuring import measured

    lines = kept.read_text().splitlines() if kept is not None and kept.is_file() else []
    done = {tuple(result["job"]): result for result in map(json.loads, lines)}
    left = [job for job in todo if job not in done]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for k, result in enumerate(pool.map(measured, left, chunksize=4), start=1):
            done[tuple(result["job"])] = result
            if kept is not None:
                with kept.open("a") as file:
                    print(json.dumps(result), file=file)
            if k % 200 == 0:
                print(f"{k} of {len(left)}", file=sys.stderr, flush=True)
    return [done[job] for job in todo]


def tabulated(results: Sequence[dict[str, Any]], seeds: int) -> dict[str, Any]:
    """All tables as plain data."""
    from preflight import page, rows
    from tocsin.prechecks.flight import all_checks
    from tocsin.stats import wilson

    checks, healthy = rows.check_rows(results), rows.healthy_rows(results)
    false, runs = rows.unexpected(healthy, results)
    loud = sum(row["alarmed"] for row in healthy)
    pooled = [sum(row[name][at] for row in checks) for name in ("loud", "any", "near_loud") for at in (0, 1)]
    planted = {row["part"] for row in checks}
    return {
        "seeds": seeds,
        "summary": {
            "plants named with a warning or error": page.share([*pooled[:2], *wilson(*pooled[:2])]),
            "plants named, notes included": page.share([*pooled[2:4], *wilson(*pooled[2:4])]),
            "healthy neighbours with a warning or error": page.share([*pooled[4:], *wilson(*pooled[4:])]),
            "healthy trainings with a warning or error": page.share([loud, runs, *wilson(loud, runs)]),
            "of them with one that is not true of the training": page.share([false, runs, *wilson(false, runs)]),
        },
        "checks": checks,
        "unplanted": sorted({f"{c.code} {c.name}" for c in all_checks()} - planted),
        "healthy": healthy,
        "alarms": rows.alarms(results),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/preflight", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="of plants and kinds")
    parser.add_argument("--detection-seeds", type=int, default=5, help="of the detection benchmark's healthy trainings")
    parser.add_argument("--only", nargs="+", choices=("plant", "kind", "detection", "study"), default=[])
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--kept", type=Path, help="results as JSON lines: those in it are not made again")
    parser.add_argument("--json", type=Path, help="write the tables here")
    parser.add_argument("--page", type=Path, help="write the page of the documentation here")
    return parser

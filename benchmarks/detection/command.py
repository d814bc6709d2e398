"""Detection and false alarms over tasks, faults and seeds.

    python benchmarks/detection [--split dev|held-out|all] [--tasks ...] [--variants ...] [--seeds ...] [--json FILE]
    python benchmarks/detection --cell digits-mlp/lr-zero/0 [--observer NAME] [--folder DIR]

Finished runs are not trained again while their code is unchanged, and not checked again while the rules are: it can be
stopped and started.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from detection import page, splits, store, table
from detection.catalogue import VARIANTS
from detection.observers import OBSERVERS
from detection.runs import Cell, execute
from detection.scoring import Result
from detection.tasks import TASKS

RESULTS = Path(__file__).resolve().parents[1] / "results"


def main(words: list[str] | None = None) -> int:
    """Run what was asked for; 1 if a run of the matrix could not be made or checked."""
    os.environ["OMP_NUM_THREADS"] = "1"
    asked = _parser().parse_args(words)
    if asked.cell is not None:
        print(json.dumps(asdict(execute(asked.cell, asked.observer, asked.folder))))
        return 0
    part = None if asked.split == "all" else asked.split
    cells = splits.matrix(part, tasks=asked.tasks, variants=asked.variants, seeds=asked.seeds)
    started = time.perf_counter()
    found, failed = run_all(cells, asked.folder or RESULTS / "detection", asked.observer, asked.workers)
    results = [as_result(one) for one in found]
    print(table.text(results))
    cpu = sum(one["seconds"] for one in found)
    print(f"\n{len(found)} runs in {time.perf_counter() - started:.0f} s; their training took {cpu:.0f} CPU seconds")
    for cell, error in failed:
        print(f"FAILED {cell}: {error}")
    if asked.json is not None:
        asked.json.write_text(json.dumps({"split": asked.split, **table.data(results)}, indent=1))
    if asked.page is not None:
        page.write(table.data(results), RESULTS / "peers.json", asked.page)
    return 1 if failed else 0


def run_all(
    cells: Sequence[Cell], folder: Path, observer: str, workers: int
) -> tuple[list[dict[str, Any]], list[tuple[Cell, str]]]:
    """The results of these cells in their order, and the cells that raised, with what they raised."""
    done: dict[Cell, dict[str, Any]] = {}
    failed: list[tuple[Cell, str]] = []
    pool_of = partial(ProcessPoolExecutor, mp_context=multiprocessing.get_context("spawn"))
    with pool_of(workers) if workers else ThreadPoolExecutor(1) as pool:
        jobs = {pool.submit(store.result, cell, folder, observer): cell for cell in cells}
        for job in as_completed(jobs):
            try:
                done[jobs[job]] = job.result()
            except Exception as error:
                failed.append((jobs[job], f"{type(error).__name__}: {error}"))
            if (len(done) + len(failed)) % 100 == 0:
                print(f"{len(done) + len(failed)} of {len(cells)}", file=sys.stderr, flush=True)
    return [done[cell] for cell in cells if cell in done], failed


def as_result(one: dict[str, Any]) -> Result:
    """A stored result as what the scores are computed from."""
    expects = VARIANTS[one["variant"]].expects
    return Result(one["task"], one["variant"], one["seed"], expects, tuple(one["findings"]), one["steps"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/detection", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", choices=("dev", "held-out", "all"), default="dev")
    parser.add_argument("--tasks", nargs="+", choices=sorted(TASKS), default=[])
    parser.add_argument("--variants", nargs="+", choices=sorted(VARIANTS), default=[], metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, choices=splits.SEEDS, default=[])
    parser.add_argument("--workers", type=int, default=2, help="processes; 0 stays in this one")
    parser.add_argument("--json", type=Path, help="write the tables and every run's outcome here")
    parser.add_argument("--page", type=Path, help="write the tables as a page of the documentation here")
    parser.add_argument("--cell", type=Cell.parse, help="one run, task/variant/seed, unchecked")
    parser.add_argument("--observer", choices=sorted(OBSERVERS), default="tocsin")
    parser.add_argument("--folder", type=Path, help="where records go; default benchmarks/results/detection")
    return parser

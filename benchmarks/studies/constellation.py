"""Trains the arms of the study ``constellation`` over seeds and writes their tables beside the ceilings.

Two processes of one thread each. Finished runs in the results folder are not trained again unless their configuration
has changed, so it can be stopped and started; delete the folder to start afresh. CPU seconds are those of the process
that trained, recording and pictures included. Exit code 1 if a goal is missed or ``tocsin check`` rings.

    python benchmarks/studies/constellation.py [--seeds 3] [--arms synchronous features ...] [--kept] [--page]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import arm_ceilings
import arm_contrasts
import arm_goals
import arm_page
import arm_picture
import arm_runs
from arms import ARMS

RESULTS = Path(__file__).parents[1] / "results"
SAID = Path(__file__).with_name("constellation.md")
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "studies" / "constellation.md"
PICTURE = ROOT / "docs" / "pictures" / "constellation.png"
BESIDE = ROOT / "src" / "tocsin" / "studies" / "constellation" / "RESULTS.md"


def main() -> int:
    """Train what is missing, print the tables and write them."""
    asked = _asked()
    results = sorted(_results(asked), key=lambda r: (asked.arms.index(r["arm"]), r["seed"]))
    found = {
        "runs": results,
        "ceilings": arm_ceilings.rows(),
        "contrasts": arm_contrasts.rows(results),
    }
    (oracle,) = (r["joint"] for r in found["ceilings"]["synchronous"] if r["ceiling"] == arm_ceilings.ORACLE)
    missed = arm_goals.missed(results, oracle)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps({**found, "missed": missed}, indent=1))
    print(arm_page.page(found))
    if asked.page:
        PAGE.write_text(arm_page.page(found, SAID.read_text(encoding="utf-8")), encoding="utf-8")
        BESIDE.write_text(arm_page.summary(found), encoding="utf-8")
        arm_picture.draw(asked.folder, PICTURE, [(r["arm"], r["seed"]) for r in results])
    print(f"{asked.json}\n" + ("missed: " + "; ".join(missed) if missed else "all goals met"))
    return int(bool(missed))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N - 1")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--folder", type=Path, default=RESULTS / "constellation", help="the runs")
    parser.add_argument("--json", type=Path, default=RESULTS / "constellation.json")
    parser.add_argument("--kept", action="store_true", help="train nothing: the runs that are there")
    parser.add_argument("--page", action="store_true", help="write the page in docs, its picture and RESULTS.md, too")
    return parser.parse_args()


def _results(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Outcomes as they come; the first seed of every arm before the second of any."""
    jobs: Sequence[tuple[Path, str, int]] = [(asked.folder, arm, s) for s in range(asked.seeds) for arm in asked.arms]
    if asked.kept:
        jobs = [job for job in jobs if arm_runs.kept(*job)]
    asked.folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"), initializer=_one_thread) as pool:
        for done in as_completed([pool.submit(arm_runs.outcome, *job) for job in jobs]):
            result = done.result()
            alarms = ", ".join(result["alarms"]) or "no alarm"
            print(f"{result['arm']} {result['seed']}: joint {result['joint']:.3f}, {result['cpu_s']:.0f} s, {alarms}")
            yield result


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


if __name__ == "__main__":
    raise SystemExit(main())

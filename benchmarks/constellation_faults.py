"""Detection and false alarms on the study ``constellation``: every fault and the healthy run over several seeds.

Two processes of one thread each. Finished runs in the results folder are not trained again, so it can be stopped and
started; delete the folder to start afresh. Exit code 1 if an expectation is missed.

    python benchmarks/constellation_faults.py [--seeds 5] [--modes healthy argmax-distance ...] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

HEALTHY = "healthy"
EXPECTED = {
    HEALTHY: None,
    "argmax-distance": ("OBJ007", "distance"),
    "masked-overflow": ("AMP002", None),
    "frozen-backbone": ("OPT001", None),
    "constant-snr-head": ("PRD002", "snr"),
    "nan-at-peak-lr": ("AMP003", None),
}
SUMMARY = "outcome.json"


def outcome(folder: Path, mode: str, seed: int) -> dict[str, Any]:
    """Train one run unless it is there, check it, and say whether it is as expected."""
    training = folder / f"{mode}-{seed}"
    kept = training / SUMMARY
    seconds = json.loads(kept.read_text()) if kept.is_file() else train_one(training, mode, seed)
    import tocsin

    (run,) = tocsin.read(training)
    report = tocsin.check(run)
    roots = [(f.code, f.subject, f.severity) for f in report.roots if f.severity != "note"]
    wanted = EXPECTED[mode]
    hits = [r for r in roots if wanted and r[0] == wanted[0] and (wanted[1] is None or wanted[1] in r[1])]
    others = [f"{code} {subject}".strip() for code, subject, severity in roots if (code, subject, severity) not in hits]
    return {
        "mode": mode,
        "seed": seed,
        "expected": wanted[0] if wanted else "silence",
        "met": not roots if wanted is None else bool(hits) and hits[0][2] == "error",
        "roots": [" ".join(root).strip() for root in roots],
        "other_roots": others,
        "notes": sorted({f.code for f in report.findings if f.severity == "note"}),
        "rang_at": min((f.rang_at or 0 for f in report.findings if wanted and f.code == wanted[0]), default=None),
        "joint_accuracy": last(run, "test/joint_accuracy"),
        "modulation_accuracy": last(run, "test/modulation_accuracy"),
        "snr_accuracy": last(run, "test/snr_accuracy"),
        "attractor_index": last(run, "test/attractor_index"),
        **seconds,
    }


def train_one(training: Path, mode: str, seed: int) -> dict[str, float]:
    """Train one run into ``training``; what an interrupted one left there goes first."""
    from tocsin import studies
    from tocsin.studies.training import train

    shutil.rmtree(training, ignore_errors=True)
    wall, cpu = time.perf_counter(), time.process_time()
    fault = None if mode == HEALTHY else mode
    train(studies.load("constellation"), fault=fault, seed=seed, run_dir=training, device="cpu", on_progress=quiet)
    seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    (training / SUMMARY).write_text(json.dumps(seconds))
    return seconds


def quiet(_: object) -> None:
    """The table says what rang."""


def last(run: Any, name: str) -> float | None:
    """The last value of a series, None where there is none."""
    series = run.get(name)
    return float(series.value[-1]) if series is not None else None


def table(outcomes: list[dict[str, Any]]) -> str:
    """One line a mode: how often the expectation was met, the roots found, the accuracy and the time."""
    lines = [f"{'mode':18} {'expected':9} {'met':>5}  {'joint accuracy':>16}  {'wall s':>7} {'CPU s':>6}  other roots"]
    for mode in EXPECTED:
        rows = [o for o in outcomes if o["mode"] == mode]
        if not rows:
            continue
        joint = [o["joint_accuracy"] for o in rows if o["joint_accuracy"] is not None]
        span = f"{min(joint):.3f} to {max(joint):.3f}" if joint else "-"
        wall, cpu = (sum(o[key] for o in rows) / len(rows) for key in ("wall_s", "cpu_s"))
        others = sorted({root for o in rows for root in o["other_roots"]})
        met = f"{sum(o['met'] for o in rows)}/{len(rows)}"
        start = f"{mode:18} {rows[0]['expected']:9} {met:>5}  {span:>16}"
        lines.append(f"{start}  {wall:7.1f} {cpu:6.1f}  {', '.join(others) or '-'}")
    return "\n".join(lines)


def main() -> int:
    """Run all, print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--modes", nargs="+", choices=list(EXPECTED), default=list(EXPECTED))
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "results" / "constellation_faults")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    outcomes = []
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(outcome, asked.folder, mode, seed) for seed in range(asked.seeds) for mode in asked.modes]
        for job in as_completed(jobs):
            outcomes.append(job.result())
            o = outcomes[-1]
            verdict = "as expected" if o["met"] else "MISSED"
            print(f"{o['mode']} seed {o['seed']}: {verdict}; roots: {', '.join(o['roots']) or 'none'}", flush=True)
    outcomes.sort(key=lambda o: (list(EXPECTED).index(o["mode"]), o["seed"]))
    print("\n" + table(outcomes))
    summary = asked.folder.with_suffix(".json")
    summary.write_text(json.dumps(outcomes, indent=1))
    print(f"\n{summary}")
    return 0 if all(o["met"] for o in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())

"""How the cost of ``tocsin check FOLDER`` grows with the runs in the folder: 10, 100, 1,000 runs of 10,000 points.

A third each are CSV, JSON lines and console text; one run in ten has a planted NaN, and each of these must be found and
no other. Wall and CPU seconds are those of the command from start to end, memory is that of its largest process.

    python benchmarks/scale.py [--runs 10 100 1000] [--workers 1 2] [--points 10000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
NAMES = ("train_loss", "val_loss", "val_acc", "lr", "grad_norm")
LINES = {
    "metrics.csv": "{0:.0f},{1:.5f},{2:.5f},{3:.5f},{4:.4e},{5:.4f}",
    "log.jsonl": '{{"step": {0:.0f}, "train_loss": {1:.5f}, "val_loss": {2:.5f}, "val_acc": {3:.5f}, "lr": {4:.4e}, '
    '"grad_norm": {5:.4f}}}',
    "train.log": "step {0:.0f}/{6} | train_loss {1:.5f} | val_loss {2:.5f} | val_acc {3:.5f} | lr {4:.4e} | "
    "grad_norm {5:.4f}",
}
PLANTED = 10  # one run in so many


def write_run(folder: Path, at: int, points: int) -> None:
    """One run in the format of its turn."""
    rng = np.random.default_rng(at)
    n = points // len(NAMES)
    step = 10 * np.arange(1, n + 1)
    loss = 0.3 + 2 * np.exp(-step / (3 * n)) + 0.02 * rng.standard_normal(n)
    held = loss + 0.05 + 0.02 * rng.standard_normal(n)
    score = 1 - 0.8 * np.exp(-step / (3 * n)) * (1 + 0.02 * rng.standard_normal(n)) - 0.02 * rng.random(n)
    if at % PLANTED == 0:
        loss[-n // 5 :] = held[-n // 5 :] = np.nan
    rows = zip(step, loss, held, score, 1e-3 * (1 - step / step[-1]), 1 + 0.1 * rng.random(n), strict=True)
    name, line = list(LINES.items())[at % len(LINES)]
    folder.mkdir(parents=True)
    head = ["step," + ",".join(NAMES)] if name.endswith(".csv") else []
    (folder / name).write_text("\n".join([*head, *(line.format(*row, step[-1]) for row in rows)]) + "\n")


def measured(folder: Path, workers: int, runs: int) -> dict[str, Any]:
    """Cost of one check; it must find what was planted and nothing else."""
    command = [sys.executable, "-m", "tocsin", "check", str(folder), "--workers", str(workers), "--format", "json"]
    start = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, _, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        out.seek(0)
        report = json.load(out)
    rung = {f["run"] for f in report["findings"] if f["severity"] != "note"}
    planted = {run for run in report["runs"] if int(run.rsplit("_", 1)[1]) % PLANTED == 0}
    return {
        "runs": len(report["runs"]),
        "workers": workers,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "ms_per_run": round(1e3 * seconds / runs, 1),
        "largest_process_mib": round(used.ru_maxrss / 1024),
        "found": f"{len(rung & planted)} of {len(planted)}",
        "false": len(rung - planted),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--json", type=Path, default=HERE / "results" / "scale.json")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for runs in args.runs:
            folder = Path(scratch, str(runs))
            for at in range(runs):
                write_run(folder / f"sweep_{at // 50}" / f"run_{at}", at, args.points)
            for workers in args.workers:
                rows.append(measured(folder, workers, runs))
                print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    args.json.parent.mkdir(exist_ok=True)
    args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

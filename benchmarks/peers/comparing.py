"""tocsin and its peers on the same runs of the detection benchmark, in one table.

    python benchmarks/peers [--seeds 2] [--peers NAME ...] [--workers 2] [--json FILE]

Log tools are given each run's curves (losses, score, learning rate, gradient norm of every step) as CSV; loop tools
run inside the same training again; one-batch tools are given model, first batch and optimizer before it. A finding of
warning or above counts as detection; the cause counts as named where any such finding's text matches words agreed on
beforehand (``causes.py``), for tocsin where its leading finding has an expected code. TrainCheck needs most of a
minute for 12 steps: one task and twenty variants only. Overhead is CPU time of a step over that of a bare one
(``overhead.py``).
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detection import splits, store
from detection.catalogue import VARIANTS
from detection.command import as_result
from detection.runs import Cell
from detection.scoring import Rate, Share

from peers import overheads, verdicts
from peers.causes import names_cause

RESULTS = Path(__file__).resolve().parents[1] / "results"
LOUD = ("critical", "warning")
# torch-audit's hints on speed and style are not verdicts on the run: tensor core shapes, precision, weight decay.
HINTS = ("TA2", "TA402", "TA403")


def main(words: list[str] | None = None) -> int:
    """Run the tools that were asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[2], help="seeds of the benchmark's cells")
    parser.add_argument("--tasks", nargs="+", default=[])
    parser.add_argument("--peers", nargs="+", default=[], help="only these")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(words)
    cells = splits.matrix("held-out", seeds=asked.seeds, tasks=asked.tasks)
    runs = RESULTS / "detection"
    ours = {cell: store.result(cell, runs) for cell in cells}
    steps = {cell: one["steps"] for cell, one in ours.items()}
    rows = [_our_row(list(ours.values())) | {"overhead": overheads.ours(RESULTS / "overhead.json")}]
    restated = row("SageMaker Debugger*", verdicts.of_thresholds(cells, runs), steps)
    rows.append(restated | {"overhead": "not measured: closed containers"})
    for peer in verdicts.known(asked.peers):
        said = verdicts.of_peer(peer, cells, runs, RESULTS / "peers", asked.workers)
        rows.append(row(f"{peer.name} {peer.version}", said, steps) | {"overhead": overheads.of_peer(peer, said)})
        print(f"{peer.name}: {len(said)} runs", flush=True)
    print(text(rows))
    print("\n* published thresholds, re-stated by us on our own records; the originals run in closed containers")
    if asked.json is not None:
        asked.json.write_text(json.dumps({"seeds": asked.seeds, "rows": rows}, indent=1))
    return 0


def row(name: str, said: Mapping[Cell, Mapping[str, Any]], steps: Mapping[Cell, int]) -> dict[str, Any]:
    """Detection, causes named and false alarms of one tool; runs in which it failed count as silent."""
    loud = {cell: [f for f in verdict["findings"] if _counts(f)] for cell, verdict in said.items()}
    faulty = [cell for cell in said if VARIANTS[cell.variant].is_fault]
    calm = [cell for cell in said if not VARIANTS[cell.variant].is_fault]
    named = [any(names_cause(cell.variant, f["text"]) for f in loud[cell]) for cell in faulty]
    errors = Counter(
        verdict["error"].strip().splitlines()[-1][:120] for verdict in said.values() if verdict.get("error")
    )
    return {
        "tool": name,
        "runs": len(said),
        "detected": str(Share(sum(bool(loud[c]) for c in faulty), len(faulty))),
        "cause": str(Share(sum(named), len(faulty))),
        "causes": sorted({c.variant for c, yes in zip(faulty, named, strict=True) if yes}),
        "alarmed": str(Share(sum(bool(loud[c]) for c in calm), len(calm))),
        "rate": str(Rate(sum(len(loud[c]) for c in calm), sum(steps[c] for c in calm))),
        "failed": sum(errors.values()),
        "errors": dict(errors.most_common(3)),
    }


def _counts(finding: Mapping[str, Any]) -> bool:
    return finding["severity"] in LOUD and not finding["text"].startswith(HINTS)


def _our_row(ours: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    results = [as_result(dict(one)) for one in ours]
    faulty, calm = [r for r in results if r.faulty], [r for r in results if not r.faulty]
    return {
        "tool": "tocsin",
        "runs": len(results),
        "detected": str(Share(sum(r.detected() for r in faulty), len(faulty))),
        "cause": str(Share(sum(r.caused() for r in faulty), len(faulty))),
        "causes": sorted({r.variant for r in faulty if r.caused()}),
        "alarmed": str(Share(sum(r.detected() for r in calm), len(calm))),
        "rate": str(Rate(sum(len(r.loud()) for r in calm), sum(r.steps for r in calm))),
        "failed": 0,
        "errors": {},
    }


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table."""
    lines = [f"{'tool':24} {'detected':34} {'cause named':34} {'healthy runs alarmed':34} {'false alarms':60} overhead"]
    for r in rows:
        lines.append(
            f"{r['tool']:24} {r['detected']:34} {r['cause']:34} {r['alarmed']:34} {r['rate']:60} {r['overhead']}"
        )
        lines += [f"{'':24} failed in {r['failed']} runs: {error} (x{k})" for error, k in r["errors"].items()]
    return "\n".join(lines)

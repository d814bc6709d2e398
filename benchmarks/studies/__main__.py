"""What frames of the study ``constellation`` cost and hold: generator, histograms, layers, features, separability.

Times are process CPU time of one thread, best of several repetitions, so that other programs on the machine do not
count. Exit code 1 if a goal is missed.

    python benchmarks/studies [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import generator_speed
import held_in_frames
import histogram_speed
import torch
import view_cost

PARTS = {"histograms": histogram_speed, "layers and features": view_cost, "held in frames": held_in_frames}


def main() -> int:
    """Run all parts, print their tables and write them as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, default=Path(__file__).parents[1] / "results" / "studies.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found, missed = {}, []
    for name, part in PARTS.items():
        rows = part.rows()
        print(f"{name}\n{part.table(rows)}\n", flush=True)
        missed += [f"{name}: {goal}" for goal in part.missed(rows)]
        found[name] = rows
    print("generator")
    if generator_speed.measure(frames=512, repetitions=7):
        missed.append("generator")
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps({**found, "missed": missed}, indent=1))
    print(f"\n{asked.json}\n" + ("missed: " + "; ".join(missed) if missed else "all goals met"))
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())

"""CPU milliseconds for a frame of the study ``constellation``, one thread, best of several repetitions.

Process time, not wall time, so that other programs on the machine do not count. Exit code 1 if an oversampled frame of
1,024 samples costs more than the goal.

    python benchmarks/studies/generator_speed.py [--frames 512] [--repetitions 7]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

from tocsin.studies.constellation.config import Data
from tocsin.studies.constellation.data.generated import Frames

GOAL = 0.25  # CPU ms a frame

DATA_SETS: dict[str, dict[str, Any]] = {
    "synchronous, 16 modulations": {},
    "oversampled, 17 modulations": {"modulations": "digital-17"},
    "oversampled, 19 modulations": {"modulations": "digital-19"},
    "oversampled, 19 modulations, Rician": {"modulations": "digital-19", "channel": {"fading": "rician"}},
    "oversampled, OQPSK and GMSK": {"modulations": ("OQPSK", "GMSK")},
}


def cost(frames: Frames, count: int, repetitions: int) -> float:
    """CPU ms a frame, every class in turn."""
    cell = torch.arange(count) % frames.cells
    levels = len(frames.data.snr_db)
    times = []
    for repetition in range(repetitions):
        before = time.process_time()
        frames.iq(cell // levels, cell % levels, torch.full_like(cell, repetition))
        times.append(time.process_time() - before)
    return min(times) / count * 1e3


def main() -> int:
    """Read the arguments and measure."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--frames", type=int, default=512)
    arguments.add_argument("--repetitions", type=int, default=7)
    chosen = arguments.parse_args()
    return measure(chosen.frames, chosen.repetitions)


def measure(frames: int, repetitions: int) -> int:
    """Measure all data sets and print a table; 1 if the goal is missed, else 0."""
    torch.set_num_threads(1)
    worst = 0.0
    for name, changes in DATA_SETS.items():
        scenario = "oversampled" if name.startswith("oversampled") else "synchronous"
        found = cost(Frames(Data(scenario=scenario, **changes)), frames, repetitions)
        worst = max(worst, found)
        print(f"{found:7.4f} CPU ms a frame  {name}")
    print(f"goal {GOAL}: {'met' if worst <= GOAL else 'missed'}")
    return int(worst > GOAL)


if __name__ == "__main__":
    raise SystemExit(main())

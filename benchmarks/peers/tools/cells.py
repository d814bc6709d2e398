"""What every tool script that rebuilds benchmark runs shares: cells from the command line, one JSON line a cell.

A cell is ``task/variant/seed``. Runs in a peer's own environment, where tocsin's dependencies are not installed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "src")]
os.environ["TOCSIN_DISABLED"] = "1"

Found = list[dict[str, Any]]


def each(inspect: Callable[[Any], Found]) -> None:
    """Print what ``inspect`` finds in each cell's training, and the CPU seconds that building and watching took."""
    import torch
    from detection.catalogue import build

    torch.set_num_threads(1)
    for cell in sys.argv[1:]:
        task, case, seed = cell.split("/")
        start = time.process_time()
        said: dict[str, Any] = {"cell": cell, "findings": []}
        try:
            said["findings"] = inspect(build(task, case, int(seed)))
        except Exception as error:  # a peer's own failure is a result
            said["error"] = f"{type(error).__name__}: {error}"[:300]
        said["cpu_s"] = time.process_time() - start
        print(json.dumps(said), flush=True)

"""The command line: one cell, or the matrix."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from detection.observers import OBSERVERS
from detection.runs import Cell, execute


def main(words: list[str] | None = None) -> int:
    """Run what was asked for; 0 unless a cell's own code could not be built."""
    parser = argparse.ArgumentParser(prog="benchmarks/detection", description=__doc__)
    parser.add_argument("--cell", type=Cell.parse, help="one run, task/variant/seed, e.g. digits-mlp/lr-zero/0")
    parser.add_argument("--observer", choices=sorted(OBSERVERS), default="tocsin")
    parser.add_argument("--folder", type=Path, help="where the cell's record goes")
    asked = parser.parse_args(words)
    outcome = execute(asked.cell, asked.observer, asked.folder)
    print(json.dumps(asdict(outcome)))
    return 0

"""A recorded run as the plain log that peers read: CSV and JSON lines, a row a step, under the names they know.

Columns: step, epoch, loss, eval_loss, accuracy (or another score), lr, grad_norm. Nothing is left out that tocsin's own
rules take from a log, as far as these tools have a column for it.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

from tocsin.run import Run

COLUMNS = ("step", "epoch", "loss", "eval_loss", "accuracy", "lr", "grad_norm")


def rows(run: Run) -> list[dict[str, float]]:
    """One row a training step; the numbers of an evaluation stand in the row of the step that it follows."""
    table: dict[int, dict[str, float]] = {}
    score = next((n for n in run.series if n.startswith("val/") and n.rpartition("/")[2] in SCORES), "")
    sources = {"train/loss": "loss", "val/loss": "eval_loss", score: "accuracy", "grad/norm": "grad_norm"}
    for name, column in sources.items():
        series = run.get(name)
        for step, epoch, value in zip(series.step, series.epoch, series.value, strict=True) if series else ():
            row = table.setdefault(int(step), {"step": int(step)})
            row[column] = float(value)
            if math.isfinite(epoch):
                row["epoch"] = float(epoch)
    lr = next(iter(run.family("lr").values()), None)
    filled = [table[step] for step in sorted(table)]
    for row in filled:
        before = lr.until(int(row["step"])) if lr is not None else None
        if before is not None and len(before):
            row["lr"] = float(before.value[-1])
    return filled


SCORES = ("accuracy", "acc", "f1_macro", "f1", "r2", "auc")


def write_csv(run: Run, path: Path) -> None:
    """The run as CSV; what was not recorded at a step is left empty."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows(run))


def write_jsonl(run: Run, path: Path) -> None:
    """The run as JSON lines, non-finite numbers as Python writes them (NaN), which all four peers read."""
    with path.open("w") as file:
        for row in rows(run):
            file.write(json.dumps({k: row[k] for k in COLUMNS if k in row}) + "\n")

"""Tables of an evaluation as CSV and JSON beside the run's record, one row a class and epoch."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

Cell = float | str
Row = dict[str, Cell]


def add(folder: Path, tables: Mapping[str, Sequence[Row]], epoch: int) -> None:
    """Add the rows of an epoch to ``<name>.csv`` and ``<name>.json``; those of this epoch and later ones give way.

    So a run that is resumed writes each epoch once. A crash leaves the former file or the new one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        before = [row for row in read(folder / f"{name}.csv") if float(row.get("epoch", epoch)) < epoch]
        whole = [*before, *({"epoch": epoch, **row} for row in rows)]
        if whole:
            _write_csv(folder / f"{name}.csv", whole)
            plain = [{k: None if v != v else v for k, v in row.items()} for row in whole]  # JSON has no NaN
            _replace(folder / f"{name}.json", json.dumps(plain, allow_nan=False) + "\n")


def read(file: Path) -> list[Row]:
    """The rows of a table, numbers as such; none where there is no file."""
    if not file.is_file():
        return []
    with file.open(newline="") as opened:
        return [{key: _cell(value) for key, value in row.items()} for row in csv.DictReader(opened)]


def _cell(text: str) -> Cell:
    try:
        return float(text)
    except ValueError:
        return text


def _write_csv(file: Path, rows: Sequence[Row]) -> None:
    partial = file.with_suffix(".partial")
    with partial.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[-1]), restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(file)


def _replace(file: Path, text: str) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(file)

"""Runs as plain logs: ``python tests/corpus/seeds/as_logs.py`` writes the runs of report 000 below ``examples``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from tocsin.run import Run

ROOT = Path(__file__).resolve().parents[3]


def files_of(run: Run) -> Mapping[str, str]:
    """``log.jsonl``, one object an epoch, and ``config.yaml`` with the settings and the note, by file name."""
    rows: dict[int, dict[str, float]] = {}
    for name, series in run.series.items():
        for step, value in zip(series.step, series.value, strict=True):
            rows.setdefault(int(step), {"epoch": int(step)})[name] = float(value)
    log = "".join(json.dumps(rows[step]) + "\n" for step in sorted(rows))
    return {"log.jsonl": log, "config.yaml": yaml.safe_dump(dict(run.config), sort_keys=False, allow_unicode=True)}


def folder_of(run: Run) -> str:
    """The name of a run as that of a folder, without blanks and slashes."""
    return run.name.replace(" ", "-").replace("/", "-")


def examples() -> Mapping[str, str]:
    """The text of each file of the two folders of examples, by its path below the root of the project."""
    from corpus.seeds import constellation

    kinds = {"report_000": constellation.runs(), "report_000_code": constellation.with_the_code()}
    return {
        f"examples/{kind}/{folder_of(run)}/{name}": text
        for kind, runs in kinds.items()
        for run in runs
        for name, text in files_of(run).items()
    }


def main() -> int:
    """Write them all."""
    for name, text in examples().items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    sys.exit(main())

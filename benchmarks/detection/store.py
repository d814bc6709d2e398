"""Results on disk: a record is made once for the code that made it, a report once for the rules that wrote it.

A cell's folder is named by a hash of the sources that shape its record: the benchmark's modules that the run uses, the
recorder and its probes, and the version of torch. Within it, ``report-<hash>.json`` is named by the sources of all of
tocsin, so a changed rule reads the record again and trains nothing. Folder names say nothing of the fault: tocsin reads
settings off the names of folders.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import tocsin
from detection.catalogue import VARIANTS
from detection.runs import Cell, Outcome, execute
from detection.tasks import TASKS

SOURCES = Path(tocsin.__file__).parent
RECORDING = ("recorder.py", "ledger.py", "columns.py", "governor.py", "surroundings.py", "probes", "record")


def result(cell: Cell, folder: Path, observer: str = "tocsin") -> dict[str, Any]:
    """What became of a cell and what was found in it, from disk where the code is unchanged: plain JSON data."""
    home = folder / key(cell, observer)
    if not (home / "outcome.json").is_file():
        _record(cell, home, observer)
    report = home / f"report-{rules_version()}.json"
    if not report.is_file():
        for old in home.glob("report-*.json"):
            old.unlink()
        found = found_in(home / "record")
        _write(report, found)
    outcome: dict[str, Any] = json.loads((home / "outcome.json").read_text())
    return {**asdict(cell), **outcome, **json.loads(report.read_text())}


def _record(cell: Cell, home: Path, observer: str) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    outcome: Outcome = execute(cell, observer, home / "record")
    _write(home / "outcome.json", asdict(outcome))


def _write(path: Path, data: Any) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(data))
    part.replace(path)


def found_in(record: Path) -> dict[str, Any]:
    """The findings of a record in the report's order, each with the positions of those that explain it."""
    report = tocsin.check(record)
    findings = report.findings
    return {
        "findings": [
            {
                "code": f.code,
                "severity": f.severity,
                "subject": f.subject,
                "step": f.step,
                "rang_at": f.rang_at,
                "causes": [k for k, other in enumerate(findings) if other.accounts_for(f)],
                "message": f.message,
            }
            for f in findings
        ],
        "not_checked": {n.code: n.reason for n in report.not_checked},
    }


def key(cell: Cell, observer: str) -> str:
    """Names the record of a cell, by the code that makes it."""
    return _named(cell, f"{observer} {_recording()}", {"detection.observers"})


def definition(cell: Cell) -> str:
    """Names the run itself, whatever watches it."""
    return _named(cell, "", set())


def _named(cell: Cell, more: str, modules: set[str]) -> str:
    digest = hashlib.sha256(f"{cell} {torch.__version__} {more}".encode())
    for path in _used(modules | {VARIANTS[cell.variant].change.__module__, TASKS[cell.task].__module__}):
        digest.update(_of_file(path).encode())
    return digest.hexdigest()[:16]


def _used(names: set[str]) -> list[Path]:
    """Files of these modules and of all of this package that their functions and classes come from."""
    seen: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        seen.add(name)
        module: ModuleType = sys.modules[name]
        origins = {getattr(value, "__module__", None) for value in vars(module).values()}
        waiting |= {o for o in origins if isinstance(o, str) and o.startswith("detection.")} - seen
    return sorted(Path(str(sys.modules[name].__file__)) for name in seen)


@cache
def _of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _recording() -> str:
    return _of_tree([SOURCES / part for part in RECORDING])


@cache
def rules_version() -> str:
    """Names all of tocsin's sources."""
    return _of_tree([SOURCES])


def _of_tree(parts: list[Path]) -> str:
    files = [f for part in parts for f in (sorted(part.rglob("*.py")) if part.is_dir() else [part])]
    return hashlib.sha256("".join(_of_file(f) for f in files).encode()).hexdigest()[:16]

"""The two verbs that join rooms: ``read`` runs from anywhere, ``check`` anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tocsin import record
from tocsin.engine import check_runs
from tocsin.findings import Report
from tocsin.run import Run

Checkable = Run | str | Path | Sequence[Run | str | Path]


class ReadError(Exception):
    """Nothing readable at a path; the message says what was expected, what is there and what to do."""


def read(path: str | Path) -> list[Run]:
    """All runs at or below ``path``, sorted by path.

    Args:
        path: A run folder, or a folder of them.

    Raises:
        ReadError: The path does not exist, holds no run, or cannot be read.
    """
    where = Path(path)
    if not where.exists():
        raise ReadError(f"{where}: no such file or folder")
    try:
        folders = record.find(where)
        runs = [record.read(folder) for folder in folders]
    except (OSError, record.RecordError) as error:
        raise ReadError(str(error)) from error
    if not runs:
        raise ReadError(f"{where}: no run found; expected a folder that holds run.json, or a folder of such folders")
    return runs


def check(
    target: Checkable,
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    baseline: Iterable[Mapping[str, Any]] = (),
) -> Report:
    """Check a run folder, a ``Run``, any path that ``read`` takes, or a list of these, into one report.

    Args:
        target: What to check.
        select: Rule codes, code prefixes or names to judge; all when empty.
        ignore: The same, to leave out.
        options: Option overrides by rule code or name, e.g. ``{"class-attractor": {"excess": 0.3}}``.
        baseline: Known findings to leave out, each with ``code`` and ``subject``.

    Raises:
        ReadError: Nothing readable at a path.
        TypeError: Something else, or an empty list.
        UnknownRule: A selector matches no rule.
    """
    if isinstance(target, Run):
        runs: list[Run] = [target]
    elif isinstance(target, str | Path):
        runs = read(target)
    elif isinstance(target, Sequence) and target:
        runs = [run for item in target for run in ([item] if isinstance(item, Run) else read(item))]
    else:
        raise TypeError(f"expected a run folder, a Run, or a list of them with at least one; got {target!r}")
    return check_runs(runs, select=select, ignore=ignore, options=options, baseline=baseline)

"""MLflow's file store: one folder a run (``meta.yaml``, ``metrics/``, ``params/``, ``tags/``)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.log import MOST_SERIES, Log
from tocsin.readers.mlflow import Metric, exit_of, fill, take_tags
from tocsin.readers.reader import Reader
from tocsin.readers.settings import read_settings

LONGEST_TEXT = 64 * 1024  # of one parameter or tag
_MOST_SIBLINGS = 10_000
_KEYS = tuple(
    re.compile(rf"^(?:{key}):".encode(), re.M) for key in ("run_id|run_uuid", "lifecycle_stage", "artifact_uri")
)


def sniffs(file: File) -> bool:
    """Whether the file is the ``meta.yaml`` of a run; those of experiments and models have other keys."""
    return file.size <= LONGEST_TEXT and all(key.search(file.head) for key in _KEYS)


def read(file: File) -> Iterator[Log]:
    """The one run of the folder; of a deleted one, only that it was deleted."""
    said = read_settings(file.path)
    folder = file.path.parent
    log = Log("mlflow", folder, name=str(said.get("run_name") or "")[:200], config_typed=False)
    log.claims = [file.path, *(folder / part for part in ("metrics", "params", "tags", "inputs", "outputs"))]
    if said.get("lifecycle_stage") == "deleted":
        log.miss("deleted in MLflow: not read")
        log.claims.append(folder)
        yield log
        return
    if not _has_file(folder / "metrics") and _is_parent(folder):
        log.miss("holds other runs and no metric of its own")
        yield log
        return
    log.exit = exit_of(said.get("status"))
    take_tags(log, {name: text for name, text in _texts(folder / "tags", log) if name.startswith("mlflow.")})
    log.config = dict(_texts(folder / "params", log))
    fill(log, dict(_metrics(folder / "metrics", log)))
    if log.empty:
        log.miss("no metric was logged")
    yield log


def _has_file(folder: Path) -> bool:
    return any(names for _, _, names in os.walk(folder))


def _is_parent(folder: Path) -> bool:
    """Whether a sibling names this run as the one that it was started in (nested runs of a search)."""
    try:
        siblings = islice(folder.parent.iterdir(), _MOST_SIBLINGS)
        tags = [sibling / "tags" / "mlflow.parentRunId" for sibling in siblings]
        return any(tag.is_file() and File(tag).head.strip() == folder.name.encode() for tag in tags)
    except (OSError, ReadError):
        return False


def _files(folder: Path, log: Log) -> Iterator[tuple[str, Path]]:
    """(name, path) of the regular files below a folder; a name with slashes is a path. Links are not followed."""
    count = 0
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root, name)
            if path.is_symlink() or name.startswith(".") or not path.is_file():
                continue
            count += 1
            if count > MOST_SERIES:
                log.miss(f"more than {MOST_SERIES} files in {folder.name}: the others were left out")
                return
            yield path.relative_to(folder).as_posix(), path


def _texts(folder: Path, log: Log) -> Iterator[tuple[str, str]]:
    for name, path in _files(folder, log):
        try:
            yield name, File(path).content(LONGEST_TEXT).decode("utf-8", "replace")
        except ReadError as error:
            log.miss(f"{folder.name}/{name}: {str(error).removeprefix(f'{path}: ')}")


def _metrics(folder: Path, log: Log) -> Iterator[tuple[str, Metric]]:
    for name, path in _files(folder, log):
        try:
            content = File(path).content()
        except ReadError as error:
            log.miss(f"metrics/{name}: {str(error).removeprefix(f'{path}: ')}")
            continue
        rows, odd = _rows(content)
        if odd:
            log.miss(f"metrics/{name}: {odd} lines are not `time value step`")
        yield name, Metric(rows[:, 1], rows[:, 2].astype(np.int64), rows[:, 0])


def _rows(content: bytes) -> tuple[Any, int]:
    """Rows (time, value, step), shape (n, 3), and the number of lines that are none; early versions wrote no step."""
    words = content.split()
    lines = content.count(b"\n") + (not content.endswith(b"\n") and bool(content))
    if len(words) == 3 * lines:
        try:
            return _bounded(np.array(words, dtype=np.float64).reshape(-1, 3)), 0
        except ValueError:
            pass
    rows, odd = [], 0
    for line in content.splitlines():
        try:
            numbers = [float(word) for word in line.split()]
        except ValueError:
            numbers = []
        if len(numbers) in (2, 3):
            rows.append([*numbers, 0.0][:3])
        else:
            odd += bool(line.strip())
    return _bounded(np.array(rows, dtype=np.float64).reshape(-1, 3)), odd


def _bounded(rows: Any) -> Any:
    """Steps that no training counts become -1, which is none."""
    step = rows[:, 2]
    rows[:, 2] = np.where(np.isfinite(step) & (np.abs(step) < 2**53), step, -1)
    return rows


READER = Reader("mlflow", 20, sniffs, read)

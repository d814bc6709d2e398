"""DVCLive: ``plots/metrics/**.tsv``, one file a metric, joined to one run; ``metrics.json`` with the last values."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tocsin.readers.clock import clock_of
from tocsin.readers.csv_logs import table_of
from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.likeness import strongly
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader
from tocsin.readers.records import flat
from tocsin.readers.settings import read_settings
from tocsin.readers.tables import read_table
from tocsin.readers.torn import json_of
from tocsin.readers.values import whole

_MOST_FILES = 5_000
_SMALL = 1 << 20


def _sniffs(file: File) -> bool:
    """A TSV of ``step`` and its own name, or ``metrics.json`` with a step beside its values."""
    if file.path.suffix == ".tsv":
        layout = table_of(file)
        names = layout.names if layout is not None and layout.delimiter == "\t" else ()
        return names[-1:] == (file.path.stem,) and names[:-1] in (("step",), ("timestamp", "step"))
    return file.path.name == "metrics.json" and file.size <= _SMALL and _is_summary(file)


def _is_summary(file: File) -> bool:
    if file.binary or not file.start.lstrip().startswith("{"):
        return False
    try:
        data, _ = json_of(file)
    except ReadError:
        return False
    if not isinstance(data, dict) or whole(data.get("step")) is None:
        return False
    live = (file.path.parent / "plots" / "metrics").is_dir() or file.path.parent.name.lower().startswith("dvclive")
    return live or ({"train", "eval"} & data.keys() != set() and any(strongly(name) for name, _ in flat(data)))


def _read(file: File) -> Iterator[Log]:
    root = _root(file.path)
    log = Log("dvclive", file.path)
    for path in sorted(_tables(root)):
        log.claims.append(path)
        _read_table(log, File(path), path.relative_to(root / "plots" / "metrics").with_suffix("").as_posix())
    summary, params = root / "metrics.json", root / "params.yaml"
    if summary.is_file():
        log.claims.append(summary)
        _read_summary(log, File(summary))
    if params.is_file():
        _read_params(log, params)
    log.claims = [path for path in log.claims if path != file.path]
    yield log


def _root(path: Path) -> Path:
    """The folder of the run: the one around ``plots/metrics``, or that of ``metrics.json``."""
    for folder in path.parents:
        if folder.name == "metrics" and folder.parent.name == "plots":
            return folder.parent.parent
    return path.parent


def _tables(root: Path) -> Iterator[Path]:
    count = 0
    for folder, _, names in os.walk(root / "plots" / "metrics"):
        for name in sorted(names):
            if name.endswith(".tsv") and count < _MOST_FILES:
                count += 1
                yield Path(folder, name)


def _read_table(log: Log, file: File, name: str) -> None:
    try:
        layout = table_of(file)
        if layout is None:
            if file.size:
                log.miss(f"{name}.tsv holds no steps")
            return
        frame = read_table(file, layout)
    except ReadError:
        log.miss(f"{name}.tsv cannot be read")
        return
    for sentence in frame.unread:
        log.miss(f"{name}.tsv: {sentence}")
    column = frame.named(layout.names[-1])
    clock = clock_of(frame)
    rows = column.rows
    log.extend(
        name,
        column.values,
        step=None if clock.step is None else clock.step[rows],
        time=None if clock.time is None else clock.time[rows],
    )


def _read_summary(log: Log, file: File) -> None:
    """The last values; only those of which there is no curve."""
    try:
        data, torn = json_of(file)
    except ReadError:
        log.miss("metrics.json cannot be read")
        return
    if torn:
        log.miss(f"metrics.json: {torn}")
    if not isinstance(data, dict):
        return
    step, curves = whole(data.pop("step", None)), set(log.names)
    for name, value in flat(data):
        if name not in curves and not isinstance(value, str):
            log.add(name, value, step=step)


def _read_params(log: Log, path: Path) -> None:
    try:
        log.config.update(read_settings(path))
    except ReadError as error:
        log.miss(f"params.yaml cannot be read ({str(error).removeprefix(f'{path}: ')})")


READER = Reader("dvclive", 20, _sniffs, _read)

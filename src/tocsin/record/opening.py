"""Find the folder for a run: a new one, a further attempt in an unfinished one, or a sibling of a finished one."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin.record import manifest
from tocsin.record.encoding import plain
from tocsin.record.layout import (
    ALSO_ALLOWED,
    MANIFEST,
    SCHEMA,
    RecordError,
    rank_of,
    read_json,
    segment_numbers,
    write_json,
)  # fmt: skip
from tocsin.record.writing import Writer

_MOST_SIBLINGS = 9999


@dataclass(frozen=True)
class _Place:
    folder: Path
    rank: int
    before: dict[str, Any] | None
    renamed_from: Path | None = None

    @property
    def manifest(self) -> Path:
        return manifest.manifest_path(self.folder, self.rank)

    @property
    def rank_folder(self) -> Path:
        return self.folder / f"rank{self.rank}"


def open_record(
    folder: str | Path,
    *,
    name: str | None = None,
    config: Mapping[str, Any],
    environment: Mapping[str, Any],
    start: float | None = None,
    after: int | None = None,
    rank: int | None = None,
) -> Writer:
    """Begin to record in ``folder`` (made with its parents) and return the writer.

    An unfinished run there gets a new attempt; one that finished, or whose writer is another living process, is left
    alone and a sibling ``<folder>-2``, ``-3``... is used (``writer.renamed_from``).
    A disk that refuses does not raise: the writer is then ``dead`` and ``trouble`` says why.

    Args:
        folder: The run's folder.
        name: Name of the run, default the folder's.
        config: The configuration; what JSON cannot say is kept as text.
        environment: Versions, device, command, seeds: likewise.
        start: Start of this attempt, seconds since 1970, default now.
        after: Step of the checkpoint that this attempt resumes from, 0 from scratch: what earlier attempts said about
            later steps is replaced once this one records such a step. Default: from the first step that it records.
        rank: Which part of the record is written, default ``RANK`` of the environment, or 0.

    Raises:
        RecordError: The folder holds something else, or a record of another version.
    """
    wanted = Path(folder).absolute()  # the training script may change its working directory
    began = time.time() if start is None else float(start)
    rank = _rank() if rank is None else rank
    place = None
    try:
        place = _place(wanted, rank)
        attempt = {"start": began, "after": after}
        return _open(place, name, plain(config), plain(environment), attempt)
    except OSError as error:
        if place is not None:
            with contextlib.suppress(OSError):  # only an empty folder goes
                place.rank_folder.rmdir()
        reason = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
        return Writer(wanted, rank=rank, start=began, trouble=f"no record can be written in {wanted}: {reason}")


def _rank() -> int:
    text = os.environ.get("RANK", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0


def _place(wanted: Path, rank: int) -> _Place:
    for number in range(1, _MOST_SIBLINGS):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        folder.mkdir(parents=True, exist_ok=True)
        renamed = None if number == 1 else wanted
        if (folder / MANIFEST).exists():
            before = _resumable(folder, rank)
            if before is not None:
                return _Place(folder, rank, before or None, renamed)
        else:
            _refuse_foreign(folder)
            if _claim(folder, rank):
                return _Place(folder, rank, None, renamed)
    raise RecordError(f"{wanted}: {_MOST_SIBLINGS} siblings exist already; name another folder")


def _resumable(folder: Path, rank: int) -> dict[str, Any] | None:
    """The manifest to continue, {} where this rank has none yet, None where the folder is taken."""
    whole = manifest.load(folder / MANIFEST)
    if whole.get("exit") == "finished":
        return None
    path = manifest.manifest_path(folder, rank)
    mine = whole if rank == 0 else manifest.load(path) if path.exists() else {}
    last = mine["attempts"][-1] if mine.get("attempts") else {}
    alive_elsewhere = manifest.writer_lives(last) and last.get("pid") != os.getpid() and "exit" not in last
    return None if alive_elsewhere else mine


def _refuse_foreign(folder: Path) -> None:
    for path in folder.iterdir():
        if not (path.name in ALSO_ALLOWED or path.name.startswith(".") or rank_of(path.name) is not None):
            raise RecordError(
                f"{folder}: expected a new or empty folder or an unfinished run, found {path.name!r} and no "
                f"{MANIFEST}; name another folder"
            )


def _claim(folder: Path, rank: int) -> bool:
    """Take a fresh folder; of two processes that start at once, one makes the rank folder."""
    with contextlib.suppress(FileExistsError):
        (folder / f"rank{rank}").mkdir()
        return True
    return False


def _open(place: _Place, name: str | None, config: Any, environment: Any, attempt: dict[str, Any]) -> Writer:
    before = place.before or {}
    earlier = list(before.get("attempts", []))
    if earlier:
        _keep_superseded(earlier[-1], before, config, environment)
    place.rank_folder.mkdir(exist_ok=True)
    segment = max(segment_numbers(place.rank_folder), default=0) + 1
    start = attempt["start"]
    attempt = {"attempt": len(earlier) + 1, **attempt, "segment": segment, **manifest.this_process()}
    data = {
        "schema": SCHEMA,
        "name": before.get("name") or _name(place, name),
        "start": before.get("start", start),
        "end": None,
        "exit": None,
        "error": None,
        "config": config,
        "environment": environment,
        "attempts": [*earlier, attempt],
    }
    write_json(place.manifest, data)
    return Writer(
        place.folder,
        rank=place.rank,
        attempt=len(earlier) + 1,
        segment=segment,
        start=start,
        keep_end=lambda end: _record_end(place.manifest, len(earlier), end),
        renamed_from=place.renamed_from,
    )


def _name(place: _Place, name: str | None) -> str:
    if name is None or place.renamed_from is None:
        return name or place.folder.resolve().name
    return name + place.folder.name.removeprefix(place.renamed_from.name)


def _keep_superseded(last: dict[str, Any], before: dict[str, Any], config: Any, environment: Any) -> None:
    """The earlier attempt keeps its own configuration where the new one brings another."""
    for key, new in (("config", config), ("environment", environment)):
        if before.get(key) != new:
            last.setdefault(key, before.get(key))


def _record_end(path: Path, index: int, end: dict[str, Any]) -> None:
    data = read_json(path)
    attempts = data["attempts"]
    attempts[index] = {**attempts[index], **end}
    if index == len(attempts) - 1:  # else a later attempt began meanwhile, and the end of the run is its to say
        data |= {key: end[key] for key in ("end", "exit", "error")}
    write_json(path, data)

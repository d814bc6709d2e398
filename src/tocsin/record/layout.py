"""Names and limits of the files in a record, and the two ways of touching a small file: whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO

SCHEMA = "tocsin.record/1"
SCHEMA_STEM = "tocsin.record/"
MANIFEST = "run.json"
RANK_MANIFEST = "rank.json"
EVALUATIONS, EVENTS, FINDINGS, PARAMETERS = "evaluations.jsonl", "events.jsonl", "findings.jsonl", "parameters.jsonl"
ALSO_ALLOWED = {"checkpoints", "report.html", "notes.md"}

SEGMENT_BYTES = 64 * 2**20
LINE_BYTES = 16 * 2**20
MANIFEST_BYTES = 16 * 2**20
MAX_DEPTH = 64
MAX_STEP = 2**53

_RANK = re.compile(r"rank(0|[1-9][0-9]{0,5})")
_SEGMENT = re.compile(r"([0-9]{6,9})\.(jsonl|parquet)")


class RecordError(Exception):
    """A folder is not a record, or one that this version cannot read; the message says what to do."""


def rank_of(name: str) -> int | None:
    """The rank whose folder is called ``name``, None for any other name."""
    match = _RANK.fullmatch(name)
    return int(match[1]) if match else None


def rank_folders(folder: Path) -> dict[int, Path]:
    """The rank folders of a run, in order of rank."""
    found = {rank: path for path in folder.iterdir() if (rank := rank_of(path.name)) is not None and path.is_dir()}
    return dict(sorted(found.items()))


def segment_numbers(rank_folder: Path) -> list[int]:
    """Numbers of the segments of one rank, ascending, whether JSONL or Parquet."""
    if not rank_folder.is_dir():
        return []
    return sorted({int(m[1]) for path in rank_folder.iterdir() if (m := _SEGMENT.fullmatch(path.name))})


def segment_path(rank_folder: Path, number: int, kind: str = "jsonl") -> Path:
    """Where segment ``number`` is kept."""
    return rank_folder / f"{number:06d}.{kind}"


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a small file.

    Raises:
        RecordError: It is missing, too large, or not a JSON object.
    """
    try:
        with open_regular(path) as file:
            raw = file.read(MANIFEST_BYTES + 1)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror or error}") from error
    if len(raw) > MANIFEST_BYTES:
        raise RecordError(f"{path}: larger than {MANIFEST_BYTES // 2**20} MB, so not a manifest that tocsin wrote")
    try:
        return parse(raw)
    except ValueError as error:
        raise RecordError(f"{path}: expected a JSON object, got something unreadable ({error})") from error


def open_regular(path: Path) -> BinaryIO:
    """``path`` opened to read bytes; a pipe or a device in its place is refused instead of waited for.

    Raises:
        OSError: It is missing, unreadable, or no regular file.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=2**18)
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "Not a regular file", str(path))


def parse(raw: bytes) -> dict[str, Any]:
    """The JSON object in ``raw``, at most ``MAX_DEPTH`` deep, every text in it printable.

    Raises:
        ValueError: There is none.
    """
    try:
        data = json.loads(raw.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(data, dict):
        raise ValueError(f"a JSON {type(data).__name__}")
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH or b"\\ud" in raw or b"\\uD" in raw:
        return {_printable(name, 0): _printable(value, 1) for name, value in data.items()}
    return data


def _printable(value: Any, depth: int) -> Any:
    """``value`` with "?" for each half of a surrogate pair, which is a str that no terminal can print."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_printable(name, depth): _printable(inner, depth + 1) for name, inner in value.items()}
    return [_printable(inner, depth + 1) for inner in value] if isinstance(value, list) else value


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Replace ``path`` in one move, so that a reader or a kill never meets half of it.

    Raises:
        OSError: It cannot be written; the old file stands.
    """
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, indent=1)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(text.encode("utf-8", "replace") + b"\n")
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise

"""Find run folders at or below a path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tocsin.record.layout import MANIFEST, SCHEMA_STEM, RecordError, rank_of, read_json

MAX_FOLDERS = 100_000
MAX_DEPTH = 24
_NOT_BELOW = {"checkpoints", "node_modules", "__pycache__"}


def find(path: str | Path) -> list[Path]:
    """Run folders at or below ``path``, sorted; links are followed, each real folder is visited once.

    Hidden folders, checkpoints and anything more than ``MAX_DEPTH`` folders down are passed over.

    Args:
        path: A folder, or the ``run.json`` of a run.

    Raises:
        RecordError: ``path`` is another file or does not exist, or there are more than ``MAX_FOLDERS`` folders below.
    """
    top = Path(path)
    if top.is_file():
        if top.name != MANIFEST or not is_record(top.parent):
            raise RecordError(f"{top}: expected a folder or the {MANIFEST} of a record, got another file")
        return [top.parent]
    if not top.is_dir():
        raise RecordError(f"{top}: no such folder")
    return sorted(folder for folder in _folders(top) if is_record(folder))


def is_record(folder: Path) -> bool:
    """Whether the folder holds a ``run.json`` of ours, of any version."""
    manifest = folder / MANIFEST
    try:
        if not manifest.is_file():
            return False
        schema = read_json(manifest).get("schema")
    except (OSError, RecordError):
        return False
    return isinstance(schema, str) and schema.startswith(SCHEMA_STEM)


def _folders(top: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    waiting = [(top, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            status = folder.stat()
            below = sorted(p for p in folder.iterdir() if not _passed_over(p.name) and p.is_dir())
        except OSError:
            continue
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            continue
        seen.add(identity)
        if len(seen) > MAX_FOLDERS:
            raise RecordError(f"{top}: more than {MAX_FOLDERS} folders below it; name a narrower one")
        yield folder
        if depth < MAX_DEPTH:
            waiting += [(p, depth + 1) for p in reversed(below)]


def _passed_over(name: str) -> bool:
    return name.startswith(".") or name in _NOT_BELOW or rank_of(name) is not None

"""``run.json`` (and each further rank's ``rank.json``): what the run is, its attempts, and whether its writer lives."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from tocsin.record.layout import MANIFEST, RANK_MANIFEST, SCHEMA, SCHEMA_STEM, RecordError, read_json
from tocsin.run import Exit

SILENCE_SECONDS = 600.0


def manifest_path(folder: Path, rank: int) -> Path:
    """Where rank ``rank`` of the run in ``folder`` keeps its manifest."""
    return folder / MANIFEST if rank == 0 else folder / f"rank{rank}" / RANK_MANIFEST


def load(path: Path) -> dict[str, Any]:
    """The manifest at ``path``, with its schema checked and ``attempts`` a list of objects.

    Raises:
        RecordError: It is not one, or a newer one.
    """
    data = read_json(path)
    schema = data.get("schema")
    if not isinstance(schema, str) or not schema.startswith(SCHEMA_STEM):
        raise RecordError(f"{path}: expected a schema {SCHEMA!r}, got {schema!r}; this is no record of tocsin")
    if schema != SCHEMA:
        raise RecordError(f"{path}: schema {schema[:40]!r} is not {SCHEMA!r}; upgrade tocsin to read this record")
    attempts = data.get("attempts")
    data["attempts"] = [a for a in attempts if isinstance(a, dict)] if isinstance(attempts, list) else []
    for name in ("config", "environment"):
        data[name] = data[name] if isinstance(data.get(name), dict) else {}
    return data


def this_process() -> dict[str, Any]:
    """What tells this process from any other."""
    return {"pid": os.getpid(), "host": socket.gethostname(), "process_start": process_start(os.getpid())}


def process_start(pid: int) -> int | None:
    """Clock ticks from boot to the start of process ``pid``, which tells it from a later one with its number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return int(stat[stat.rindex(b")") + 2 :].split()[19])  # field 22; the name before it may hold spaces
    except (OSError, ValueError, IndexError):
        return None


def writer_lives(attempt: Mapping[str, Any]) -> bool | None:
    """Whether the process that began this attempt is alive; None if that cannot be told from here."""
    pid, began = attempt.get("pid"), attempt.get("process_start")
    if attempt.get("host") != socket.gethostname() or not isinstance(pid, int) or not 0 < pid < 2**31:
        return None
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass
    except OSError:
        return False
    now = process_start(pid)
    return began is None or now is None or began == now


def exit_of(manifest: Mapping[str, Any], last_write: float) -> Exit:
    """How the run ended.

    Without a recorded exit: "running" while the writer's process is alive. On another machine, whose processes
    cannot be seen, it counts as running while the last write (seconds since 1970) is less than
    ``SILENCE_SECONDS`` ago. Otherwise "killed".
    """
    attempts = manifest["attempts"]
    said = manifest.get("exit")
    if said is not None:
        exits: tuple[Exit, ...] = get_args(Exit)
        return next((known for known in exits if known == said), "unknown")
    if not attempts:
        return "unknown"
    lives = writer_lives(attempts[-1])
    if lives is None:
        lives = time.time() - last_write < SILENCE_SECONDS
    return "running" if lives else "killed"

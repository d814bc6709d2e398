"""``wandb-metadata.json``: how the run was called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.wandb_log import messages


def metadata_of(path: Path) -> dict[str, Any]:
    """Command, Python and device of a ``wandb-metadata.json``; e-mail, user and host in it are not read."""
    try:
        said = json.loads(File(path).content(messages.LONGEST_VALUE))
    except (ReadError, ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    found = {key: said[key][:200] for key in ("python", "gpu") if isinstance(said.get(key), str)}
    arguments = said.get("args")
    arguments = [str(each)[:2000] for each in arguments[:1000]] if isinstance(arguments, list) else []
    line = messages.command(str(said.get("program") or ""), str(said.get("codePath") or ""), arguments)
    return {**found, "command": line} if line else found

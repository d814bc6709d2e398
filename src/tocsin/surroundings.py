"""Facts about a run that are not measured: its configuration as plain data, its environment, its name."""

from __future__ import annotations

import dataclasses
import os
import platform
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tocsin._version import __version__

_ADJECTIVES = """
    amber bold brisk calm clear crisp deep early even fair fine firm keen light lucid mild plain quiet rapid solid
""".split()  # noqa: SIM905 (a list of words reads better as words)
_NOUNS = """
    anchor arch basin beacon bell bridge cedar comet delta ember field harbor island lantern meadow orbit prism reef
    signal summit
""".split()  # noqa: SIM905
_MOST_LEAVES = 10_000


def run_name(prefix: str = "") -> str:
    """``adjective-noun-number``, after ``prefix`` where there is one; drawn outside the user's random state."""
    draw = random.SystemRandom()
    name = f"{draw.choice(_ADJECTIVES)}-{draw.choice(_NOUNS)}-{draw.randrange(1000)}"
    return f"{prefix}-{name}" if prefix else name


def plain_config(config: Any) -> dict[str, Any]:
    """The configuration as nested JSON data, types kept: mappings, dataclasses, pydantic models, namespaces.

    Text stays text, which is what CFG001 needs; an object without a plain form becomes its type's name.
    """
    left = [_MOST_LEAVES]
    found = _plain(config if config is not None else {}, left, 0)
    return found if isinstance(found, dict) else {"config": found}


def _plain(value: Any, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > 20:
        return "..."
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    elif hasattr(value, "model_dump"):
        value = value.model_dump()
    if isinstance(value, Mapping):
        return {str(k): _plain(v, left, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v, left, depth + 1) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return str(value)
    if hasattr(value, "__dict__") and type(value).__name__ in ("Namespace", "SimpleNamespace"):
        return _plain(vars(value), left, depth + 1)
    return f"<{type(value).__name__}>"


def environment(**more: Any) -> dict[str, Any]:
    """Versions, command, commit and threads of this process."""
    import torch

    return {
        "tocsin": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(terse=True),
        "threads": torch.get_num_threads(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv else [],
        "code": _commit(),
        "torch_seed": torch.initial_seed(),
        **more,
    }


def _commit() -> dict[str, Any]:
    """Commit and dirtiness of the working folder's checkout; empty where there is none."""
    try:
        head = _git("rev-parse", "HEAD")
        return (
            {
                "commit": head,
                "dirty": bool(_git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no")),
            }
            if head
            else {}
        )
    except (OSError, subprocess.SubprocessError):
        return {}


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=2, check=False)  # noqa: S603, S607
    return done.stdout.strip() if done.returncode == 0 else ""

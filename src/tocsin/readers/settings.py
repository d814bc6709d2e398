"""Files of configuration beside a log (``args.yaml``, ``hparams.yaml``, ``config.json``) as plain nested data."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.labels import shown

MOST_BYTES = 1_000_000
_MOST_OF_TOML = 100_000  # bytes; the time of dotted keys grows with the square of their length
MOST_VALUES = 10_000  # aliases multiply: a few lines of YAML can stand for billions of values
MOST_DEPTH = 32
_WIDEST = 1023  # bits
_PYTHON_TAG = re.compile(r"!!python/[\w/]+(:[\w.]+)?")  # as Lightning writes; what it wraps is read as plain data


def read_settings(path: Path) -> dict[str, Any]:
    """The configuration in a YAML, JSON or TOML file; keys are text, values plain. No tag of YAML is obeyed.

    Raises:
        ReadError: It cannot be read, is malformed, too large, or no mapping.
    """
    most = _MOST_OF_TOML if path.suffix.lower() == ".toml" else MOST_BYTES
    file = File(path)
    text = file.content(most).decode(file.encoding, "replace")
    try:
        plain = _Plain().of(_parsed(path, text))
    except RecursionError as error:
        raise ReadError(f"{path}: nested too deeply to be a configuration") from error
    except ValueError as error:  # of json and tomllib, too
        raise ReadError(f"{path}: malformed ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(plain, dict):
        raise ReadError(f"{path}: expected a mapping of settings, got {type(plain).__name__}")
    return _without_wandb_wrapping(plain)


def _parsed(path: Path, text: str) -> Any:
    kind = path.suffix.lower()
    if kind == ".json":
        return json.loads(text)
    if kind == ".toml":
        import tomllib  # these parsers are loaded when one is met: `tocsin --help` starts without them

        return tomllib.loads(text)
    from tocsin.readers.bounded_yaml import parsed

    return parsed(_PYTHON_TAG.sub("", text), 2 * MOST_VALUES, exponents=_by_go(text))


def _by_go(text: str) -> bool:
    """Whether W&B's newer writer wrote it: numbers such as 1e-08 stand bare, texts that read as one are quoted."""
    return re.search(r"^_wandb:", text, re.MULTILINE) is not None and "wandb_version:" not in text


class _Plain:
    """Turns what was parsed into dicts, lists, texts, numbers; counts, so that aliases cannot fill the memory."""

    def __init__(self) -> None:
        self.left = MOST_VALUES

    def of(self, value: Any, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0 or depth > MOST_DEPTH:
            raise ValueError(f"more than {MOST_VALUES} values, or nested more than {MOST_DEPTH} deep")
        if isinstance(value, Mapping):
            return {str(key): self.of(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list | tuple | set):
            return [self.of(inner, depth + 1) for inner in value]
        if isinstance(value, dt.date | dt.time | bytes):
            return str(value)
        if isinstance(value, int) and value.bit_length() > _WIDEST:  # could neither be printed nor become a float
            return math.inf if value > 0 else -math.inf
        return value


def _without_wandb_wrapping(plain: dict[str, Any]) -> dict[str, Any]:
    """``{"lr": {"desc": None, "value": 0.1}}`` is W&B's way to say ``{"lr": 0.1}``."""
    if "wandb_version" not in plain and "_wandb" not in plain:
        return plain
    return {
        key: inner["value"]
        for key, inner in plain.items()
        if isinstance(inner, dict) and "value" in inner and key != "_wandb"
    }


def filled(config: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with what only ``more`` says; nested mappings are joined, elsewhere ``config`` stands."""
    joined = dict(config)
    for key, value in more.items():
        mine = joined.get(key)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            joined[key] = filled(mine, value)
        else:
            joined.setdefault(key, value)
    return joined


def settings_of(paths: list[Path]) -> tuple[dict[str, Any], list[str]]:
    """The joined configuration of several files, the run's own before its model's, and what could not be read."""
    config: dict[str, Any] = {}
    unread = []
    for path in sorted(paths, key=_rank):
        try:
            config = filled(config, read_settings(path))
        except ReadError as error:
            unread.append(shown(str(error)))
    return config, unread


def _rank(path: Path) -> tuple[int, str]:
    """What was given to the run comes first, a ``config.json`` (of the model, where Transformers wrote it) last."""
    name = path.stem.lower()
    return (
        0 if "arg" in name or "opt" in name or "flag" in name else 1 + name.startswith(("config", "model")),
        str(path),
    )

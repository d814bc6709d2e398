"""What W&B leaves beside its log (``wandb-summary.json``, ``config.yaml``), where the log itself is not at hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tocsin.readers.errors import ReadError
from tocsin.readers.file import File
from tocsin.readers.log import Log
from tocsin.readers.reader import Reader
from tocsin.readers.settings import read_settings
from tocsin.readers.values import number, whole
from tocsin.readers.wandb_log.messages import numbers
from tocsin.readers.wandb_log.metadata import metadata_of

_MARKS = re.compile(rb'"_(?:step|runtime|timestamp|wandb)"\s*:')
_SEVERAL = re.compile(rb"\}[^\S\n]*\n\s*\{")  # JSON lines, which W&B's old histories are
_STEPS = ("trainer/global_step", "train/global_step", "global_step", "_step")
_EPOCHS = ("epoch", "train/epoch", "trainer/epoch")
_DERIVED = frozenset({"min", "max", "mean", "best", "last", "copy"})
_USED = ("config.yaml", "wandb-metadata.json", "requirements.txt", "conda-environment.yaml", "diff.patch", "media")


def sniffs(file: File) -> bool:
    """Whether the file is one JSON object with W&B's own keys, and no log of W&B's with content stands beside it."""
    head = file.head
    if head.lstrip()[:1] != b"{" or len(set(_MARKS.findall(head))) < 2 or _SEVERAL.search(head):
        return False
    return not any(_has_content(path) for path in _logs_beside(file.path))


def _logs_beside(path: Path) -> Iterator[Path]:
    try:
        yield from path.parent.parent.glob("*.wandb") if path.parent.name == "files" else path.parent.glob("*.wandb")
    except OSError:
        return


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 7  # its header
    except OSError:
        return False


def read(file: File) -> Iterator[Log]:
    """The final values of one run."""
    summary = file.json()
    if not isinstance(summary, dict):
        raise ReadError(f"{file.path}: expected a JSON object of final values, got {type(summary).__name__}")
    folder = file.path.parent
    log = Log("wandb-summary", file.path, claims=[folder / name for name in _USED])
    log.environment.update(metadata_of(folder / "wandb-metadata.json"))
    settings = folder / "config.yaml"
    if settings.is_file():
        try:
            log.config = read_settings(settings)
        except ReadError as error:
            log.miss(f"config.yaml was not read: {str(error).removeprefix(f'{settings}: ')}")
    _fill(log, summary)
    log.miss("only final values: W&B's log of the run (run-<id>.wandb) is not beside its summary")
    if log.empty:
        log.miss("the summary holds no number")
    yield log


def _fill(log: Log, summary: dict[str, Any]) -> None:
    flat = dict(numbers("", {key: value for key, value in summary.items() if key != "_wandb"}))
    step = next((step for name in _STEPS if (step := whole(flat.get(name))) is not None), None)
    epoch = next((number(flat[name]) for name in _EPOCHS if name in flat), None)
    for name, value in flat.items():
        derived = name.rpartition("/")[2] in _DERIVED and isinstance(summary.get(name.rpartition("/")[0]), dict)
        if not name.startswith("_") and name not in _STEPS and name not in _EPOCHS and not derived:
            log.add(name, value, step=step, epoch=epoch, time=flat.get("_timestamp"))


READER = Reader("wandb-summary", 20, sniffs, read)

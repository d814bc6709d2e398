"""W&B's own log of a run (``run-<id>.wandb``): history, configuration, summary, console, exit code."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tocsin.readers.file import MOST_STREAMED, File
from tocsin.readers.frame import Frame
from tocsin.readers.log import Log
from tocsin.readers.protobuf import BYTES, Field, WireError, fields, text
from tocsin.readers.reader import Reader
from tocsin.readers.rows import fill
from tocsin.readers.wandb_log import messages
from tocsin.readers.wandb_log.console import Console
from tocsin.readers.wandb_log.metadata import metadata_of
from tocsin.readers.wandb_log.records import IDENT, Records
from tocsin.run import Exit

_EXITS: dict[int, Exit] = {0: "finished", 130: "interrupted", 255: "interrupted", 137: "killed", 143: "killed"}
_AMBIGUOUS = 255  # W&B writes it for Ctrl-C, and so does sys.exit(-1)
_RENAMED = {"train/global_step": "global_step"}  # as Transformers calls the optimizer's step
_DERIVED = ("min", "max", "mean", "best", "last", "copy")
_FILES = ("config.yaml", "wandb-summary.json", "wandb-metadata.json", "requirements.txt", "media", "diff.patch")


def sniffs(file: File) -> bool:
    """Whether the file starts with W&B's mark and version 0."""
    return file.head.startswith(IDENT)


def read(file: File) -> Iterator[Log]:
    """The one run of the file."""
    reading = _Reading(file)
    size = min(file.size, MOST_STREAMED)
    if size < file.size:
        reading.log.miss(f"only the first {size} of {file.size} bytes were read")
    with file.opened() as stream:
        records = Records(stream, size, reading.log.miss)
        for record in records:
            reading.take(record)
    reading.close(records.torn)
    yield reading.log


class _Reading:
    """What the records seen so far tell."""

    def __init__(self, file: File) -> None:
        self.log = Log("wandb", file.path, exit="killed")
        self.frame = Frame()
        self.steps: array[int] = array("q")
        self.times: array[float] = array("d")
        self.summary: dict[str, float] = {}
        self.messages: list[tuple[int, str]] = []
        self.console = Console(lambda line: self.messages.append((self.frame.rows, line)))
        self.media: set[tuple[str, ...]] = set()
        self.unknown: Counter[int] = Counter()
        self.records = self.broken = 0
        self.code: int | None = None
        self.kinds: dict[int, Callable[[bytes, Field], None]] = {
            messages.HISTORY: self._history,
            messages.SUMMARY: self._summary,
            messages.CONFIG: self._config,
            messages.RUN: self._run,
            messages.OUTPUT: self._output,
            messages.OUTPUT_RAW: self._output,
            messages.ENVIRONMENT: self._environment,
            messages.EXIT: self._exit,
        }

    def take(self, record: bytes) -> None:
        self.records += 1
        try:
            for field in fields(record):
                if field.number not in messages.KNOWN:
                    self.unknown[field.number] += 1
                elif field.wire == BYTES and (known := self.kinds.get(field.number)):
                    known(record, field)
        except WireError:
            self.broken += 1

    def _history(self, record: bytes, field: Field) -> None:
        row, step, time = self.frame.rows, messages.history_step(record, field), float("nan")
        for keys, value in self._items(record, field):
            name = "/".join(keys)
            if not name.startswith("_"):
                for leaf, number in messages.numbers(_RENAMED.get(name, name), value):
                    self.frame.put(leaf, row, number)
            elif name == "_step" and isinstance(value, int | float) and abs(value) < 2**53:
                step = int(value)
            elif name == "_timestamp" and isinstance(value, int | float):
                time = float(value)
        self.frame.rows += 1
        self.steps.append(row if step is None or not 0 <= step < 2**53 else step)
        self.times.append(time)

    def _items(self, record: bytes, field: Field) -> Iterator[messages.Item]:
        """The items but those of media, which are spread over several: ``hist/_type``, ``hist/size``, ..."""
        items = list(messages.items(record, field))
        self.media |= {keys[:-1] for keys, _ in items if keys[-1:] == ("_type",) and len(self.media) < 10_000}
        return (item for item in items if item[0][:-1] not in self.media)

    def _summary(self, record: bytes, field: Field) -> None:
        for keys, value in self._items(record, field):
            if len(self.summary) < 10_000 and keys[:1] != ("_wandb",):
                self.summary.update(messages.numbers("/".join(keys), value))

    def _config(self, record: bytes, field: Field) -> None:
        for keys, value in messages.items(record, field):
            if keys and not keys[0].startswith("_wandb") and len(self.log.config) < 10_000:
                _put(self.log.config, keys, value)

    def _run(self, record: bytes, field: Field) -> None:
        for part in fields(record, field.start, field.stop):
            if part.wire != BYTES:
                if part.number == 18 and part.whole:
                    self.log.event("resume", "W&B says that this run was resumed", step=0)
            elif part.number == 3:
                self.log.environment["project"] = text(record, part)[:200]
            elif part.number == 4:
                self._config(record, part)
            elif part.number == 8:
                self.log.name = text(record, part)[:200]
            elif part.number == 12:
                self.log.environment["sweep"] = text(record, part)[:200]

    def _output(self, record: bytes, field: Field) -> None:
        self.console.take(messages.console_text(record, field))

    def _environment(self, record: bytes, field: Field) -> None:
        self.log.environment.update(messages.surroundings(record, field))

    def _exit(self, record: bytes, field: Field) -> None:
        self.code = messages.exit_code(record, field)

    def close(self, torn: int | None) -> None:
        """Put all that was seen into the log."""
        frame, log = self.frame, self.log
        for sentence in frame.unread:
            log.miss(sentence)
        step = fill(log, frame, np.asarray(self.steps), np.asarray(self.times))
        _finals(log, self.summary, set(frame.names))
        for row, line in self.messages:
            log.event("message", line, step=int(step[min(row, step.size - 1)]) if step.size else 0)
        if torn is not None:
            log.event("truncated", "the file ends in the middle of a record")
        self._end()
        self._unread()
        _surroundings(log, claim_all=frame.rows > 0)

    def _end(self) -> None:
        log = self.log
        said, kind = self.console.failure() if self.code != 0 else ("", "")
        if self.code is not None:
            log.exit = _EXITS.get(self.code, "killed" if self.code < 0 else "failed")
            if self.code == _AMBIGUOUS and kind not in ("", "KeyboardInterrupt"):
                log.exit = "failed"
            log.event("exit", f"exit code {self.code}", data={"code": self.code})
        if said:
            log.event("exception", said, data={"type": kind} if kind else {})

    def _unread(self) -> None:
        for number, count in sorted(self.unknown.items())[:20]:
            self.log.miss(f"unknown field {number}: skipped in {count} records")
        if self.broken:
            self.log.miss(f"{self.broken} of {self.records} records are no messages of W&B")
        if not self.records:
            self.log.exit = "unknown"
            self.log.miss("no record in it: the run ended before its first block was written")


def _put(config: dict[str, Any], keys: tuple[str, ...], value: Any) -> None:
    for key in keys[:-1]:
        inner = config.get(key)
        if not isinstance(inner, dict):
            inner = config[key] = {}
        config = inner
    config[keys[-1]] = value


def _finals(log: Log, summary: dict[str, float], logged: set[str]) -> None:
    """Final values that the history does not have; what W&B derived of the history (``loss.min``) is left out."""
    for name, value in summary.items():
        stem, _, last = name.replace(".", "/").rpartition("/")
        derived = last in _DERIVED and any(stem == known.replace(".", "/") for known in logged)
        if not name.startswith("_") and name not in logged and _RENAMED.get(name, name) not in logged and not derived:
            log.add(name, value)


def _surroundings(log: Log, *, claim_all: bool) -> None:
    """What stands beside the file in its run folder: the command, if the log lacks it, and files used up."""
    folder, files = log.path.parent, log.path.parent / "files"
    if "command" not in log.environment:
        log.environment.update(metadata_of(files / "wandb-metadata.json"))
    log.claims.append(folder / "logs")
    log.claims += [files] if claim_all else [files / name for name in _FILES]
    if folder.parent.name == "wandb":
        log.claims += [folder.parent / name for name in ("debug.log", "debug-internal.log", "debug-core.log")]


READER = Reader("wandb", 10, sniffs, read)
